//! Traces of sessions, sessions saved as test vectors, and faults that become tests.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use wireplug_tests::hostile::{Guest, bodies};
use wireplug_tests::running::{PATIENCE, Running, finish, wait_for};
use wireplug_tests::versions::POMELO;

use super::{Controlled, READER, bearer, command, configured, error, file, run, text_of, tokens};

/// Returns the arguments of `wireplug trace` with the control API of a server.
fn trace(server: &Controlled, arguments: &[&str]) -> Vec<String> {
    let url = format!("http://{}", server.control);
    [&["trace"], arguments, &["--control", &url]].concat().into_iter().map(str::to_owned).collect()
}

fn traced(server: &Controlled, arguments: &[&str]) -> Result<String, String> {
    let arguments = trace(server, arguments);
    run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

fn started(server: &Controlled, arguments: &[&str]) -> Running {
    Running::start(command(&["trace"]).args(&trace(server, arguments)[1..]))
}

#[track_caller]
fn succeeded(mut command: Running) {
    assert_eq!(command.exit_code(), Some(0));
}

fn vectors(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_file(&path);
    path
}

/// Replays vectors with a component. Returns all that is printed if it fails.
fn replay(component: &Path, vectors: &Path) -> Result<String, String> {
    let done = finish(&mut command(&["codec", "test", text_of(component), text_of(vectors)]));
    let printed = [done.output, done.errors].concat();
    if done.code == Some(0) { Ok(printed) } else { Err(printed) }
}

#[track_caller]
fn replays(component: &Path, vectors: &Path) {
    let text = fs::read_to_string(vectors).expect("the vectors were saved");
    let replayed = replay(component, vectors);
    assert!(replayed.is_ok(), "{replayed:?}\n{text}");
}

/// Returns the number of the only session.
fn session(server: &Controlled) -> String {
    let (status, page) = server.ask("GET", "/sessions", b"");
    assert_eq!((status, page["sessions"].as_array().map(Vec::len)), (200, Some(1)), "{page}");
    page["sessions"][0]["id"].to_string()
}

/// Starts a server with a codec whose packets are lines, and that traps at a line with `!`.
fn trapping(name: &str, limits: &str) -> (Controlled, PathBuf) {
    let guest = Guest::new("fragile").strike(bodies::TRAP).build();
    let component = file(&format!("{name}.wasm"), guest);
    let text = format!(
        "app = 'demo'
        [codecs.fragile]
        file = '{}'
        limits = {{ {limits} }}
        [[listeners]]
        url = 'tcp://127.0.0.1:0'
        codec = 'fragile'
        [control]
        listen = '127.0.0.1:0'",
        text_of(&component)
    );
    (Controlled::with(&[text_of(&file(&format!("{name}.toml"), text))]), component)
}

/// Sends lines, and then one at which the codec traps. Returns when the connection has ended.
fn trap(server: &Controlled) {
    let address = server.urls[0].strip_prefix("tcp://").expect("it is TCP");
    let mut client = TcpStream::connect(address).expect("the server listens");
    client.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
    client.write_all(b"one\ntwo\n").expect("the server reads");
    let mut lines = BufReader::new(client.try_clone().expect("it is a socket")).lines();
    for _ in 0..2 {
        lines.next().expect("each line is answered").expect("the server answers");
    }
    client.write_all(b"!boom\n").expect("the server reads");
    while let Some(Ok(_)) = lines.next() {}
}

#[test]
fn a_packet_that_trapped_becomes_a_test_that_fails_until_the_codec_is_mended() {
    let (server, component) = trapping("trace-fault", "keep-packets = 32");
    trap(&server);
    let faults = || server.ask("GET", "/faults", b"").1["faults"].clone();
    wait_for("the fault is kept", PATIENCE, || (faults().as_array()?.len() == 1).then_some(()));
    let fault = faults()[0].clone();
    assert_eq!(
        (&fault["number"], &fault["codec"], &fault["cause"]),
        (&json!(1), &json!("fragile"), &json!("trap"))
    );
    assert_eq!((&fault["vectors"], &fault["no-vectors"]), (&json!(true), &Value::Null), "{fault}");
    assert!(fault["reason"].as_str().is_some_and(|reason| reason.contains("input: packet")), "{fault}");
    let list = traced(&server, &["--faults"]).expect("the server answers");
    assert!(list.contains("fragile#1  kept     trap: "), "{list}");

    let saved = vectors("trace-fault-saved.vectors");
    traced(&server, &["--fault", "1", "--save", text_of(&saved)]).expect("the packets are kept");
    server.logged("sessions are traced");
    let text = fs::read_to_string(&saved).expect("it was saved");
    assert!(text.contains("in \"!boom\"\n  any\n# codec fault: trap: "), "{text}");
    let failed = replay(&component, &saved).expect_err("the codec traps again");
    assert!(failed.contains("in \"!boom\"") && failed.contains("trap: "), "{failed}");
    let mended = file("trace-fault-mended.wasm", Guest::new("fragile").build());
    replays(&mended, &saved);

    let why =
        traced(&server, &["--fault", "2", "--save", text_of(&saved)]).expect_err("there is no such fault");
    assert!(why.contains("there is no fault 2"), "{why}");
    assert!(server.refused("GET", "/faults/x.vectors", b"", 400).contains("/faults/NUMBER.vectors"));
}

#[test]
fn nothing_is_kept_unless_it_is_switched_on() {
    let (server, _) = trapping("trace-off", "");
    trap(&server);
    let vectors = || server.ask("GET", "/faults/1.vectors", b"");
    let why = wait_for("the fault is listed", PATIENCE, || {
        let (status, answer) = vectors();
        let why = answer["error"].as_str()?.to_owned();
        (status == 404 && !why.contains("no fault 1")).then_some(why)
    });
    assert!(why.contains("set `limits.keep-packets`"), "{why}");
}

#[test]
fn the_first_packets_of_a_codec_that_saves_no_state_are_bounded() {
    let (server, _) = trapping("trace-bounded", "keep-packets = 3");
    trap(&server);
    // Two requests and their two responses are more than three packets.
    let why = wait_for("the fault is listed", PATIENCE, || {
        let why = server.ask("GET", "/faults/1.vectors", b"").1["error"].as_str()?.to_owned();
        (!why.contains("no fault 1")).then_some(why)
    });
    assert!(why.contains("longer than `limits.keep-packets`") && why.contains("handoff"), "{why}");
    // Nor can such a session be saved from its middle.
    let address = server.urls[0].strip_prefix("tcp://").expect("it is TCP");
    let mut client = TcpStream::connect(address).expect("the server listens");
    client.write_all(b"hi\n").expect("the server reads");
    wait_for("the session is there", PATIENCE, || {
        let page = server.ask("GET", "/sessions", b"").1;
        (page["sessions"][0]["packets-in"] == 1).then_some(())
    });
    let path = format!("/trace/vectors?session={}", session(&server));
    let why = server.refused("GET", &path, b"", 409);
    assert!(why.contains("trace the client's address"), "{why}");
}

#[test]
fn packets_are_shown_with_what_they_became_and_without_what_is_masked() {
    let (tokens, name) = tokens("trace-mask");
    let control = format!("listen = '127.0.0.1:0'\ntoken-file = '{name}'\ntrace-mask = ['text']");
    let server = Controlled::with(&[&configured("trace-mask", &control)]);
    let member = server.member();
    let id = session(&server);
    let live = started(&server, &["--session", &id, "--json", "--token-file", text_of(&tokens)]);
    server.logged("sessions are traced");
    server.say("a secret");
    assert!(member.line().contains("a secret"));
    let record = loop {
        let record: Value = serde_json::from_str(&live.line()).expect("a record is JSON");
        if record["direction"] == "out" && record["became"][0]["event"] == "notice" {
            break record;
        }
    };
    assert_eq!(record["session"].to_string(), id, "{record}");
    assert_eq!(record["became"][0]["route"], "onChat", "{record}");
    assert_eq!(record["became"][0]["body"]["from"], "bob", "{record}");
    assert_eq!(record["became"][0]["body"]["text"], "***", "{record}");
    assert!(
        record["text"].as_str().is_some_and(|text| text.contains("bob") && !text.contains("secret")),
        "{record}"
    );
    assert!(record["size"].as_u64() > Some(20) && record["codec-us"].is_u64(), "{record}");
    assert_eq!(record["fuel"], Value::Null, "{record}");

    // The trace of one session ends with it.
    assert_eq!(server.ask("DELETE", &format!("/sessions/{id}?reason=enough"), b"").0, 200);
    let close = loop {
        let record: Value = serde_json::from_str(&live.line()).expect("a record is JSON");
        if record["direction"] == "close" {
            break record;
        }
    };
    assert_eq!(close["note"], "kicked: kicked: enough", "{close}");
    succeeded(live);

    // What is masked is in vectors, so a reader does not get them.
    let reader = bearer(READER);
    for path in ["/trace/vectors?address=127.0.0.1", "/faults/1.vectors"] {
        let why = error(server.ask_with("GET", path, &reader, b""), 403);
        assert!(why.contains("needs the role `admin`"), "{path}: {why}");
    }
    for (query, wanted) in [
        ("", "names a session, a user or an address"),
        ("?session=1&user=a", "one of them"),
        ("?session=1&duration=2h", "at most 60 minutes"),
        ("?address=here", "no address of a client"),
    ] {
        let why = server.refused("GET", &format!("/trace{query}"), b"", 400);
        assert!(why.contains(wanted), "{query}: {why}");
    }
    assert!(server.refused("GET", "/trace?session=999", b"", 404).contains("no session 999"));
}

#[test]
fn a_session_is_traced_by_the_user_to_whom_it_is_bound_later() {
    let server = Controlled::start();
    let live = started(&server, &["--user", "ann", "--json"]);
    server.logged("sessions are traced");
    let _member = server.member();
    let record: Value = serde_json::from_str(&live.line()).expect("a record is JSON");
    assert_eq!(record["session"].to_string(), session(&server), "{record}");
}

#[test]
fn a_session_is_saved_from_its_opening_and_replays() {
    let server = Controlled::start();
    let component = file("trace-opening.wasm", POMELO);
    let saved = vectors("trace-opening.vectors");
    let saving = started(&server, &["--address", "127.0.0.1", "--save", text_of(&saved)]);
    server.logged("sessions are traced");
    server.say("hi");
    succeeded(saving);
    let text = fs::read_to_string(&saved).expect("it was saved");
    for wanted in ["options {", "\nseed ", "\nclock ", "\nsession tcp 127.0.0.1:", "chat.chatHandler.send"] {
        assert!(text.contains(wanted), "{wanted:?} is missing\n{text}");
    }
    replays(&component, &saved);
    // The answers count.
    let other = vectors("trace-opening-other.vectors");
    fs::write(&other, text.replacen("  reply ", "  reply ff ", 1)).expect("the directory can be written");
    assert!(replay(&component, &other).is_err());
}

#[test]
fn a_session_is_saved_from_its_middle_and_its_last_packets_are() {
    let text = "app = 'demo'
        [codecs.pomelo]
        builtin = 'pomelo'
        limits.keep-packets = 2
        [[listeners]]
        url = 'tcp://127.0.0.1:0'
        codec = 'pomelo'
        [control]
        listen = '127.0.0.1:0'";
    let server = Controlled::with(&[text_of(&file("trace-middle.toml", text))]);
    let component = file("trace-middle.wasm", POMELO);
    let member = server.member();
    let id = session(&server);
    let saved = vectors("trace-middle.vectors");
    let saving = started(&server, &["--session", &id, "--save", text_of(&saved)]);
    server.logged("sessions are traced");
    for number in 0..5 {
        server.say(&format!("number {number}"));
        assert!(member.line().contains(&format!("number {number}")));
    }
    let recent = vectors("trace-recent.vectors");
    let done = traced(&server, &["--session", &id, "--recent", "--save", text_of(&recent)]);
    assert!(done.is_ok(), "{done:?}");
    assert_eq!(server.ask("DELETE", &format!("/sessions/{id}"), b"").0, 200);
    succeeded(saving);

    let text = fs::read_to_string(&saved).expect("it was saved");
    assert!(
        text.contains("\nstate ") && text.contains(" established ") && text.contains("number 0"),
        "{text}"
    );
    assert!(text.contains("farewell kicked"), "{text}");
    replays(&component, &saved);
    let text = fs::read_to_string(&recent).expect("it was saved");
    assert!(text.contains("\nstate ") && text.contains("number 4") && !text.contains("number 0"), "{text}");
    replays(&component, &recent);
}
