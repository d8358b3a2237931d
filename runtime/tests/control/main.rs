//! The control API, the commands over it, and what SIGHUP reloads: of a real server, as others meet it.
#![cfg(feature = "cli")]

mod api;
mod commands;
mod config;
mod door;
mod reload;
mod secrets;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// How long to wait for what must come. Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// The built-in component.
const POMELO: &[u8] = include_bytes!("../../codecs/pomelo.wasm");

/// The built-in component with a note in it: the same behaviour, another digest.
fn noted(note: &str) -> Vec<u8> {
    // A custom section: its id, its size, and its name with the length of that. One byte each is enough.
    let name = "note";
    let mut wasm = POMELO.to_vec();
    wasm.extend([0, (1 + name.len() + note.len()) as u8, name.len() as u8]);
    wasm.extend([name, note].concat().bytes());
    wasm
}

/// A file of a test, whose name must be its own.
fn file(name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, content).expect("the directory of tests can be written");
    path
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wireplug"));
    command.args(arguments).stdin(Stdio::null()).env("NO_COLOR", "1");
    for variable in ["RUST_LOG", "WIREPLUG_CONTROL", "WIREPLUG_TOKEN_FILE"] {
        command.env_remove(variable);
    }
    command
}

/// Whether a command succeeds, and what it says: on standard output if so, else on standard error.
fn run(arguments: &[&str]) -> Result<String, String> {
    let output = command(arguments).output().expect("the binary is there");
    let text = |bytes| String::from_utf8(bytes).expect("what is said is text");
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// A `wireplug` that runs, ended at the latest with the test.
struct Running {
    child: Child,
    out: Receiver<String>,
    log: Receiver<String>,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut command = command(arguments);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary is there");
        let out = lines(child.stdout.take().expect("it is piped"));
        let log = lines(child.stderr.take().expect("it is piped"));
        Self { child, out, log }
    }

    /// The next line of the output.
    fn line(&self) -> String {
        self.out.recv_timeout(PATIENCE).expect("it prints a line")
    }

    /// The next line of the log that has this text.
    #[track_caller]
    fn logged(&self, text: &str) -> String {
        loop {
            let line = self.log.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{text:?} is not logged"));
            if line.contains(text) {
                return line;
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(from: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        BufReader::new(from).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)).ok();
    });
    lines
}

/// `wireplug serve` with a control API.
struct Served {
    running: Running,
    /// Where clients connect.
    url: String,
    /// Where the control API listens.
    control: String,
}

impl Served {
    /// Over the built-in codec.
    fn start() -> Self {
        Self::with(&["--listen", "tcp://127.0.0.1:0", "--control", "127.0.0.1:0"])
    }

    fn with(arguments: &[&str]) -> Self {
        let running = Running::start(&[&["serve"], arguments].concat());
        let (mut url, mut control) = (String::new(), String::new());
        loop {
            let line = running.line();
            let line = line.trim();
            if line.starts_with("tcp://") {
                line.clone_into(&mut url);
            } else if let Some((address, _)) =
                line.strip_prefix("http://").and_then(|rest| rest.split_once(','))
            {
                address.clone_into(&mut control);
            } else if line.starts_with("process ") {
                return Self { running, url, control };
            }
        }
    }

    /// A client that has joined the chat, and stays.
    fn member(&self) -> Running {
        let member =
            Running::start(&["call", &self.url, "chat.chatHandler.join", r#"{"name":"ann"}"#, "--listen"]);
        assert_eq!(member.line(), r#"{"name":"ann"}"#);
        member
    }

    /// Says something in the chat.
    fn say(&self, text: &str) {
        let body = format!(r#"{{"text":"{text}"}}"#);
        let join = ["chat.chatHandler.join", r#"{"name":"bob"}"#, "--then", "chat.chatHandler.send", &body];
        run(&[&["call", &self.url], &join[..]].concat()).expect("the server answers");
    }

    /// Sends a request to the control API. Returns the status, and the answer.
    fn ask(&self, method: &str, target: &str, body: &[u8]) -> (u16, Value) {
        self.ask_with(method, target, &format!("Host: {}\r\n", self.control), body)
    }

    /// The same with these headers.
    fn ask_with(&self, method: &str, target: &str, headers: &str, body: &[u8]) -> (u16, Value) {
        let length = body.len();
        let head = format!("{method} {target} HTTP/1.1\r\n{headers}Content-Length: {length}\r\n\r\n");
        self.raw(&[head.as_bytes(), body].concat())
    }

    fn raw(&self, request: &[u8]) -> (u16, Value) {
        let mut socket = TcpStream::connect(&self.control).expect("the control API listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
        // One that is refused may not be read to its end.
        let _ = socket.write_all(request);
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("it answers, and closes");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("it has a status");
        (status, serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer:?} is not JSON")))
    }

    /// What a refused request is told.
    #[track_caller]
    fn refused(&self, method: &str, target: &str, body: &[u8], wanted: u16) -> String {
        error(self.ask(method, target, body), wanted)
    }
}

#[track_caller]
fn error((status, answer): (u16, Value), wanted: u16) -> String {
    assert_eq!(status, wanted, "{answer}");
    answer["error"].as_str().expect("a refusal says why").to_owned()
}
