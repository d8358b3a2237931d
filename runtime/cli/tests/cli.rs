//! The `wireplug` command as a person meets it: what it prints, how it ends, what it says of mistakes.

#[path = "cli/calls.rs"]
mod calls;

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use wireplug_pomelo::client::{Client, Incoming};

/// How long to wait for what must come. Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

const ECHO: &str = "connector.entryHandler.echo";

#[test]
fn serves_and_calls_over_tcp_and_websocket() {
    let server = Served::start(&[]);
    for scheme in ["tcp", "ws"] {
        let url = server.url(scheme);
        let body = r#"{"hello":"wörld 😀"}"#;
        assert_eq!(printed(&["call", &url, ECHO, body]), format!("{body}\n"));
        assert!(printed(&["call", &url, "connector.entryHandler.time"]).starts_with("{\"time\":1"));
        let chat = printed(&[
            "call",
            &url,
            "chat.chatHandler.join",
            r#"{"name":"ann"}"#,
            "--then",
            "chat.chatHandler.send",
            r#"{"text":"hi"}"#,
        ]);
        assert!(chat.starts_with("{\"name\":\"ann\"}\n"), "{chat}");
    }
}

#[test]
fn counts_at_sigusr1_and_says_farewell_at_sigterm() {
    let mut server = Served::start(&[]);
    let mut client = Connected::to(server.address());
    assert_eq!(client.request(ECHO, "{}"), b"{}");

    server.signal("USR1");
    assert_eq!(server.line(), "connections: 1 open, 1 accepted");
    let lines: Vec<_> = (0..5).map(|_| server.line()).collect();
    assert!(lines[1].starts_with("messages:    1 in, 1 out"), "{lines:?}");
    assert_eq!(lines[4], "faults:      none");
    assert_eq!(server.line(), "log:         0 lines left out");

    server.signal("TERM");
    let reason = Some("the server stops".to_owned());
    assert_eq!(client.next(), Some(Incoming::Kick { reason }));
    assert_eq!(client.next(), None);
    assert_eq!(server.exit_code(), Some(0));
    assert_eq!(server.line(), "stopping");
    assert_eq!(server.line(), "connections: 0 open, 1 accepted");
}

#[test]
fn listens_where_it_is_told() {
    let server = Served::start(&["--listen", "tcp://127.0.0.1:0", "--options", "{\"dictionary\":false}"]);
    assert!(server.url.starts_with("tcp://127.0.0.1:"), "{}", server.url);
    assert_eq!(printed(&["call", &server.url("tcp"), ECHO, "[1]"]), "[1]\n");
    let (code, error) = fails(&["call", &server.url("ws"), ECHO]);
    assert_eq!(code, Some(1));
    assert!(error.contains("does not speak WebSocket"), "{error}");
    let (code, error) = fails(&["serve", "--listen", &server.url]);
    assert_eq!(code, Some(1));
    assert!(error.contains(&format!("cannot listen on {}", server.url)), "{error}");
}

/// Colours are for terminals: in a file they would be noise between the words.
#[test]
fn logs_without_colours_into_a_file() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("log-{}", std::process::id()));
    let mut server = Served::logging(&[], File::create(&path).expect("it can be made").into());
    let mut client = TcpStream::connect(server.address()).expect("it listens");
    client.write_all(&[0xff; 8]).expect("it is open");
    let _ = client.read_to_end(&mut Vec::new());
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));

    let log = std::fs::read_to_string(&path).expect("there is a log");
    assert!(log.contains(" INFO connection{id=1 ") && !log.contains('\x1b'), "{log}");
    let _ = std::fs::remove_file(path);
}

