//! Handoffs with schemas. A session keeps the schemas of its client.

use std::sync::Arc;

use serde_json::{Value, json};
use wireplug_pomelo::{Options, Session};

use super::{OPTIONS, decoded_body, notify};
use crate::rig::{ACK, Event, MAX_PACKET, Server, hex, json as answer_json, push};

/// Other schemas for the same routes, and a schema for another route.
const OTHERS: &str = r#"{
    "protos": {
        "client": {"chat": {"required double n": 1}},
        "server": {"onChat": {"required uInt32 from": 1}, "new": {"optional uInt32 a": 1}}
    }
}"#;

fn restore(state: &[u8]) -> Result<Session, String> {
    Session::restore(Arc::new(Options::parse(OPTIONS).unwrap()), MAX_PACKET as u32, state, 0)
}

#[test]
fn a_session_keeps_the_schemas_of_its_client() {
    for others in [OTHERS, "{}"] {
        let working = Server::working(OPTIONS);
        for mut server in [working.moved_to(others), working.moved_to(others).moved_to("{}")] {
            assert_eq!(decoded_body(&mut server, &notify("chat", &hex("0a0161"))), json!({"text": "a"}));
            assert_eq!(server.push("onChat", br#"{"from":"x"}"#), Ok(hex("040700020a0178")));
            assert_eq!(
                server.push("new", b"{}"),
                Ok(b"\x04\x06\x03new{}".to_vec()),
                "the client has no schema"
            );
            assert_eq!(server.session.broadcast_class(), None, "{others}");
            let back = server.moved_to(OPTIONS);
            assert_eq!(back.session.broadcast_class(), Some(0));
            assert_eq!(back.session.save(), working.session.save());
        }
    }
    let mut server = Server::working("{}").moved_to(OPTIONS);
    assert_eq!(
        server.push("onChat", b"{}"),
        Ok(b"\x04\x06\x06onChat{}".to_vec()),
        "the client has no schemas"
    );
}

#[test]
fn a_client_without_an_answer_gets_the_new_schemas() {
    let schemas = |server: &mut Server| -> Value {
        let answer = server.answer(200, b"");
        let [Event::Reply(packet)] = &answer[..] else { panic!("{answer:?}") };
        answer_json(packet)["sys"]["protos"].clone()
    };
    let versions = [OPTIONS, OTHERS].map(|options| schemas(&mut Server::greeted(options))["version"].clone());
    for (version, is_sent) in [(&versions[0], true), (&versions[1], false), (&json!("another"), true)] {
        let hello = format!("\x01{}", json!({ "sys": { "protoVersion": version } }));
        for options in [OPTIONS, "{}"] {
            let mut greeted = Server::open(options);
            greeted.decode(hello.as_bytes()).unwrap();
            let mut server = greeted.moved_to(OTHERS);
            assert_eq!(schemas(&mut server).is_object(), is_sent, "{version} by {options}");
            server.decode(ACK).unwrap();
            assert_eq!(server.push("new", br#"{"a":7}"#), Ok(b"\x04\x06\x03new\x08\x07".to_vec()));
        }
    }
}

#[test]
fn a_state_has_its_format_byte_for_byte() {
    let options = r#"{"protos":{"server":{"r":{"optional uInt32 a":1}}}}"#;
    let state = Server::working(options).session.save();
    let source = r#"{"server":{"r":{"optional uInt32 a":1}}}"#;
    let head = hex("020300000000000000000000000000000000000000000028");
    assert_eq!(state, [&head[..], source.as_bytes()].concat());
    assert_eq!(Server::working("{}").session.save()[0], 1, "there are no schemas");
    assert_eq!(Server::greeted(options).session.save()[0], 1, "no schemas were sent yet");
    let mut greeted = Server::open("{}");
    greeted.decode(b"\x01{\"sys\":{\"protoVersion\":\"hJVbUUmS7X2atSsVTjmuLQ==\"}}").unwrap();
    let version = "684a566255556d533758326174537356546a6d754c513d3d";
    let expected = format!("0201000000000000000000{}{version}{}", "01", "00".repeat(14));
    assert_eq!(greeted.session.save(), hex(&expected));
}

#[test]
fn an_invalid_state_is_refused_with_a_reason() {
    let with = |source: &str| {
        let head = hex("02030000000000000000000000000000000000000000");
        [&head[..], &(source.len() as u16).to_be_bytes(), source.as_bytes()].concat()
    };
    assert!(restore(&with(r#"{"client":{"r":{}}}"#)).is_ok());
    for source in ["{", "{}", r#"{"client":{"r":{"x":1}}}"#, r#"{ "client":{"r":{}}}"#, "\u{7f}"] {
        let refused = restore(&with(source)).unwrap_err();
        assert_eq!(
            refused, "the state has schemas that differ from the form of the option `protos`",
            "{source}"
        );
    }
    assert_eq!(
        restore(&with("")).unwrap_err(),
        "the state has the format 2, but nothing that needs this format"
    );
    let mut cut = with(r#"{"client":{"r":{}}}"#);
    cut.pop();
    assert_eq!(restore(&cut).unwrap_err(), "the state is cut");
}

#[test]
fn a_shared_push_equals_the_push_of_a_session() {
    let options = Options::parse(OPTIONS).unwrap();
    let mut server = Server::working(OPTIONS);
    let class = server.session.broadcast_class().expect("the session is working");
    for (route, body) in [
        ("onChat", r#"{"from":"x","body":{"size":2}}"#),
        ("onChat", "{}"),
        ("chat", r#"{"text":""}"#),
        ("a", "{}"),
    ] {
        let message = push(route, body.as_bytes());
        let mut packet = Vec::new();
        let shared = options.encode_shared(class, &message, &mut packet).map(|()| packet);
        let alone = server.encode(&message);
        assert_eq!(shared.ok(), alone.ok(), "{route} {body}");
    }
}
