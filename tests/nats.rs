//! A NATS server.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::PATIENCE;
use crate::folder::Folder;
use crate::running::{Running, Signal, wait_for};

/// A NATS server on a free port of this machine. It ends with the test at the latest.
pub struct NatsServer {
    process: Option<Running>,
    port: u16,
    folder: Folder,
    arguments: Vec<String>,
}

impl NatsServer {
    /// Starts a server.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Starts a server with further arguments.
    pub fn with(arguments: &[&str]) -> Self {
        let folder = Folder::new("nats-server");
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let mut server = Self { process: None, port: 0, folder, arguments };
        server.launch("-1");
        server
    }

    /// Starts the server again at the same address.
    pub fn start_again(&mut self) {
        self.launch(&self.port.to_string());
    }

    fn launch(&mut self, port: &str) {
        let mut command = Command::new("nats-server");
        command.args(["-a", "127.0.0.1", "-p", port, "--ports_file_dir"]).arg(self.folder.root());
        let process = Running::writing(command.args(&self.arguments), Stdio::null(), Stdio::null());
        let file = self.folder.path(&format!("nats-server_{}.ports", process.pid()));
        let bound = wait_for("nats-server to say where it is", PATIENCE, || {
            let ports: Value = serde_json::from_slice(&fs::read(&file).ok()?).ok()?;
            ports["nats"][0].as_str().map(str::to_owned)
        });
        let port = bound.rsplit(':').next().and_then(|port| port.parse().ok());
        (self.process, self.port) = (Some(process), port.expect("a URL with a port"));
    }

    /// Returns the address of the server, which stays the same when it is stopped.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Kills the server, so that its clients see their connections reset.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Sends a signal to the server. HUP makes it read its configuration again, STOP and CONT pause
    /// and resume it, and USR2 makes it close its connections one after the other and end.
    pub fn signal(&self, signal: Signal) {
        self.process.as_ref().expect("it is there").signal(signal);
    }

    /// Connects a client.
    pub async fn client(&self) -> async_nats::Client {
        async_nats::connect(self.url()).await.expect("it is there")
    }
}