#[test]
fn says_what_was_wrong() {
    const NOWHERE: &str = "tcp://127.0.0.1:0";
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let cases: &[(&[&str], i32, &str)] = &[
        (
            &["call", "http://127.0.0.1:1", ECHO],
            1,
            "a client speaks tcp://, ws://, tls://, wss://, unix:// or udp://",
        ),
        (&["call", "hybrid://127.0.0.1:1", ECHO], 1, "tcp:// or ws:// to a listener at hybrid://"),
        (&["call", "unix://x", ECHO], 1, "the path is absolute: unix:///PATH"),
        (&["call", "unix:///no/such/socket", ECHO], 1, "cannot connect to unix:///no/such/socket"),
        (&["call", "udp://127.0.0.1:1", ECHO], 1, "cannot connect to udp://127.0.0.1:1"),
        (
            &["call", "tls://127.0.0.1:1", ECHO, "--ca", "/no/such"],
            1,
            "cannot read the certificates in /no/such",
        ),
        (&["call", "tls://127.0.0.1:1", ECHO, "--ca", manifest], 1, "there is no certificate in it"),
        (&["call", "127.0.0.1:1", ECHO], 1, "is not a URL like tcp://127.0.0.1:3010"),
        (&["call", "tcp://127.0.0.1", ECHO], 1, "the port is missing"),
        (&["call", "tcp://127.0.0.1:1", ECHO], 1, "cannot connect to tcp://127.0.0.1:1"),
        (&["call", "tcp://127.0.0.1:1", ECHO, "{bad"], 2, "invalid value '{bad'"),
        (&["call", "tcp://127.0.0.1:1", ECHO, "{}", "--then", "a.b.c", "{bad"], 1, "second body is not JSON"),
        (&["call"], 2, "Usage: wireplug call"),
        (&["nonsense"], 2, "unrecognized subcommand 'nonsense'"),
        (&["serve", "--listen", "quic://127.0.0.1:0"], 1, "unknown transport \"quic\"; there is hybrid, "),
        (&["serve", "--listen", "127.0.0.1:0"], 1, "is not a URL like tcp://127.0.0.1:3010"),
        (&["serve", "--listen", "tcp://127.0.0.1:0/path"], 1, "a listener's URL is only tcp://HOST:PORT"),
        (&["serve", "--listen", NOWHERE, "--options", "{"], 2, "invalid value '{'"),
        (&["serve", "--listen", NOWHERE, "--options", "[]"], 1, "options are a JSON object"),
        (&["serve", "--listen", NOWHERE, "--options", "{\"nope\":1}"], 1, "unknown option `nope`"),
        (&["serve", "--listen", NOWHERE, "--options", "{\"timeout\":1}"], 1, "`timeout` needs `heartbeat`"),
        (&["serve", "--codec", "/nowhere/x.wasm"], 1, "cannot read the codec /nowhere/x.wasm"),
        (&["serve", "--codec", manifest], 1, "it is not a WebAssembly file"),
        (&["serve", "x.wasm"], 1, "x.wasm is a codec and no configuration: wireplug serve --codec x.wasm"),
    ];
    for (arguments, wanted, text) in cases {
        let (code, error) = fails(arguments);
        assert_eq!(code, Some(*wanted), "{arguments:?}: {error}");
        assert!(error.contains(text), "{arguments:?}: {error}");
    }
}

/// `head` and its like read as much as they want. A command that is not done then must not panic for that.
#[test]
fn a_closed_pipe_is_no_fault() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let component = concat!(env!("CARGO_MANIFEST_DIR"), "/../codecs/pomelo.wasm");
    let cases: &[(&[&str], i32)] = &[
        (&["config", "schema"], 0),
        (&["config", "check", manifest], 1),
        (&["config", "check", "/no/such/file"], 1),
        (&["codec", "inspect", component], 0),
        (&["codec", "inspect", component, "--json"], 0),
        (&["codec", "inspect", manifest], 0),
        (&["codec", "list", "--control", "127.0.0.1:1"], 1),
        (&["call", "tcp://127.0.0.1:1", ECHO], 1),
        (&["--help"], 0),
        (&["nonsense"], 2),
    ];
    for (arguments, wanted) in cases {
        let mut command = command(arguments);
        // Both ends of it are closed before it prints anything.
        let (read, write) = std::io::pipe().expect("a pipe");
        drop(read);
        let errors = write.try_clone().expect("a descriptor");
        let status = command.stdout(write).stderr(errors).status().expect("the binary is there");
        assert_eq!(status.code(), Some(*wanted), "{arguments:?}");
    }
}

