//! `wireplug drain`, with real clients.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;

use serde_json::{Value, json};
use wireplug_tests::client::Client;
use wireplug_tests::raw::RawWebSocket;
use wireplug_tests::running::{Finished, PATIENCE, Running, Signal, finish, wait_for};

use super::{Controlled, READER, bearer, command, error, file, text_of, tokens};

/// Starts a server with a port for health checks, and these lines in its configuration.
fn serve(name: &str, control: &str, server: &str) -> Controlled {
    let text = format!(
        "app = 'demo'
        [server]
        {server}
        [health]
        listen = '127.0.0.1:0'
        [codecs.pomelo]
        builtin = 'pomelo'
        [[listeners]]
        url = 'hybrid://127.0.0.1:0'
        codec = 'pomelo'
        [control]
        listen = '127.0.0.1:0'
        {control}"
    );
    Controlled::with(&[text_of(&file(&format!("{name}.toml"), text))])
}

/// Runs `wireplug drain` with these options beside the test.
fn drain(server: &Controlled, options: &[&str]) -> Running {
    let url = format!("http://{}", server.control);
    Running::start(command(&["drain", "--control", &url]).args(options))
}

/// Returns the answer of the port for health checks.
fn readiness(server: &Controlled) -> String {
    let mut socket = TcpStream::connect(server.health.as_deref().expect("it has one")).expect("it listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
    socket.write_all(b"GET /readyz HTTP/1.1\r\nHost: here\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("it answers and closes");
    answer
}

fn is_refused(server: &Controlled) -> bool {
    TcpStream::connect(server.address()).is_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_closed_over_a_time_and_the_process_goes_on() {
    let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("audit-drain.log");
    let _ = fs::remove_file(&log);
    let mut server = serve("drain", "audit-log = 'audit-drain.log'", "drain-spread = '2s'");
    let (tcp, ws) = (server.url("tcp"), server.url("ws"));
    let mut first = Client::connect(&tcp).await;
    let mut second = RawWebSocket::pomelo(&ws).await;

    let mut draining = drain(&server, &[]);
    let red = wait_for("the readiness", PATIENCE, || {
        Some(readiness(&server)).filter(|answer| !answer.starts_with("HTTP/1.1 200 "))
    });
    assert!(red.starts_with("HTTP/1.1 503 ") && red.ends_with("\r\n\r\nthe server is draining\n"), "{red}");
    first.closed().await;
    // The second one comes after half of the time, so the drain has not ended yet.
    assert!(draining.is_running());
    assert!(is_refused(&server));
    let farewell = second.message().await.expect("the codec has a farewell");
    assert!(farewell.ends_with(br#"{"reason":"the server stops"}"#), "{farewell:?}");
    assert_eq!(second.close_frame().await, (1012, "shutdown".to_owned()));
    assert_eq!(
        draining.line(),
        "drained: 2 sessions were closed, no connection is left; the process runs until it is stopped"
    );
    assert_eq!(draining.exit_code(), Some(0));

    // A second drain reports the same, and a reload would change nothing that is used.
    let (status, report) = server.ask("POST", "/drain", b"");
    assert_eq!((status, report), (200, json!({ "sessions": 2, "connections-left": 0 })));
    let why = error(server.ask("POST", "/reload", b""), 409);
    assert!(why.contains("the server drains"), "{why}");
    assert_eq!(server.ask("GET", "/nodes", b"").0, 200);
    let lines = fs::read_to_string(&log).expect("the audit log is there");
    let line: Value = serde_json::from_str(lines.lines().next().expect("a line")).expect("it is JSON");
    assert_eq!([&line["change"], &line["outcome"], &line["who"]], ["drain", "done", "token:generated"]);

    server.signal(Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_still_come_during_the_wait_and_the_end_follows() {
    let mut server = serve("drain-wait", "", "");
    let mut draining = drain(&server, &["--wait", "5s", "--exit"]);
    wait_for("the readiness", PATIENCE, || (!readiness(&server).starts_with("HTTP/1.1 200 ")).then_some(()));
    let tcp = server.url("tcp");
    let mut late = Client::connect(&tcp).await;
    late.closed().await;
    assert_eq!(draining.line(), "drained: 1 session was closed, no connection is left; the server ends");
    assert_eq!(draining.exit_code(), Some(0));
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn who_may_only_read_cannot_drain() {
    let (_, tokens) = tokens("drain-refused");
    let server = serve("drain-refused", &format!("token-file = '{tokens}'"), "");
    let why = error(server.ask_with("POST", "/drain", &bearer(READER), b""), 403);
    assert!(why.contains("needs the role `admin`"), "{why}");
    server.logged("a drain was refused");
    for (query, wanted) in
        [("wait=1h", "10 minutes at most"), ("wait=soon", "not a time"), ("spread=1s", "unknown field")]
    {
        let why = server.refused("POST", &format!("/drain?{query}"), b"", 400);
        assert!(why.contains(wanted), "{query}: {why}");
    }
    assert!(!is_refused(&server) && readiness(&server).starts_with("HTTP/1.1 200 "));
}

#[test]
fn without_a_server_it_fails() {
    let Finished { code, errors, .. } =
        finish(&mut command(&["drain", "--control", "unix:///nonexistent/control.sock"]));
    assert_eq!(code, Some(1));
    assert!(errors.contains("/nonexistent/control.sock"), "{errors}");
}
