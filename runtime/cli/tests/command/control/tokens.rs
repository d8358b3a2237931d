//! The file of tokens while the server runs: rotation, expiry, mistakes.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use wireplug_tests::push_api::chunk;
use wireplug_tests::running::Signal;

use super::{ADMIN, Controlled, READER, bearer, configured, error, run, secret, text_of, tokens};

/// Starts a server with the tokens of [`tokens`]. Returns it with the file.
fn server(name: &str) -> (Controlled, String) {
    let (file, tokens) = tokens(name);
    let config = configured(name, &format!("listen = '127.0.0.1:0'\ntoken-file = '{tokens}'"));
    (Controlled::with(&[&config]), text_of(&file).to_owned())
}

/// Replaces the tokens as a program does that rotates them: by renaming a file into its place.
fn rotate(file: &str, lines: &str) {
    let next = format!("{file}.next");
    fs::write(&next, lines).expect("the directory of tests can be written");
    fs::set_permissions(&next, fs::Permissions::from_mode(0o600)).expect("the file is ours");
    fs::rename(&next, file).expect("it can be renamed");
}

fn status(server: &Controlled, token: &str) -> u16 {
    server.ask_with("GET", "/codecs", &bearer(token), b"").0
}

#[test]
fn tokens_are_rotated_without_a_restart() {
    let (server, file) = server("rotated");
    let next = ADMIN.replace('0', "f");
    let member = server.member();
    // The old token and the new one are right until the old one is taken out.
    rotate(&file, &format!("ann admin {ADMIN}\nann-2 admin {next}\n"));
    assert_eq!([ADMIN, &next, READER].map(|token| status(&server, token)), [200, 401, 200], "not read yet");
    server.signal(Signal::HUP);
    let line = server.logged("the tokens of the control API were replaced");
    assert!(line.contains("new=\"ann-2\" gone=\"reader\""), "{line}");
    server.logged("control.token-file: differs; at once");
    assert_eq!([ADMIN, &next, READER].map(|token| status(&server, token)), [200, 200, 401]);

    rotate(&file, &format!("ann-2 admin {next}\n"));
    let at = ["--control", &server.control, "--token-file", &file];
    let dry = run(&[&["reload", "--dry-run"][..], &at].concat());
    // The commands read the file, which has the new token already.
    assert_eq!(dry.as_deref(), Ok("control.token-file: differs; at once\na reload would apply this\n"));
    assert_eq!(status(&server, ADMIN), 200);
    let done = run(&[&["reload"][..], &at].concat());
    assert_eq!(done.as_deref(), Ok("control.token-file: differs; at once\napplied\n"));
    assert_eq!([ADMIN, &next].map(|token| status(&server, token)), [401, 200]);
    let done = run(&[&["reload"][..], &at].concat());
    assert_eq!(done.as_deref(), Ok("nothing differs from the configuration of the server\n"));
    server.say("still there?");
    assert!(member.line().contains("still there?"));
}

#[test]
fn a_stream_of_commands_ends_with_its_token() {
    let (server, file) = server("revoked");
    let stream = server.connect();
    let head = bearer(ADMIN) + "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n";
    let send = |text: &[u8]| (&stream).write_all(text).expect("the server reads");
    send(format!("POST /clients HTTP/1.1\r\n{head}\r\n").as_bytes());
    let line = |id: u8| format!("{{\"id\":{id},\"verb\":\"push\",\"target\":\"all\",\"route\":\"a\"}}\n");
    send(&chunk(&line(1)));
    let mut answered = String::new();
    let mut until = |wanted: &str| {
        while !answered.contains(wanted) {
            let mut some = [0; 1024];
            let count = (&stream).read(&mut some).expect("it answers");
            assert!(count > 0, "{answered:?} has no {wanted:?}");
            answered.push_str(str::from_utf8(&some[..count]).expect("it is text"));
        }
    };
    until("{\"id\":1,\"sessions\":0}");
    rotate(&file, &format!("ann-2 admin {}\n", ADMIN.replace('0', "f")));
    server.signal(Signal::HUP);
    server.logged("the tokens of the control API were replaced");
    send(&chunk(&line(2)));
    until("{\"id\":2,\"code\":401,\"error\":\"the client may send no commands any more");
    // The response has its end, although the request has none.
    until("\r\n0\r\n\r\n");
}

