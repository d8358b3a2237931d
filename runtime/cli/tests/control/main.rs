//! The control API, the commands over it, and what SIGHUP reloads: of a real server, as others meet it.

mod access;
mod api;
mod audit;
mod commands;
mod config;
mod limits;
mod reload;
mod secrets;
mod socket;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, Socket, Type};

/// How long to wait for what must come. Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where tokens are generated, each named after its port. Emptied of those that killed servers have left.
static RUNTIME_FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("runtime-control");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the directory of tests can be written");
    folder
});

/// The built-in component.
const POMELO: &[u8] = include_bytes!("../../../codecs/pomelo.wasm");

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

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wireplug"));
    command.args(arguments).stdin(Stdio::null()).env("NO_COLOR", "1");
    for variable in ["RUST_LOG", "WIREPLUG_CONTROL", "WIREPLUG_TOKEN_FILE"] {
        command.env_remove(variable);
    }
    command.env("XDG_RUNTIME_DIR", &*RUNTIME_FOLDER);
    command
}

/// Whether a command succeeds, and what it says: on standard output if so, else on standard error.
fn run(arguments: &[&str]) -> Result<String, String> {
    finish(&mut command(arguments))
}

fn finish(command: &mut Command) -> Result<String, String> {
    let output = command.output().expect("the binary is there");
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
        Self::spawn(&mut command(arguments))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary is there");
        let out = lines(child.stdout.take().expect("it is piped"));
        let log = lines(child.stderr.take().expect("it is piped"));
        Self { child, out, log }
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().expect("there is a shell").success());
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

/// `wireplug serve` with a control API over TCP.
struct Served {
    running: Running,
    /// Where clients connect.
    url: String,
    /// Where the control API listens: IP:PORT.
    control: String,
    /// The token that was generated, if one was.
    token: Option<String>,
}

impl Served {
    /// Over the built-in codec.
    fn start() -> Self {
        Self::with(&["--listen", "tcp://127.0.0.1:0", "--control", "127.0.0.1:0"])
    }

    fn with(arguments: &[&str]) -> Self {
        let running = Running::start(&[&["serve"], arguments].concat());
        let (mut url, mut control, mut token) = (String::new(), String::new(), None);
        loop {
            let line = running.line();
            let line = line.trim();
            if line.starts_with("tcp://") {
                line.clone_into(&mut url);
            } else if let Some((address, _)) =
                line.strip_prefix("http://").and_then(|rest| rest.split_once(','))
            {
                address.clone_into(&mut control);
            } else if let Some((file, _)) = line.split_once(", the token of the control API") {
                let generated = fs::read_to_string(file).expect("the token is there");
                token = Some(generated.trim().to_owned());
            } else if line.starts_with("process ") {
                return Self { running, url, control, token };
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

    /// What a refused request is told.
    #[track_caller]
    fn refused(&self, method: &str, target: &str, body: &[u8], wanted: u16) -> String {
        error(self.ask(method, target, body), wanted)
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
