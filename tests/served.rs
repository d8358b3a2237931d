//! `wireplug serve` as a process of its own, and what it says when it has started.

use std::fs;
use std::net::TcpStream;
use std::ops::{Deref, DerefMut};
use std::process::{Command, Stdio};

use crate::folder::Folder;
use crate::running::{PATIENCE, Running};

/// A server that has started and writes text, not JSON.
pub struct Served {
    running: Running,
    /// The first line that it printed.
    pub greeting: String,
    /// Where its listeners are, in their order.
    pub urls: Vec<String>,
    /// Where its control API is.
    pub control: Option<String>,
    /// The token of the control API, where the server generated one.
    pub token: Option<String>,
}

impl Served {
    /// Starts a server by this command, and waits until it has said where it listens.
    pub fn start(command: &mut Command) -> Self {
        Self::logging(command, Stdio::piped())
    }

    /// [`Served::start`], with a place for its log.
    pub fn logging(command: &mut Command, log: impl Into<Stdio>) -> Self {
        let running = Running::writing(command, Stdio::piped(), log);
        let greeting = running.line();
        let mut served = Self { running, greeting, urls: Vec::new(), control: None, token: None };
        loop {
            let line = served.line();
            let line = line.trim();
            if line.starts_with("process ") {
                return served;
            } else if let Some((url, _)) = line.split_once(", the control API") {
                served.control = Some(url.to_owned());
            } else if let Some((file, _)) = line.split_once(", the token of the control API") {
                let token = fs::read_to_string(file).expect("the token is there");
                served.token = Some(token.trim().to_owned());
            } else {
                served.urls.push(line.to_owned());
            }
        }
    }

    /// Starts a server by a command that lacks its configuration, which has this text. The file is
    /// removed when the server has started.
    pub fn configured(command: &mut Command, name: &str, configuration: &str) -> Self {
        let folder = Folder::new(name);
        Self::start(command.arg(folder.write("wireplug.toml", configuration)))
    }

    /// `HOST:PORT` of its first listener.
    pub fn address(&self) -> &str {
        self.urls[0].split_once("://").expect("a URL has a scheme").1
    }

    /// Where clients of this scheme connect to its first listener.
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address())
    }

    /// A TCP connection to its first listener, whose reads have their end.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).expect("the kernel accepts, if not the server");
        stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
        stream
    }
}

impl Deref for Served {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
}

impl DerefMut for Served {
    fn deref_mut(&mut self) -> &mut Running {
        &mut self.running
    }
}
