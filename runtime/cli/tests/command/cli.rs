//! `wireplug serve` with its options, its end, and the errors of wrong commands.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use wireplug_pomelo::client::Incoming;
use wireplug_tests::app::ECHO;
use wireplug_tests::blocking::Client;
use wireplug_tests::folder::Folder;
use wireplug_tests::running::{Signal, finish};
use wireplug_tests::served::Served;

use super::MANIFEST;
use super::program::wireplug;

#[test]
fn serves_and_calls_over_tcp_and_websocket() {
    let server = serve(&[]);
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
    let mut server = serve(&[]);
    let mut client = Client::connect(server.connect());
    assert_eq!(client.request(ECHO, "{}"), b"{}");

    server.signal(Signal::USR1);
    assert_eq!(server.line(), "connections: 1 open, 1 accepted");
    let lines: Vec<_> = (0..5).map(|_| server.line()).collect();
    assert!(lines[1].starts_with("messages:    1 in, 1 out"), "{lines:?}");
    assert_eq!(lines[4], "faults:      none");
    assert_eq!(server.line(), "log:         0 lines left out");

    server.signal(Signal::TERM);
    let reason = Some("the server stops".to_owned());
    assert_eq!(client.receive(), Some(Incoming::Kick { reason }));
    assert_eq!(client.receive(), None);
    assert_eq!(server.exit_code(), Some(0));
    assert_eq!(server.line(), "stopping");
    assert_eq!(server.line(), "connections: 0 open, 1 accepted");
}

#[test]
fn listens_at_the_url_that_it_is_given() {
    let server = serve(&["--listen", "tcp://127.0.0.1:0", "--options", "{\"dictionary\":false}"]);
    assert!(server.urls[0].starts_with("tcp://127.0.0.1:"), "{}", server.urls[0]);
    assert_eq!(printed(&["call", &server.url("tcp"), ECHO, "[1]"]), "[1]\n");
    let (code, error) = fails(&["call", &server.url("ws"), ECHO]);
    assert_eq!(code, Some(1));
    assert!(error.contains("does not speak WebSocket"), "{error}");
    let (code, error) = fails(&["serve", "--listen", &server.urls[0]]);
    assert_eq!(code, Some(1));
    assert!(error.contains(&format!("cannot listen on {}", server.urls[0])), "{error}");
}

/// Colours are only for terminals. In a file their escape sequences would be noise.
#[test]
fn logs_without_colours_into_a_file() {
    let folder = Folder::new("cli-log");
    let log = folder.path("log");
    let mut command = wireplug(["serve", "--listen", "hybrid://127.0.0.1:0"]);
    let mut server = demo(&mut command, File::create(&log).expect("it can be made"));
    let mut client = server.connect();
    client.write_all(&[0xff; 8]).expect("it is open");
    let _ = client.read_to_end(&mut Vec::new());
    server.signal(Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));

    let log = fs::read_to_string(log).expect("there is a log");
    assert!(
        log.contains(" INFO connection{codec=pomelo id=1 listener=hybrid://127.0.0.1:")
            && !log.contains('\x1b'),
        "{log}"
    );
}

#[test]
fn says_what_was_wrong() {
    const NOWHERE: &str = "tcp://127.0.0.1:0";
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
        (&["call", "tls://127.0.0.1:1", ECHO, "--ca", MANIFEST], 1, "there is no certificate in it"),
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
        (&["serve", "--codec", MANIFEST], 1, "it is not a WebAssembly file"),
        (&["serve", "x.wasm"], 1, "x.wasm is a codec and no configuration: wireplug serve --codec x.wasm"),
    ];
    for (arguments, wanted, text) in cases {
        let (code, error) = fails(arguments);
        assert_eq!(code, Some(*wanted), "{arguments:?}: {error}");
        assert!(error.contains(text), "{arguments:?}: {error}");
    }
}

/// Programs such as `head` stop reading early. A command that still prints must not panic then.
#[test]
fn a_closed_pipe_is_no_fault() {
    let component = concat!(env!("CARGO_MANIFEST_DIR"), "/../wireplug/codecs/pomelo.wasm");
    let cases: &[(&[&str], i32)] = &[
        (&["config", "schema"], 0),
        (&["config", "check", MANIFEST], 1),
        (&["config", "check", "/no/such/file"], 1),
        (&["codec", "inspect", component], 0),
        (&["codec", "inspect", component, "--json"], 0),
        (&["codec", "inspect", MANIFEST], 0),
        (&["codec", "list", "--control", "127.0.0.1:1"], 1),
        (&["call", "tcp://127.0.0.1:1", ECHO], 1),
        (&["--help"], 0),
        (&["nonsense"], 2),
    ];
    for (arguments, wanted) in cases {
        let mut command = wireplug(*arguments);
        // Both ends of the pipe are closed before the command prints.
        let (read, write) = std::io::pipe().expect("a pipe");
        drop(read);
        let errors = write.try_clone().expect("a descriptor");
        let status = command.stdout(write).stderr(errors).status().expect("the binary is there");
        assert_eq!(status.code(), Some(*wanted), "{arguments:?}");
    }
}

#[test]
fn a_file_that_names_no_application_serves_nobody() {
    let folder = Folder::new("cli-application");
    let write = |name: &str, app: &str| {
        let text = "[codecs.pomelo]\nbuiltin = 'pomelo'\n[[listeners]]\nurl = 'tcp://127.0.0.1:0'\ncodec = 'pomelo'\n";
        folder.write(name, format!("{app}{text}"));
        folder.text(name)
    };
    let none = write("none.toml", "");
    for arguments in [&["serve", &none][..], &["config", "check", &none]] {
        let (code, error) = fails(arguments);
        assert_eq!(code, Some(1));
        assert!(
            error.starts_with(&format!("{none}:1:1: app: it is missing: without an application")),
            "{error}"
        );
    }
    let demo = write("demo.toml", "app = 'demo'\n");
    assert!(printed(&["config", "check", &demo]).contains("  serves the demo application: a chat"));
    let server = self::demo(&mut wireplug(["serve", &demo]), Stdio::null());
    assert_eq!(printed(&["call", &server.urls[0], ECHO, "[1]"]), "[1]\n");
}

/// Returns the output of a command that must succeed.
#[track_caller]
pub(super) fn printed(arguments: &[&str]) -> String {
    finish(&mut wireplug(arguments)).printed()
}

/// Returns the exit code and the errors of a command that must fail.
#[track_caller]
pub(super) fn fails(arguments: &[&str]) -> (Option<i32>, String) {
    finish(&mut wireplug(arguments)).failed()
}

/// Serves the demo, on a free port unless `arguments` name one.
pub(super) fn serve(arguments: &[&str]) -> Served {
    let mut command = wireplug(["serve"]);
    if !arguments.contains(&"--listen") {
        command.args(["--listen", "hybrid://127.0.0.1:0"]);
    }
    demo(command.args(arguments), Stdio::null())
}

/// Serves the demo with this command, and writes its log to `log`.
pub(super) fn demo(command: &mut Command, log: impl Into<Stdio>) -> Served {
    let server = Served::logging(command, log);
    assert!(server.greeting.ends_with(" serves the demo application"), "{}", server.greeting);
    // Skips the rest of the greeting.
    server.output.find(&["--then"]);
    assert_eq!(server.line(), "");
    server
}
