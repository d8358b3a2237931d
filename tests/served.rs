//! `wireplug serve` in a process of its own, and what it prints when it has started.

use std::fs;
use std::net::TcpStream;
use std::ops::{Deref, DerefMut};
use std::process::{Command, Stdio};

use crate::folder::Folder;
use crate::running::{PATIENCE, Running};

/// A server that has started and prints text, not JSON.
pub struct Served {
    running: Running,
    /// The first line that it printed.
    pub greeting: String,
    /// The URLs of its listeners, in their order.
    pub urls: Vec<String>,
    /// The address of its control API.
    pub control: Option<String>,
    /// The URL of its console.
    pub console: Option<String>,
    /// The address of its port for health checks, IP:PORT.
    pub health: Option<String>,
    /// The token of the control API, if the server has generated one.
    pub token: Option<String>,
}

impl Served {
    /// Starts a server with this command, and waits until it has printed its addresses.
    pub fn start(command: &mut Command) -> Self {
        Self::logging(command, Stdio::piped())
    }

    /// Does what [`Served::start`] does, and writes the log of the server to `log`.
    pub fn logging(command: &mut Command, log: impl Into<Stdio>) -> Self {
        let running = Running::writing(command, Stdio::piped(), log);
        let greeting = running.line();
        let mut served = Self {
            running,
            greeting,
            urls: Vec::new(),
            control: None,
            console: None,
            health: None,
            token: None,
        };
        loop {
            let line = served.line();
            let line = line.trim();
            if line.starts_with("process ") {
                return served;
            } else if let Some((url, _)) = line.split_once(", the control API") {
                served.control = Some(url.to_owned());
            } else if let Some((url, _)) = line.split_once(", the console in the browser") {
                served.console = Some(url.to_owned());
            } else if let Some(url) = line.strip_suffix("/readyz, the health check") {
                served.health = url.strip_prefix("http://").map(str::to_owned);
            } else if let Some((file, _)) = line.split_once(", the token of the control API") {
                let token = fs::read_to_string(file).expect("the token is there");
                served.token = Some(token.trim().to_owned());
            } else {
                served.urls.push(line.to_owned());
            }
        }
    }

    /// Starts a server with a command that lacks its configuration file. The file gets this text,
    /// and is removed when the server has started.
    pub fn configured(command: &mut Command, name: &str, configuration: &str) -> Self {
        let folder = Folder::new(name);
        Self::start(command.arg(folder.write("wireplug.toml", configuration)))
    }

    /// Returns `HOST:PORT` of its first listener.
    pub fn address(&self) -> &str {
        self.urls[0].split_once("://").expect("a URL has a scheme").1
    }

    /// Returns the URL at which clients of this scheme connect to its first listener.
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address())
    }

    /// Connects to its first listener over TCP, with a timeout for reads.
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
