//! The server under siege: a process of its own, and what the kernel knows of it.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use wireplug_tests::{PATIENCE, process, within};

/// Few enough that the sandboxes fit any machine, and more than all clients of the siege.
pub const MAX_CONNECTIONS: usize = 600;

/// Where clients connect.
#[derive(Clone, Debug)]
pub enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
    /// WebSocket, at `ws://` or `hybrid://`.
    WebSocket(SocketAddr),
    SocketIo(SocketAddr),
    Udp(SocketAddr),
}

/// The listeners, in the order of the configuration.
pub struct Places(Vec<(&'static str, Place)>);

impl Places {
    pub fn all(&self) -> impl Iterator<Item = (&'static str, Place)> {
        self.0.iter().cloned()
    }
}

/// A server at work, killed when it is dropped.
pub struct Besieged {
    child: Child,
    log: PathBuf,
    /// What it prints.
    printed: PathBuf,
    pub places: Places,
}

/// What a server wrote to its log.
pub struct Log {
    pub lines: u64,
    pub bytes: usize,
    pub longest: usize,
}

impl Besieged {
    pub fn start() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("siege-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("the directory of tests can be written");
        let config = folder.join("siege.toml");
        let text = include_str!("siege.toml").replace("FOLDER", &folder.display().to_string());
        fs::write(&config, text).expect("a file");
        let (log, printed) = (folder.join("log"), folder.join("printed"));
        let child = Command::new(env!("CARGO_BIN_EXE_wireplug"))
            .args(["serve".as_ref(), config.as_os_str()])
            .current_dir(&folder)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(File::create(&printed).expect("a file"))
            .stderr(File::create(&log).expect("a file"))
            .spawn()
            .expect("there is the program");
        let mut server = Self { child, log, printed, places: Places(Vec::new()) };
        server.places = server.until_it_listens(&folder);
        server
    }

    /// Reads where it listens.
    fn until_it_listens(&mut self, folder: &Path) -> Places {
        let names = ["tcp", "unix", "ws", "hybrid", "hybrid-ws", "socketio", "udp"];
        let begun = std::time::Instant::now();
        loop {
            let log =
                [&self.log, &self.printed].map(|path| fs::read_to_string(path).expect("a file")).concat();
            let at = |scheme: &str| listening(&log, scheme);
            let place = |name: &str| match name {
                "tcp" => at("tcp").map(Place::Tcp),
                "unix" => Some(Place::Unix(folder.join("siege.sock"))),
                "ws" => at("ws").map(Place::WebSocket),
                "hybrid" => at("hybrid").map(Place::Tcp),
                "hybrid-ws" => at("hybrid").map(Place::WebSocket),
                "socketio" => at("socketio").map(Place::SocketIo),
                "udp" => at("udp").map(Place::Udp),
                _ => None,
            };
            let places: Vec<_> = names.iter().filter_map(|name| Some((*name, place(name)?))).collect();
            if places.len() == names.len() {
                return Places(places);
            }
            let ended = self.child.try_wait().expect("its state is known");
            assert!(ended.is_none() && begun.elapsed() < PATIENCE, "it does not listen everywhere:\n{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The memory in use, in bytes.
    pub fn memory(&self) -> usize {
        process::resident_of(self.child.id())
    }

    /// How many descriptors are open.
    pub fn descriptors(&self) -> usize {
        process::descriptors_of(self.child.id())
    }

    /// Waits until it has no more descriptors than it had before clients came, but for those of the last ones.
    pub async fn until_quiet(&self, before: usize) {
        let quiet = async {
            while self.descriptors() > before {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        within("all connections to be closed", quiet).await;
    }

    /// Ends it by SIGTERM, and reads what it logged. It must end by itself, and well.
    pub fn end(mut self) -> Log {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it runs");
        let begun = std::time::Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("its state is known") {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "SIGTERM does not end it");
            std::thread::sleep(Duration::from_millis(20));
        };
        assert!(status.success(), "{status}");
        let mut log = Log { lines: 0, bytes: 0, longest: 0 };
        for line in BufReader::new(File::open(&self.log).expect("the log")).lines() {
            let line = line.expect("it is text");
            assert!(serde_json::from_str::<Value>(&line).is_ok(), "a line of the log is no JSON: {line}");
            log.lines += 1;
            log.bytes += line.len() + 1;
            log.longest = log.longest.max(line.len());
        }
        log
    }
}

impl Drop for Besieged {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address behind a scheme, once the server has said it.
fn listening(text: &str, scheme: &str) -> Option<SocketAddr> {
    let url = format!("{scheme}://");
    let (before, _) = text
        .match_indices(&url)
        .map(|(at, _)| text.split_at(at))
        .find(|(before, _)| !before.ends_with(|last: char| last.is_ascii_alphanumeric()))?;
    let address = &text[before.len() + url.len()..];
    let end = address.find(|next: char| !next.is_ascii_digit() && !".:".contains(next));
    address[..end.unwrap_or(address.len())].parse().ok()
}
