//! The server under siege, in a process of its own, and its resources according to the kernel.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use wireplug_tests::folder::Folder;
use wireplug_tests::running::{Running, Signal};
use wireplug_tests::{PATIENCE, process, until};

use crate::program::wireplug;

/// The most connections. Few enough that their sandboxes fit any machine, and more than the clients
/// of the siege.
pub const MAX_CONNECTIONS: usize = 600;

/// An address to which clients connect.
#[derive(Clone, Debug)]
pub enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
    /// A WebSocket listener at `ws://` or `hybrid://`.
    WebSocket(SocketAddr),
    SocketIo(SocketAddr),
    Udp(SocketAddr),
}

/// The places of the listeners, in the order of the configuration.
pub struct Places(Vec<(&'static str, Place)>);

impl Places {
    pub fn all(&self) -> impl Iterator<Item = (&'static str, Place)> {
        self.0.iter().cloned()
    }
}

/// A running server.
pub struct Besieged {
    running: Running,
    folder: Folder,
    pub places: Places,
}

/// The log of a server.
pub struct Log {
    pub lines: u64,
    pub bytes: usize,
    pub longest: usize,
}

impl Besieged {
    pub fn start() -> Self {
        let folder = Folder::new("siege");
        let text = include_str!("siege.toml").replace("FOLDER", &folder.root().display().to_string());
        let mut command = wireplug(["serve".as_ref(), folder.write("siege.toml", text).as_os_str()]);
        let log = File::create(folder.path("log")).expect("a file");
        let running = Running::writing(command.current_dir(folder.root()), Stdio::piped(), log);
        let started: Value = serde_json::from_str(&running.line()).expect("a line of the output is JSON");
        let listeners = started["listeners"].as_array().expect("it says where it listens");
        let places = listeners.iter().filter_map(Value::as_str).flat_map(places_at).collect();
        Self { running, folder, places: Places(places) }
    }

    /// Returns the memory in use, in bytes.
    pub fn memory(&self) -> usize {
        process::resident_of(self.running.pid())
    }

    /// Returns the number of open descriptors.
    pub fn descriptors(&self) -> usize {
        process::descriptors_of(self.running.pid())
    }

    /// Waits until the server has no more descriptors than before the siege, except for those of
    /// the last clients.
    pub async fn until_quiet(&self, before: usize) {
        until("all connections to be closed", || async { self.descriptors() <= before }).await;
    }

    /// Ends the server by SIGTERM and reads its log. The server must exit successfully.
    pub fn end(mut self) -> Log {
        self.running.signal(Signal::TERM);
        assert_eq!(self.running.exit_code_within(PATIENCE), Some(0));
        let mut log = Log { lines: 0, bytes: 0, longest: 0 };
        for line in BufReader::new(File::open(self.folder.path("log")).expect("the log")).lines() {
            let line = line.expect("it is text");
            assert!(serde_json::from_str::<Value>(&line).is_ok(), "a line of the log is no JSON: {line}");
            log.lines += 1;
            log.bytes += line.len() + 1;
            log.longest = log.longest.max(line.len());
        }
        log
    }
}

/// Returns the places where clients connect to the listener with this URL.
fn places_at(url: &str) -> Vec<(&'static str, Place)> {
    let (scheme, rest) = url.split_once("://").expect("a URL has a scheme");
    let address = || rest.parse().expect("it listens at an address");
    match scheme {
        "tcp" => vec![("tcp", Place::Tcp(address()))],
        "unix" => vec![("unix", Place::Unix(rest.into()))],
        "ws" => vec![("ws", Place::WebSocket(address()))],
        "hybrid" => vec![("hybrid", Place::Tcp(address())), ("hybrid-ws", Place::WebSocket(address()))],
        "socketio" => vec![("socketio", Place::SocketIo(address()))],
        "udp" => vec![("udp", Place::Udp(address()))],
        _ => panic!("no client speaks {scheme}"),
    }
}