#[test]
fn a_file_that_names_no_application_serves_nobody() {
    let write = |name: &str, app: &str| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.toml", std::process::id()));
        let text = "[codecs.pomelo]\nbuiltin = 'pomelo'\n[[listeners]]\nurl = 'tcp://127.0.0.1:0'\ncodec = 'pomelo'\n";
        std::fs::write(&path, format!("{app}{text}")).expect("the directory of tests can be written");
        path.to_str().expect("it is text").to_owned()
    };
    let none = write("no-application", "");
    for arguments in [&["serve", &none][..], &["config", "check", &none]] {
        let (code, error) = fails(arguments);
        assert_eq!(code, Some(1));
        assert!(
            error.starts_with(&format!("{none}:1:1: app: it is missing: without an application")),
            "{error}"
        );
    }
    let demo = write("demo-application", "app = 'demo'\n");
    assert!(printed(&["config", "check", &demo]).contains("  serves the demo application: a chat"));
    let server = Served::running(&[&demo], Stdio::null());
    assert_eq!(printed(&["call", &server.url, ECHO, "[1]"]), "[1]\n");
    for path in [none, demo] {
        let _ = std::fs::remove_file(path);
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wireplug"));
    command.args(arguments).env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// What a command prints that succeeds.
fn printed(arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = command(arguments).output().expect("the binary is there");
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{arguments:?}: {status}: {stderr}");
    String::from_utf8(stdout).expect("the output is text")
}

/// The exit code of a command that fails, and what it says.
fn fails(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command(arguments).output().expect("the binary is there");
    assert!(!status.success(), "{arguments:?} printed {}", String::from_utf8_lossy(&stdout));
    (status.code(), String::from_utf8(stderr).expect("errors are text"))
}

/// `wireplug serve`, ended at the latest with the test.
struct Served {
    child: Child,
    lines: Receiver<String>,
    /// Where its first listener is.
    url: String,
    urls: Vec<String>,
}

impl Served {
    /// Starts it, on a free port unless `arguments` say otherwise, and waits until it listens.
    fn start(arguments: &[&str]) -> Self {
        Self::logging(arguments, Stdio::null())
    }

    /// The same, with a place for its log.
    fn logging(arguments: &[&str], log: Stdio) -> Self {
        match arguments.contains(&"--listen") {
            true => Self::running(arguments, log),
            false => Self::running(&[&["--listen", "hybrid://127.0.0.1:0"], arguments].concat(), log),
        }
    }

    /// The same, with these arguments alone.
    fn running(arguments: &[&str], log: Stdio) -> Self {
        let mut serve = command(&["serve"]);
        serve.args(arguments).stdout(Stdio::piped()).stderr(log);
        let mut child = serve.spawn().expect("the binary is there");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, lines) = channel();
        thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)).ok();
        });
        let mut server = Self { child, lines, url: String::new(), urls: Vec::new() };
        assert!(server.line().ends_with(" serves the demo application"));
        loop {
            let line = server.line();
            if line.starts_with("  process ") {
                break;
            }
            server.urls.push(line.trim().to_owned());
        }
        server.url = server.urls[0].clone();
        // Behind what it goes on to say, so that the next line is what comes next.
        while !server.line().contains("--then") {}
        assert_eq!(server.line(), "");
        server
    }

    fn address(&self) -> &str {
        self.url.split_once("://").expect("a URL has a scheme").1
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address())
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the server prints a line")
    }

    fn signal(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status().expect("there is a shell");
        assert!(status.success());
    }

    fn exit_code(&mut self) -> Option<i32> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status.code();
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the server did not stop");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Pomelo client whose handshake is over.
struct Connected {
    stream: TcpStream,
    client: Client,
    incoming: std::collections::VecDeque<Incoming>,
}

impl Connected {
    fn to(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
        let mut connected = Self { stream, client: Client::new(), incoming: Default::default() };
        let mut out = Vec::new();
        connected.client.connect(None, &mut out);
        connected.stream.write_all(&out).expect("the server reads");
        let ready = connected.next();
        assert!(matches!(ready, Some(Incoming::Ready { .. })), "{ready:?}");
        connected
    }

    fn request(&mut self, route: &str, body: &str) -> Vec<u8> {
        let mut out = Vec::new();
        self.client.request(route, body.as_bytes(), &mut out).expect("the connection is ready");
        self.stream.write_all(&out).expect("the server reads");
        match self.next() {
            Some(Incoming::Response { body, .. }) => body,
            other => panic!("{other:?} in answer to a request"),
        }
    }

    /// What comes next but heartbeats; none when the server has closed.
    fn next(&mut self) -> Option<Incoming> {
        loop {
            match self.incoming.pop_front() {
                Some(Incoming::Heartbeat) => {}
                Some(incoming) => return Some(incoming),
                None => {
                    let mut bytes = [0; 4096];
                    let count = self.stream.read(&mut bytes).expect("the server says something");
                    if count == 0 {
                        return None;
                    }
                    let (mut out, mut incoming) = (Vec::new(), Vec::new());
                    self.client.receive(&bytes[..count], &mut out, &mut incoming).expect("Pomelo");
                    self.stream.write_all(&out).expect("the server reads");
                    self.incoming.extend(incoming);
                }
            }
        }
    }
}
