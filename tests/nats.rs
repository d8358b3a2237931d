//! A NATS server, and services behind it.

use std::fs;
use std::path::{Path, PathBuf};
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

/// Starts a service, and waits until it prints the line `ready`.
pub fn service(command: &mut Command) -> Running {
    let running = Running::writing(command, Stdio::piped(), Stdio::inherit());
    // If the program fails, its output ends, and `line` panics.
    while running.line() != "ready" {}
    running
}

/// The chat services, by language.
pub const LANGUAGES: [&str; 3] = ["rust", "javascript", "python"];

/// Starts the chat service in a language. `programs` is the directory in which cargo puts the
/// examples.
pub fn chat_service(language: &str, nats: &NatsServer, programs: &Path) -> Running {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/wireplug/examples/services");
    let mut command = match language {
        "rust" => Command::new(programs.join("chat_service")),
        "javascript" => {
            let mut node = Command::new("node");
            node.arg(sources.join("chat.js"));
            node
        }
        "python" => {
            let mut python = python();
            python.arg(sources.join("chat.py"));
            python
        }
        other => panic!("there is no chat service in {other}"),
    };
    service(command.env("NATS_URL", nats.url()))
}

/// Returns the Python that has the modules that tests need.
pub fn python() -> Command {
    let folder = std::env::var_os("WIREPLUG_PEERS_DIR").map_or_else(|| "target/peers".into(), PathBuf::from);
    Command::new(folder.join("venv/bin/python"))
}
