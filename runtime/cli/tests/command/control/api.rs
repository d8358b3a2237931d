//! The requests of the control API and their effects.

use std::io::Write as _;

use serde_json::{Value, json};

use super::{Controlled, noted};

#[track_caller]
fn done((status, answer): (u16, Value)) -> Value {
    assert_eq!(status, 200, "{answer}");
    answer
}

#[test]
fn lists_codecs() {
    let server = Controlled::start();
    let list = done(server.ask("GET", "/codecs", b""));
    let one = done(server.ask("GET", "/codecs/pomelo", b""));
    assert_eq!(list, json!([one]));
    let generation = &one["generations"][0];
    assert_eq!(
        (&one["name"], &one["current"], &generation["role"]),
        (&json!("pomelo"), &json!(1), &json!("current"))
    );
    assert_eq!(generation["options"], json!({ "heartbeat": 30 }));

    let why = server.refused("GET", "/codecs/nope", b"", 404);
    assert_eq!(why, "there is no codec \"nope\"; there is pomelo");
    assert!(server.refused("GET", "/", b"", 404).contains("GET /codecs"));
    server.refused("POST", "/codecs/pomelo", b"", 405);
}

#[test]
fn a_swap_moves_sessions_and_a_rollback_moves_them_back() {
    let server = Controlled::start();
    let member = server.member();
    let next = noted("next");

    let report = done(server.ask("PUT", "/codecs/pomelo", &next));
    assert_eq!(
        (&report["from"], &report["to"], &report["moved"]),
        (&json!(1), &json!(2), &json!(1)),
        "{report}"
    );
    server.say("still there?");
    assert!(member.line().contains("still there?"));
    // The new generation has the options of the previous one.
    let status = done(server.ask("GET", "/codecs/pomelo", b""));
    assert_eq!(status["generations"][1]["options"], json!({ "heartbeat": 30 }));
    server.logged("a codec was changed");

    let report = done(server.ask("POST", "/codecs/pomelo/rollback", b""));
    assert_eq!(
        (&report["from"], &report["to"], &report["moved"]),
        (&json!(2), &json!(1), &json!(1)),
        "{report}"
    );
    server.say("and back?");
    assert!(member.line().contains("and back?"));
    assert!(
        server.refused("POST", "/codecs/pomelo/rollback", b"", 409).contains("no generation to go back to")
    );

    assert!(server.refused("PUT", "/codecs/pomelo", &next, 409).contains("was rolled back"));
    server.logged("a change of a codec was refused");
    let report = done(server.ask("PUT", "/codecs/pomelo?force=true&sessions=drain", &next));
    assert_eq!(
        (&report["to"], &report["moved"], &report["staying"]),
        (&json!(3), &json!(0), &json!(1)),
        "{report}"
    );
}

#[test]
fn a_shadow_is_compared_and_a_canary_promoted() {
    let server = Controlled::start();
    let (shadow, canary) = (noted("shadow"), noted("canary"));
    for request in [("POST", "/codecs/pomelo/promote"), ("DELETE", "/codecs/pomelo/trial")] {
        assert_eq!(server.refused(request.0, request.1, b"", 409), "no candidate of pomelo is on trial");
    }

    let candidate = done(server.ask("PUT", "/codecs/pomelo?trial=shadow&share=1", &shadow));
    assert_eq!(candidate, json!({ "slot": "pomelo", "generation": 2 }));
    server.say("hi");
    let status = done(server.ask("GET", "/codecs/pomelo", b""));
    assert!(status["shadow"]["compared"].as_u64() > Some(0), "{status}");
    assert_eq!(status["shadow"]["differences"], 0, "{status}");
    assert_eq!(status["shadow"]["not-mirrored"], 0, "{status}");
    assert!(
        server
            .refused("PUT", "/codecs/pomelo?trial=canary&share=1", &canary, 409)
            .contains("on trial already")
    );
    assert_eq!(done(server.ask("DELETE", "/codecs/pomelo/trial", b""))["generation"], 2);

    let candidate = done(server.ask("PUT", "/codecs/pomelo?trial=canary&share=0.5", &canary));
    assert_eq!(candidate["generation"], 3);
    let report = done(server.ask("POST", "/codecs/pomelo/promote?sessions=drain", b""));
    assert_eq!((&report["to"], &report["sessions"]), (&json!(3), &json!("drain")));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let server = Controlled::start();
    let cases = [
        ("?sesions=drain", "unknown field `sesions`"),
        ("?sessions=later", "unknown variant `later`"),
        ("?share=0.1", "a share goes with a trial"),
        ("?trial=canary", "a trial needs a share"),
        ("?trial=canary&share=2", "above 0 and at most 1"),
        ("?trial=canary&share=0.1&sessions=drain", "a trial leaves sessions alone"),
    ];
    for (query, wanted) in cases {
        let why = server.refused("PUT", &format!("/codecs/pomelo{query}"), &noted("x"), 400);
        assert!(why.contains(wanted), "{query}: {why}");
    }
    let why = server.refused("PUT", "/codecs/pomelo", b"nonsense", 422);
    assert!(why.contains("it is not a WebAssembly file"), "{why}");
    assert_eq!(done(server.ask("GET", "/codecs/pomelo", b""))["current"], 1);
}

#[test]
fn a_reload_goes_back_to_the_slots_own_codec() {
    let server = Controlled::start();
    let reload = || done(server.ask("POST", "/codecs/pomelo/reload", b""));
    assert_eq!(reload(), Value::Null);
    done(server.ask("PUT", "/codecs/pomelo", &noted("elsewhere")));
    let report = reload();
    assert_eq!((&report["from"], &report["to"]), (&json!(2), &json!(3)));
    assert_eq!(reload(), Value::Null);
}

#[test]
fn what_was_begun_is_done_even_if_the_client_does_not_wait() {
    let server = Controlled::start();
    let next = noted("nobody waits");
    let mut socket = server.connect();
    let headers = server.headers();
    let head = format!("PUT /codecs/pomelo HTTP/1.1\r\n{headers}Content-Length: {}\r\n\r\n", next.len());
    socket.write_all(&[head.as_bytes(), &next].concat()).expect("it reads");
    // The component has been received, and is being loaded.
    server.logged("a component was sent");
    drop(socket);
    server.logged("a codec was changed");
    assert_eq!(done(server.ask("GET", "/codecs/pomelo", b""))["current"], 2);
}
