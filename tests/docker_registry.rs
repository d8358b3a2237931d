//! Debian's docker-registry.

use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use crate::PATIENCE;
use crate::folder::Folder;
use crate::running::{Running, wait_for};

/// A registry on a free port. It keeps its content in a folder of its test.
pub struct DockerRegistry {
    process: Option<Running>,
    port: u16,
    config: String,
}

impl DockerRegistry {
    /// Starts a registry in a folder, with further lines of its configuration, and of the part
    /// `http` of it.
    pub fn start(folder: &Folder, lines: &str, http: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        drop(listener);
        let content = folder.text("content");
        let text = format!(
            "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: {content} }} }}\n{lines}\
             http:\n  addr: 127.0.0.1:{port}\n  secret: test\n{http}"
        );
        folder.write("registry.yml", text);
        let mut registry = Self { process: None, port, config: folder.text("registry.yml") };
        registry.start_again();
        registry
    }

    /// Starts it again at the same address, with what it holds.
    pub fn start_again(&mut self) {
        let mut command = Command::new("docker-registry");
        let process =
            Running::writing(command.args(["serve", &self.config]), Stdio::null(), Stdio::inherit());
        self.process = Some(process);
        let port = self.port;
        wait_for("the registry", PATIENCE, || TcpStream::connect(("127.0.0.1", port)).ok());
    }

    /// Kills it.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Returns its port on this machine.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns a reference to a tag in the repository `team/chat`.
    pub fn reference(&self, tag: &str) -> String {
        format!("oci://127.0.0.1:{}/team/chat:{tag}", self.port)
    }
}
