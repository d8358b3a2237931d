//! A server that is a process of its own, and what a Pomelo client says to it.
#![allow(dead_code, reason = "each test needs some of it")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// How long to wait for what must come. Generous: the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_wireplug");

pub struct Served {
    child: Child,
    /// The lines of its log.
    pub said: Receiver<String>,
    address: String,
    config: Option<PathBuf>,
}

impl Served {
    /// A server by a configuration, at the address of its first listener.
    pub fn configured(config: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("wireplug-test-{}-{number}.toml", std::process::id());
        let file = std::env::temp_dir().join(name);
        fs::write(&file, config).expect("it can be written");
        let mut command = Command::new(PROGRAM);
        command.arg("serve").arg(&file);
        let mut served = Self::run(command);
        served.config = Some(file);
        served
    }

    /// A server by a command.
    pub fn run(mut command: Command) -> Self {
        let mut child = command
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it can be run");
        let printed = lines(child.stdout.take().expect("it is piped"));
        let said = lines(child.stderr.take().expect("it is piped"));
        let address = loop {
            let line = printed.recv_timeout(PATIENCE).expect("the server prints where it listens");
            let url = line.trim().split_once("://").filter(|(scheme, _)| ["tcp", "hybrid"].contains(scheme));
            if let Some((_, address)) = url {
                break address.to_owned();
            }
        };
        Self { child, said, address, config: None }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("the kernel accepts, if not the server");
        stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
        stream
    }

    /// The lines of its log that have not been taken.
    pub fn log(&self) -> Vec<String> {
        self.said.try_iter().collect()
    }

    /// Waits for a line of its log.
    pub fn until(&self, words: &[&str]) -> String {
        loop {
            let line = self.said.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no line has {words:?}"));
            if words.iter().all(|words| line.contains(words)) {
                return line;
            }
        }
    }

    /// What it has used so far.
    pub fn cpu_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("it runs");
        let fields: Vec<_> = stat.rsplit(')').next().expect("a name").split_whitespace().collect();
        // utime and stime, the 14th and 15th field, in hundredths of a second.
        let ticks =
            fields[11].parse::<u64>().expect("a number") + fields[12].parse::<u64>().expect("a number");
        Duration::from_millis(10 * ticks)
    }

    /// How many file descriptors it has open.
    pub fn descriptors(&self) -> u64 {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("it runs").count() as u64
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(config) = &self.config {
            let _ = fs::remove_file(config);
        }
    }
}

/// The lines that are written somewhere, as they come.
fn lines(from: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        BufReader::new(from).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)).ok();
    });
    lines
}

fn package(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 4];
    stream.read_exact(&mut head).expect("a package from the server");
    let mut body = vec![0; u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize];
    stream.read_exact(&mut body).expect("the rest of it");
    (head[0], body)
}

pub fn begin_handshake(stream: &mut TcpStream) {
    stream.write_all(b"\x01\0\0\x0a{\"sys\":{}}").expect("the server reads");
}

pub fn end_handshake(stream: &mut TcpStream) {
    assert_eq!(package(stream).0, 1);
    stream.write_all(b"\x02\0\0\0").expect("the server reads");
}

pub fn shake_hands(stream: &mut TcpStream) {
    begin_handshake(stream);
    end_handshake(stream);
}

/// Whether the server answers a handshake, and does not close.
pub fn try_handshake(stream: &mut TcpStream) -> bool {
    let mut first = [0];
    let asked = stream.write_all(b"\x01\0\0\x0a{\"sys\":{}}");
    if asked.is_err() || !stream.peek(&mut first).is_ok_and(|bytes| bytes > 0) {
        return false;
    }
    end_handshake(stream);
    true
}

pub fn heartbeat(stream: &mut TcpStream) {
    stream.write_all(b"\x03\0\0\0").expect("the server is there");
}

/// Asks for an echo, and passes over heartbeats.
pub fn echo(stream: &mut TcpStream, id: u8) {
    stream.write_all(&[b"\x04\0\0\x20\0", &[id][..], b"\x1bconnector.entryHandler.echo{}"].concat()).unwrap();
    let answer = loop {
        let (kind, body) = package(stream);
        if kind == 4 {
            break body;
        }
    };
    assert_eq!(answer, [4, id, b'{', b'}']);
}

/// Reads until the server has closed.
pub fn until_closed(stream: &mut TcpStream) {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return,
            Err(error) => panic!("the server does not close: {error}"),
        }
    }
}
