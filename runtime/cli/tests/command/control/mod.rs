//! The control API, its commands, and reloads by SIGHUP, with a real server.

mod access;
mod api;
mod audit;
mod commands;
mod console;
mod drain;
mod events;
mod health;
mod limits;
mod metrics;
mod moved;
mod openapi;
mod prometheus;
mod reload;
mod roles;
mod secrets;
mod sessions;
mod socket;
mod tls;
mod tokens;
mod trace;
mod trust;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;
use socket2::{Domain, Socket, Type};
use wireplug_tests::running::{PATIENCE, Running, finish};
use wireplug_tests::served::Served;
use wireplug_tests::versions;
use wireplug_tests::versions::POMELO;

use super::program::wireplug;

/// The folder in which servers generate tokens, each named after its port. It is emptied first,
/// because servers that were killed leave their tokens behind.
static RUNTIME_FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("runtime-control");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the directory of tests can be written");
    folder
});

/// Returns the built-in component with a note in it, which changes only its digest.
fn noted(note: &str) -> Vec<u8> {
    versions::noted(POMELO, note).into()
}

/// Writes a file for a test. Its name must be unique among all tests.
fn file(name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, content).expect("the directory of tests can be written");
    path
}

/// Writes a file that no other user may read.
fn secret(name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = file(name, content);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("the file is ours");
    path
}

/// The token of an administrator, in a file that [`tokens`] writes.
const ADMIN: &str = "0123456789abcdef0123456789abcdef";

/// The token of a client that may only read, in the same file.
const READER: &str = "fedcba9876543210fedcba9876543210";

/// Writes a file with the tokens of an administrator and of a reader. Returns it, with its name.
fn tokens(test: &str) -> (PathBuf, String) {
    let name = format!("{test}.tokens");
    (secret(&name, format!("ann admin {ADMIN}\nreader read {READER}\n")), name)
}

/// Returns the headers of a request with this token.
fn bearer(token: &str) -> String {
    format!("Host: localhost\r\nAuthorization: Bearer {token}\r\n")
}

/// Returns a configuration with this control API, for a test of this name.
fn configured(name: &str, control: &str) -> String {
    let text = format!(
        "app = 'demo'
        [codecs.pomelo]
        builtin = 'pomelo'
        [[listeners]]
        url = 'tcp://127.0.0.1:0'
        codec = 'pomelo'
        [control]
        {control}"
    );
    text_of(&file(&format!("{name}.toml"), text)).to_owned()
}

fn text_of(path: &Path) -> &str {
    path.to_str().expect("it is text")
}

/// Returns a command that finds the generated tokens.
fn command(arguments: &[&str]) -> Command {
    let mut command = wireplug(arguments);
    command.env("XDG_RUNTIME_DIR", &*RUNTIME_FOLDER);
    command
}

/// Runs a command. Returns its standard output if it succeeds, and its standard error otherwise.
fn run(arguments: &[&str]) -> Result<String, String> {
    finish(&mut command(arguments)).result()
}

/// A process of `wireplug serve` with a control API over TCP.
struct Controlled {
    server: Served,
    /// The address of the control API, IP:PORT.
    control: String,
}

impl Controlled {
    /// Starts a server with the built-in codec.
    fn start() -> Self {
        Self::with(&["--listen", "tcp://127.0.0.1:0", "--control", "127.0.0.1:0"])
    }

    fn with(arguments: &[&str]) -> Self {
        let server = Served::start(command(&["serve"]).args(arguments));
        let control = server.control.as_ref().and_then(|url| url.split_once("://"));
        let (scheme, control) = control.expect("it has a control API");
        assert!(scheme != "unix", "its control API is over TCP");
        let control = control.to_owned();
        Self { server, control }
    }

    /// Starts a client that joins the chat and stays.
    fn member(&self) -> Running {
        let join = ["chat.chatHandler.join", r#"{"name":"ann"}"#, "--listen"];
        let member = Running::start(wireplug(["call", &self.urls[0]]).args(join));
        assert_eq!(member.line(), r#"{"name":"ann"}"#);
        member
    }

    /// Sends a message to the chat.
    fn say(&self, text: &str) {
        let body = format!(r#"{{"text":"{text}"}}"#);
        let join = ["chat.chatHandler.join", r#"{"name":"bob"}"#, "--then", "chat.chatHandler.send", &body];
        finish(wireplug(["call", &self.urls[0]]).args(join)).result().expect("the server answers");
    }

    /// Sends a request to the control API. Returns the status and the body of the answer.
    fn ask(&self, method: &str, target: &str, body: &[u8]) -> (u16, Value) {
        self.ask_with(method, target, &self.headers(), body)
    }

    /// Returns the headers of a request of an administrator.
    fn headers(&self) -> String {
        let token = self.token.as_deref().unwrap_or(ADMIN);
        format!("Host: {}\r\nAuthorization: Bearer {token}\r\n", self.control)
    }

    /// Sends a request with these headers.
    fn ask_with(&self, method: &str, target: &str, headers: &str, body: &[u8]) -> (u16, Value) {
        let length = body.len();
        let head = format!("{method} {target} HTTP/1.1\r\n{headers}Content-Length: {length}\r\n\r\n");
        self.raw(&[head.as_bytes(), body].concat())
    }

    fn raw(&self, request: &[u8]) -> (u16, Value) {
        let mut socket = self.connect();
        // A refused request may not be read to its end.
        let _ = socket.write_all(request);
        answer(&mut socket)
    }

    /// Sends a request. Returns the status and the body of the answer, which may be any text.
    fn raw_text(&self, request: &str) -> (u16, String) {
        let mut socket = self.connect();
        // A refused request may not be read to its end.
        let _ = socket.write_all(request.as_bytes());
        answer_text(&mut socket)
    }

    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(&self.control).expect("the control API listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
        socket
    }

    /// Connects from another address of this machine.
    fn connect_from(&self, address: [u8; 4]) -> TcpStream {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((address, 0)).into()).expect("127/8 is this machine");
        let server: SocketAddr = self.control.parse().expect("an address");
        socket.connect(&server.into()).expect("the control API listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
        socket.into()
    }

    /// Sends a request that must be refused, and returns the error in the answer.
    #[track_caller]
    fn refused(&self, method: &str, target: &str, body: &[u8], wanted: u16) -> String {
        error(self.ask(method, target, body), wanted)
    }
}

impl Deref for Controlled {
    type Target = Served;

    fn deref(&self) -> &Served {
        &self.server
    }
}

impl DerefMut for Controlled {
    fn deref_mut(&mut self) -> &mut Served {
        &mut self.server
    }
}

/// Reads a whole answer. Returns its status and its JSON body.
fn answer(socket: &mut TcpStream) -> (u16, Value) {
    let (status, body) = answer_text(socket);
    (status, serde_json::from_str(&body).unwrap_or_else(|_| panic!("{body:?} is not JSON")))
}

/// Reads a whole answer. Returns its status and its body.
fn answer_text(socket: &mut TcpStream) -> (u16, String) {
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("it answers, and closes");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("it has a status");
    (status, body.to_owned())
}

#[track_caller]
fn error((status, answer): (u16, Value), wanted: u16) -> String {
    assert_eq!(status, wanted, "{answer}");
    answer["error"].as_str().expect("a refusal says why").to_owned()
}