#[test]
fn a_broken_file_keeps_the_tokens_and_the_reload_says_why() {
    let (server, file) = server("broken-tokens");
    for (lines, wanted) in [
        (
            format!("ann admin {ADMIN}\nbob change another-token-of-bob\n"),
            "line 2: the second word is no role",
        ),
        ("# none\n".to_owned(), "there is no token in it"),
    ] {
        rotate(&file, &lines);
        for target in ["/reload?dry-run=true", "/reload"] {
            let why = server.refused("POST", target, b"", 422);
            assert!(why.contains(wanted) && why.contains("broken-tokens.tokens"), "{why}");
            assert!(!why.contains("another-token"), "{why}");
        }
        assert_eq!([ADMIN, READER].map(|token| status(&server, token)), [200, 200]);
    }
    server.signal(Signal::HUP);
    assert!(server.logged("nothing is reloaded").contains("there is no token in it"));
    fs::remove_file(&file).expect("it is there");
    let why = server.refused("POST", "/reload", b"", 422);
    assert!(why.contains("control.token-file: there is no file"), "{why}");
    assert_eq!(status(&server, READER), 200);
}

#[test]
fn a_token_that_expires_is_announced_and_one_that_has_expired_is_refused() {
    let (server, file) = server("expiring");
    rotate(&file, &format!("ann admin {ADMIN} 2999-12-31\nreader read {READER} 2020-01-31T12:00:00Z\n"));
    server.signal(Signal::HUP);
    let line = server.logged("a token of the control API has expired");
    assert!(line.contains("WARN") && line.contains("token=\"reader\""), "{line}");
    let why = error(server.ask_with("GET", "/codecs", &bearer(READER), b""), 401);
    assert_eq!(
        why,
        "the token reader expired at 2020-01-31T12:00:00Z: replace it in `token-file` of [control]"
    );
    let status = run(&["status", "--control", &server.control, "--token-file", &file]).expect("it answers");
    let rows: Vec<_> = status.lines().skip_while(|line| !line.starts_with("NODE  TOKEN")).collect();
    assert_eq!(rows.len(), 3, "{status}");
    assert!(rows[1].contains("ann") && rows[1].contains("in ") && rows[1].contains(&file), "{status}");
    assert!(rows[2].contains("reader") && rows[2].contains(" ago"), "{status}");
}

#[test]
fn a_digest_may_stand_in_the_place_of_a_token() {
    let digest = format!("{:x}", Sha256::digest(ADMIN));
    let tokens = secret("digest.tokens", format!("ann admin sha256:{digest}\n"));
    let config = configured("digest", "listen = '127.0.0.1:0'\ntoken-file = 'digest.tokens'");
    let server = Controlled::with(&[&config]);
    assert_eq!(status(&server, ADMIN), 200);
    for wrong in [&digest, &format!("sha256:{digest}")] {
        assert_eq!(status(&server, wrong), 401);
    }
    let list = ["codec", "list", "--control", &server.control, "--token-file", text_of(&tokens)];
    let why = run(&list).expect_err("the file has no token");
    assert!(why.contains("the file has its digest"), "{why}");
}

#[test]
fn another_file_is_taken_at_a_reload_and_a_generated_token_stays() {
    let (server, file) = server("moved-tokens");
    let config = |control: &str| configured("moved-tokens", &format!("listen = '127.0.0.1:0'\n{control}"));
    secret("moved-tokens-2.tokens", format!("bob read {READER}\n"));
    config("token-file = 'moved-tokens-2.tokens'");
    assert_eq!(server.ask("POST", "/reload", b"").0, 200);
    assert_eq!([ADMIN, READER].map(|token| status(&server, token)), [401, 200]);
    assert!(Path::new(&file).exists());

    let generated = Controlled::with(&[&configured("moved-generated", "listen = '127.0.0.1:0'")]);
    configured("moved-generated", "listen = '127.0.0.1:0'\ntoken-file = 'moved-tokens-2.tokens'");
    let (status, report) = generated.ask("POST", "/reload", b"");
    assert_eq!((status, &report["changes"][0]["effect"]), (200, &"restart".into()), "{report}");
    assert_eq!(generated.ask("GET", "/codecs", b"").0, 200);
}
