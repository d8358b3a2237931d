//! The sessions of a server: lists, one in full, and kicks.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use wireplug_tests::running::{PATIENCE, wait_for};

use super::{Controlled, READER, bearer, configured, error, run, text_of, tokens};

#[track_caller]
fn done((status, answer): (u16, Value)) -> Value {
    assert_eq!(status, 200, "{answer}");
    answer
}

fn ids(page: &Value) -> Vec<u64> {
    let sessions = page["sessions"].as_array().expect("a page has sessions");
    sessions.iter().map(|session| session["id"].as_u64().expect("a session has a number")).collect()
}

#[test]
fn are_listed_by_pages_and_by_filters() {
    let server = Controlled::start();
    let _members = [server.member(), server.member(), server.member()];
    let list = |query: &str| done(server.ask("GET", &format!("/sessions{query}"), b""));
    let all = list("");
    assert_eq!((ids(&all).len(), &all["next"]), (3, &Value::Null), "{all}");

    let first = list("?limit=2");
    assert_eq!((ids(&first), &first["next"]), (ids(&all)[..2].to_vec(), &json!(ids(&all)[1])), "{first}");
    let second = list(&format!("?limit=2&after={}", first["next"]));
    assert_eq!((ids(&second), &second["next"]), (ids(&all)[2..].to_vec(), &Value::Null), "{second}");

    let session = &all["sessions"][0];
    let expected = [
        ("user", json!("ann")),
        ("listener", json!(server.urls[0])),
        ("transport", json!("tcp")),
        ("codec", json!("pomelo")),
        ("generation", json!(1)),
        ("state", json!("awake")),
    ];
    for (key, value) in expected {
        assert_eq!(session[key], value, "{key}: {session}");
    }
    assert!(session["packets-in"].as_u64() > Some(2), "{session}");
    assert!(session["bytes-out"].as_u64() > Some(10), "{session}");

    let peer = session["peer"].as_str().expect("TCP has addresses");
    let found = |query: &str| ids(&list(query)).len();
    let one = |query: String| assert_eq!(ids(&list(&query)), ids(&all)[..1], "{query}");
    one(format!("?address={peer}"));
    for query in ["?user=ann", "?address=127.0.0.1", "?codec=pomelo&generation=1", "?state=awake"] {
        assert_eq!(found(query), 3, "{query}");
    }
    assert_eq!(found(&format!("?listener={}", server.urls[0])), 3);
    for query in
        ["?user=bob", "?address=127.0.0.2", "?generation=2", "?state=asleep", "?group=none", "?idle-over=1h"]
    {
        assert_eq!(found(query), 0, "{query}");
    }
    for (query, wanted) in [
        ("?limit=0", "1 to 1000 sessions"),
        ("?address=here", "no address of a client"),
        ("?idle-over=soon", "not a time"),
        ("?state=tired", "unknown variant"),
        ("?usr=ann", "unknown field"),
    ] {
        let why = server.refused("GET", &format!("/sessions{query}"), b"", 400);
        assert!(why.contains(wanted), "{query}: {why}");
    }
}

#[test]
fn one_is_shown_in_full() {
    let server = Controlled::start();
    let _member = server.member();
    let id = ids(&done(server.ask("GET", "/sessions", b"")))[0];
    let session = done(server.ask("GET", &format!("/sessions/{id}"), b""));
    assert_eq!((&session["id"], &session["user"]), (&json!(id), &json!("ann")), "{session}");
    assert_eq!((&session["messages-in"], &session["in-flight"]), (&json!(1), &json!(0)), "{session}");
    assert_eq!(session["limits"]["listener"]["max-in-flight"], 256, "{session}");
    assert_eq!(session["limits"]["codec"]["max-packet"], "64KiB", "{session}");
    assert!(server.refused("GET", "/sessions/999", b"", 404).contains("no session 999"));
    assert!(server.refused("GET", "/sessions/x", b"", 400).contains("whole number"));

    let url = format!("http://{}", server.control);
    let list = run(&["sessions", "--user", "ann", "--control", &url]).expect("the server answers");
    let (head, row) = list.trim_end().split_once('\n').expect("there is one session");
    assert!(head.starts_with("SESSION  USER  PEER") && row.contains("pomelo#1  awake"), "{list}");
    let shown = run(&["sessions", &id.to_string(), "--control", &url]).expect("the server answers");
    assert!(shown.contains("codec       pomelo, generation 1\n"), "{shown}");
}

#[test]
fn kicks_end_them_and_are_audited() {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("audit-kicks.log");
    let _ = fs::remove_file(&file);
    let (tokens, name) = tokens("kicks");
    let control = format!("listen = '127.0.0.1:0'\naudit-log = 'audit-kicks.log'\ntoken-file = '{name}'");
    let server = Controlled::with(&[&configured("kicks", &control)]);
    let list = || ids(&done(server.ask("GET", "/sessions", b"")));
    let members = [server.member(), server.member(), server.member()];
    let url = format!("http://{}", server.control);

    let reader = bearer(READER);
    let why = error(server.ask_with("DELETE", "/sessions/1", &reader, b""), 403);
    assert!(why.contains("needs the role `admin`"), "{why}");
    assert_eq!(server.ask_with("GET", "/sessions", &reader, b"").0, 200);

    let first = list()[0].to_string();
    let at = ["--control", &url, "--token-file", text_of(&tokens)];
    let kicked = run(&[&["kick", "--session", &first, "--reason", "be nice"][..], &at].concat());
    assert_eq!(kicked.as_deref(), Ok("1 session was kicked\n"));
    wait_for("the session ends", PATIENCE, || (list().len() == 2).then_some(()));
    server.logged("kicked: be nice");
    assert!(server.refused("DELETE", &format!("/sessions/{first}"), b"", 404).contains("no session"));

    assert!(server.refused("DELETE", "/sessions", b"", 400).contains("?user=NAME"));
    assert!(server.refused("DELETE", "/sessions?user=a&address=1.1.1.1", b"", 400).contains("one of them"));
    assert_eq!(done(server.ask("DELETE", "/sessions?address=127.0.0.2", b"")), json!({ "kicked": 0 }));
    assert_eq!(done(server.ask("DELETE", "/sessions?user=ann", b"")), json!({ "kicked": 2 }));
    wait_for("the sessions end", PATIENCE, || (list().is_empty()).then_some(()));
    drop(members);

    let lines = || -> Vec<Value> {
        let text = fs::read_to_string(&file).expect("the audit log is there");
        text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
    };
    // The answer to a refused request does not wait for its line.
    wait_for("all lines are written", PATIENCE, || (lines().len() == 7).then_some(()));
    let lines = lines();
    let shape = |line: &Value| {
        let text = |key: &str| line[key].as_str().unwrap_or("-").to_owned();
        [text("who"), text("change"), text("subject"), text("outcome")].join(" ")
    };
    let shapes: Vec<String> = lines.iter().map(shape).collect();
    assert_eq!(shapes[0], "token:reader kick session 1 refused");
    assert!(shapes[1].ends_with(&format!("kick session {first} done")), "{shapes:?}");
    assert!(shapes[2].ends_with(&format!("kick session {first} refused")), "{shapes:?}");
    assert!(shapes[5].ends_with("kick address 127.0.0.2 done"), "{shapes:?}");
    assert!(shapes[6].ends_with("kick user ann done"), "{shapes:?}");
}
