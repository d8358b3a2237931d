//! The option `checkClient`.

use serde_json::{Value, json};
use wireplug_pomelo::Options;

use crate::rig::{Event, Server};

fn admitted(options: &Value, sys: &Value) -> bool {
    let hello = json!({ "sys": sys }).to_string();
    let mut server = Server::open(&options.to_string());
    let heard = server.decode(format!("\x01{hello}").as_bytes()).expect("every handshake is answered");
    let refusal = [
        Event::Reply(b"\x01{\"code\":501}".to_vec()),
        Event::Close("the type or version of the client is not let in".into()),
    ];
    let admitted = heard == [Event::Hello(hello.into_bytes())];
    assert!(admitted || heard == refusal, "{heard:?}");
    admitted
}

#[test]
fn clients_are_admitted_by_type_and_version() {
    let options = json!({ "checkClient": [
        { "type": "js-websocket", "versions": ["0.0.1", "beta"] },
        { "type": "unity", "min": "1.2.0" },
        { "type": "any" },
    ] });
    for (kind, version, expected) in [
        ("js-websocket", "0.0.1", true),
        ("js-websocket", "beta", true),
        ("js-websocket", "0.0.2", false),
        ("unity", "1.2", true),
        ("unity", "1.2.0.0", true),
        ("unity", "1.10", true),
        ("unity", "2", true),
        ("unity", "1.1.9", false),
        ("unity", "1", false),
        ("unity", "", false),
        ("unity", "2-rc1", false),
        ("any", "x", true),
        ("other", "1.2.0", false),
        ("", "", false),
    ] {
        let sys = json!({ "type": kind, "version": version });
        assert_eq!(admitted(&options, &sys), expected, "{sys}");
        assert!(admitted(&json!({}), &sys), "without the option, all clients are admitted");
    }
    for (sys, expected) in [
        (json!({ "type": "any" }), true),
        (json!({ "type": "unity" }), false),
        (json!({ "type": "unity", "version": 2 }), false),
        (json!({ "version": "1.2.0" }), false),
        (json!("any"), false),
        (json!(1), false),
    ] {
        assert_eq!(admitted(&options, &sys), expected, "{sys}");
    }
}

#[test]
fn an_invalid_handshake_is_answered_500_for_every_client() {
    let options = json!({ "checkClient": [{ "type": "any" }] });
    let heard = Server::open(&options.to_string()).decode(b"\x01{}").unwrap();
    assert_eq!(heard[0], Event::Reply(b"\x01{\"code\":500}".to_vec()));
}

#[test]
fn wrong_rules_are_refused_with_a_reason() {
    for (rules, word) in [
        (json!({}), "a list of objects with a `type`"),
        (json!([]), "not be empty"),
        (json!(["js-websocket"]), "a list of objects with a `type`"),
        (json!([{ "min": "1" }]), "a list of objects with a `type`"),
        (json!([{ "type": "a", "max": "1" }]), "unknown key `max`"),
        (json!([{ "type": "a", "min": "1", "versions": ["1"] }]), "type `a`: `versions` and `min` exclude"),
        (json!([{ "type": "a", "min": "1.x" }]), "type `a`: `min` must be"),
        (json!([{ "type": "a", "min": 1 }]), "type `a`: `min` must be"),
        (json!([{ "type": "a", "versions": [] }]), "type `a`: `versions` must be"),
        (json!([{ "type": "a", "versions": [1] }]), "type `a`: `versions` must be"),
        (json!([{ "type": "a" }, { "type": "a" }]), "two rules for the type `a`"),
    ] {
        let options = json!({ "checkClient": rules }).to_string();
        let error = Options::parse(&options).expect_err(&options);
        assert!(error.contains("`checkClient`") && error.contains(word), "{options}: {error}");
    }
}
