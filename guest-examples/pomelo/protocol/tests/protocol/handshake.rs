//! The handshake: what the client must send, and how it is answered.

use serde_json::{Value, json};
use wireplug_pomelo::client::{Client, ClientError, Incoming};

use crate::rig::{Event, Pair, Server, json, raw};

#[test]
fn an_invalid_handshake_is_answered_500() {
    for body in [
        " ",
        "{",
        "{}",
        "null",
        "[1]",
        "[{\"sys\":{}}]",
        "\"sys\"",
        "{\"sys\":null}",
        "{\"sys\":0}",
        "{\"sys\":0.0}",
        "{\"sys\":\"\"}",
        "{\"sys\":false}",
        "{\"sys\":{}}x",
    ] {
        let mut server = Server::open("{}");
        let expected = [
            Event::Reply(b"\x01{\"code\":500}".to_vec()),
            Event::Close("handshake is not a JSON object with a `sys`".into()),
        ];
        let packet = [b"\x01", body.as_bytes()].concat();
        assert_eq!(server.decode(&packet).as_deref(), Ok(&expected[..]), "{body}");
        assert!(server.decode(b"\x01{\"sys\":{}}").is_err(), "the session is closed");
    }
}

/// A client of nano sends no body.
#[test]
fn an_empty_handshake_is_accepted() {
    let hello = Event::Hello(b"{\"sys\":{}}".to_vec());
    assert_eq!(Server::open("{}").decode(b"\x01"), Ok(vec![hello]));
    let checked = r#"{"checkClient":[{"type":"any"}]}"#;
    let heard = Server::open(checked).decode(b"\x01").unwrap();
    assert_eq!(heard[0], Event::Reply(b"\x01{\"code\":501}".to_vec()));
}

#[test]
fn any_truthy_sys_is_accepted() {
    for body in [
        "{\"sys\":1}",
        "{\"sys\":\"x\"}",
        "{\"sys\":[]}",
        " {\"sys\":{\"dictVersion\":7},\"user\":{\"a\":1}} ",
    ] {
        let packet = [b"\x01", body.as_bytes()].concat();
        let hello = Event::Hello(body.as_bytes().to_vec());
        assert_eq!(Server::open("{}").decode(&packet), Ok(vec![hello]), "the application gets all of it");
    }
}

#[test]
fn a_truthy_body_of_the_application_becomes_the_user() {
    for (user, expected) in [
        ("", None),
        ("null", None),
        ("false", None),
        ("0", None),
        ("-0.0", None),
        ("\"\"", None),
        ("{}", Some(json!({}))),
        ("[]", Some(json!([]))),
        ("0.5", Some(json!(0.5))),
        (" {\"a\":[1,\"b\"]}\n", Some(json!({"a": [1, "b"]}))),
    ] {
        let mut server = Server::greeted("{}");
        let answer = server.answer(200, user.as_bytes());
        let [Event::Reply(packet)] = &answer[..] else { panic!("{answer:?}") };
        assert_eq!(json(packet).get("user"), expected.as_ref(), "{user}");
        assert_eq!(server.answer(200, b""), [], "a handshake is answered once");
    }
}

#[test]
fn a_refused_client_gets_only_the_code() {
    for (status, body, code, reason) in [
        (401, "", 401, "handshake refused with code 401"),
        (501, "{\"ignored\":1}", 501, "handshake refused with code 501"),
        (200, "no JSON", 500, "the application's answer to the handshake is not JSON"),
    ] {
        let mut server = Server::greeted("{}");
        let answer = server.answer(status, body.as_bytes());
        let refusal = format!("\x01{{\"code\":{code}}}").into_bytes();
        assert_eq!(answer, [Event::Reply(refusal.clone()), Event::Close(reason.into())]);
        assert!(server.decode(b"\x02").is_err(), "the session is closed");

        let mut client = Client::new();
        let (mut out, mut incoming) = (Vec::new(), Vec::new());
        client.connect(None, &mut out);
        out.clear();
        client.receive(&raw(&refusal), &mut out, &mut incoming).unwrap();
        assert_eq!(incoming, [Incoming::Refused { code, body: json!({ "code": code }) }]);
        assert_eq!(out, b"", "a refusal is not acknowledged");
        assert_eq!(client.request("a", b"", &mut out), Err(ClientError::NotReady));
    }
}

#[test]
fn a_client_completes_the_handshake_with_a_session() {
    let user = json!({ "token": "t\u{1f600}" });
    let (pair, ready) = Pair::connect(Client::new(), r#"{"heartbeat":2.5}"#, Some(&user), 1);
    let Incoming::Ready { sys, user } = ready else { panic!("{ready:?}") };
    assert_eq!(sys, json!({ "heartbeat": 2.5 }));
    assert_eq!(user, Some(json!({ "name": "\u{1f600}" })));
    assert_eq!(pair.client.heartbeat_interval(), Some(std::time::Duration::from_millis(2500)));
}

#[test]
fn a_client_sends_its_type_and_its_user() {
    let mut out = Vec::new();
    Client::new().connect(Some(&json!({ "token": 1 })), &mut out);
    let hello: Value = serde_json::from_slice(&out[4..]).unwrap();
    assert_eq!(hello["sys"]["type"], "wireplug");
    assert_eq!(hello["user"], json!({ "token": 1 }));
}

#[test]
fn a_client_refuses_invalid_bytes() {
    let receive = |client: &mut Client, bytes: &[u8]| client.receive(bytes, &mut Vec::new(), &mut Vec::new());
    let connected = || Pair::connect(Client::new(), "{}", None, 9).0.client;
    for bytes in [
        &b"\x09\0\0\0"[..],
        b"\x01\0\0\x0c{\"code\":200}",
        b"\x02\0\0\0",
        b"\x04\0\0\0",
        // A response without a request, a request, a push with an unknown code.
        b"\x04\0\0\x02\x04\x07",
        b"\x04\0\0\x03\x00\x01\x00",
        b"\x04\0\0\x03\x07\x00\x01",
        b"\x04\0\0\x03\x06\x01\xff",
    ] {
        let mut client = connected();
        assert!(matches!(receive(&mut client, bytes), Err(ClientError::Protocol(_))), "{bytes:02x?}");
        assert_eq!(receive(&mut client, bytes), Ok(()), "the client ignores further bytes");
        assert_eq!(client.notify("a", b"", &mut Vec::new()), Err(ClientError::NotReady));
    }
    let mut out = Vec::new();
    assert_eq!(connected().notify("", b"", &mut out), Err(ClientError::Route(0)));
    assert_eq!(connected().notify(&"r".repeat(256), b"", &mut out), Err(ClientError::Route(256)));
    let long = vec![0; 1 << 24];
    assert_eq!(connected().notify("a", &long, &mut out), Err(ClientError::TooLong((1 << 24) + 3)));
    assert_eq!(out, b"");
    for answer in ["{}", "[]", "{\"code\":\"200\"}", "{", "{\"code\":200,\"sys\":{\"dict\":{\"a\":65536}}}"] {
        let mut client = Client::new();
        client.connect(None, &mut Vec::new());
        let packet = raw(&[b"\x01", answer.as_bytes()].concat());
        assert!(matches!(receive(&mut client, &packet), Err(ClientError::Protocol(_))), "{answer}");
    }
}
