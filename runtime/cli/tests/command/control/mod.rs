//! The control API, the commands over it, and what SIGHUP reloads: of a real server, as others meet
//! it.

mod access;
mod api;
mod audit;
mod commands;
mod limits;
mod reload;
mod secrets;
mod socket;

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

/// Where tokens are generated, each named after its port. Emptied of those that killed servers have
/// left.
static RUNTIME_FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("runtime-control");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the directory of tests can be written");
    folder
});

/// The built-in component with a note in it: the same behaviour, another digest.
fn noted(note: &str) -> Vec<u8> {
    versions::noted(POMELO, note).into()
}

/// A file of a test, whose name must be its own.
fn file(name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, content).expect("the directory of tests can be written");
    path
}

/// A file of a test that nobody else may read.
fn secret(name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = file(name, content);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("the file is ours");
    path
}

/// A configuration with a control API as `control` says, for a test of this name.
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

/// A command that finds the generated tokens.
fn command(arguments: &[&str]) -> Command {
    let mut command = wireplug(arguments);
    command.env("XDG_RUNTIME_DIR", &*RUNTIME_FOLDER);
    command
}

/// Whether a command succeeds, and what it says: on standard output if so, else on standard error.
fn run(arguments: &[&str]) -> Result<String, String> {
    finish(&mut command(arguments)).result()
}

/// `wireplug serve` with a control API over TCP.
struct Controlled {
    server: Served,
    /// Where the control API listens: IP:PORT.
    control: String,
}

impl Controlled {
    /// Over the built-in codec.
    fn start() -> Self {
        Self::with(&["--listen", "tcp://127.0.0.1:0", "--control", "127.0.0.1:0"])
    }

    fn with(arguments: &[&str]) -> Self {
        let server = Served::start(command(&["serve"]).args(arguments));
        let control = server.control.as_ref().and_then(|url| url.strip_prefix("http://"));
        let control = control.expect("it has a control API over TCP").to_owned();
        Self { server, control }
    }

    /// A client that has joined the chat, and stays.
    fn member(&self) -> Running {
        let join = ["chat.chatHandler.join", r#"{"name":"ann"}"#, "--listen"];
        let member = Running::start(wireplug(["call", &self.urls[0]]).args(join));
        assert_eq!(member.line(), r#"{"name":"ann"}"#);
        member
    }

    /// Says something in the chat.
    fn say(&self, text: &str) {
        let body = format!(r#"{{"text":"{text}"}}"#);
        let join = ["chat.chatHandler.join", r#"{"name":"bob"}"#, "--then", "chat.chatHandler.send", &body];
        finish(wireplug(["call", &self.urls[0]]).args(join)).result().expect("the server answers");
    }

    /// Sends a request to the control API. Returns the status, and the answer.
    fn ask(&self, method: &str, target: &str, body: &[u8]) -> (u16, Value) {
        self.ask_with(method, target, &self.headers(), body)
    }

    /// The headers of a request that is let in.
    fn headers(&self) -> String {
        let token = self.token.as_deref().expect("a token was generated");
        format!("Host: {}\r\nAuthorization: Bearer {token}\r\n", self.control)
    }

    /// The same with these headers.
    fn ask_with(&self, method: &str, target: &str, headers: &str, body: &[u8]) -> (u16, Value) {
        let length = body.len();
        let head = format!("{method} {target} HTTP/1.1\r\n{headers}Content-Length: {length}\r\n\r\n");
        self.raw(&[head.as_bytes(), body].concat())
    }

    fn raw(&self, request: &[u8]) -> (u16, Value) {
        let mut socket = self.connect();
        // One that is refused may not be read to its end.
        let _ = socket.write_all(request);
        answer(&mut socket)
    }

    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(&self.control).expect("the control API listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
        socket
    }

    /// A connection from another address of this machine.
    fn connect_from(&self, address: [u8; 4]) -> TcpStream {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((address, 0)).into()).expect("127/8 is this machine");
        let server: SocketAddr = self.control.parse().expect("an address");
        socket.connect(&server.into()).expect("the control API listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
        socket.into()
    }

    /// Sends a request that is refused, and returns the error in its answer.
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

/// Reads a whole answer: the status, and the JSON.
fn answer(socket: &mut TcpStream) -> (u16, Value) {
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("it answers, and closes");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("it has a status");
    (status, serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer:?} is not JSON")))
}

#[track_caller]
fn error((status, answer): (u16, Value), wanted: u16) -> String {
    assert_eq!(status, wanted, "{answer}");
    answer["error"].as_str().expect("a refusal says why").to_owned()
}
