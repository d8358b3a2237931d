//! Invalid input. Each kind has a defined outcome, and the session continues if it can.

use wireplug_pomelo::{Fault, Message, Role};

use crate::rig::{ACK, Event, HEARTBEAT, Server, hex, push, response};

const HANDSHAKE: &[u8] = b"\x01{\"sys\":{}}";
const NOTIFY: &[u8] = b"\x04\x02\x01a{}";

#[track_caller]
fn assert_rejected(server: &mut Server, packet: &[u8], reason: &str) {
    match server.decode(packet) {
        Err(Fault::Rejected(found)) => assert_eq!(found, reason, "{packet:02x?}"),
        other => panic!("{packet:02x?} gave {other:?}, not a rejection: {reason}"),
    }
}

#[track_caller]
fn assert_fatal(server: &mut Server, packet: &[u8], reason: &str) {
    assert_eq!(server.decode(packet), Err(Fault::Fatal(reason.to_owned().into())), "{packet:02x?}");
    assert_eq!(server.farewell("late"), []);
}

#[test]
fn a_request_before_a_violation_is_answered_if_the_handshake_was_complete() {
    let owed = response(1, "a", 200, b"{}");
    let (mut working, mut open) = (Server::working("{}"), Server::open("{}"));
    assert!(working.decode(b"\x06").is_err() && open.decode(b"\x06").is_err());
    assert!(working.encode(&owed).is_ok());
    assert!(open.encode(&owed).is_err());
    assert_rejected(&mut working, NOTIFY, "DATA outside of the working state");
}

#[test]
fn an_invalid_package_is_fatal() {
    for kind in [0, 6, 7, 8, b'G', 0xff] {
        let reason = format!("package type {kind} is not 1 to 5");
        assert_fatal(&mut Server::working("{}"), &[kind], &reason);
        assert_fatal(&mut Server::open("{}"), &[kind, 1, 2], &reason);
    }
    assert_fatal(&mut Server::working("{}"), b"", "package without a type");
    assert_fatal(&mut Server::working("{}"), b"\x05{}", "KICK from a client");
    assert_fatal(&mut Server::open("{}"), b"\x05", "KICK from a client");
}

#[test]
fn a_package_at_the_wrong_time_is_rejected() {
    let early = || {
        [Server::open("{}"), Server::greeted("{}"), {
            let mut server = Server::greeted("{}");
            server.answer(200, b"");
            server
        }]
    };
    for mut server in early() {
        assert_rejected(&mut server, NOTIFY, "DATA outside of the working state");
        assert_rejected(&mut server, HEARTBEAT, "HEARTBEAT outside of the working state");
        assert!(server.respond(1, b"").is_err());
    }
    let [mut open, mut greeted, mut waiting] = early();
    assert_rejected(&mut open, ACK, "HANDSHAKE_ACK without a handshake to acknowledge");
    assert_rejected(&mut greeted, ACK, "HANDSHAKE_ACK without a handshake to acknowledge");
    assert_rejected(&mut greeted, HANDSHAKE, "HANDSHAKE after the handshake");
    assert_rejected(&mut waiting, HANDSHAKE, "HANDSHAKE after the handshake");
    let mut working = Server::working("{}");
    assert_rejected(&mut working, ACK, "HANDSHAKE_ACK without a handshake to acknowledge");
    assert_rejected(&mut working, HANDSHAKE, "HANDSHAKE after the handshake");
    assert_eq!(working.decode(NOTIFY), Ok(vec![Event::notice("a", "{}")]), "the session continues");
    assert!(open.decode(HANDSHAKE).is_ok(), "the session continues");
}

#[test]
fn an_invalid_message_is_rejected() {
    let mut server = Server::working("{}");
    for (message, reason) in [
        ("", "DATA without a message"),
        ("00", "message is cut in its id"),
        ("0080", "message is cut in its id"),
        ("0001", "message is cut before its route"),
        ("02", "message is cut before its route"),
        ("00010561", "route is longer than its message"),
        ("02ff61", "route is longer than its message"),
        ("0202c328", "route is not UTF-8"),
        // An incomplete surrogate is not repaired.
        ("0202eda0", "route is not UTF-8"),
        ("010100", "message is cut in its route code"),
        ("03", "message is cut in its route code"),
        ("04017b7d", "RESPONSE from a client"),
        ("0600", "PUSH from a client"),
        ("0600617b7d", "PUSH from a client"),
        ("080161", "message type is not 0 to 3"),
        ("0a0161", "message type is not 0 to 3"),
        ("0c0161", "message type is not 0 to 3"),
        ("0e0161", "message type is not 0 to 3"),
        // 65 bits, and 11 bytes.
        ("00ffffffffffffffffff0201617b7d", "id exceeds 64 bits"),
        ("0080808080808080808080000161", "id exceeds 64 bits"),
    ] {
        assert_rejected(&mut server, &hex(&format!("04{message}")), reason);
        assert_eq!(server.decode(NOTIFY), Ok(vec![Event::notice("a", "{}")]), "the session continues");
    }
}

/// Pomelo drops these messages, or fails.
#[test]
fn an_unusual_message_is_passed_on() {
    let mut server = Server::working("{}");
    for (message, event) in [
        // The id 2^31, which hangs a Pomelo server.
        ("00808080800801617b7d", Event::request(1 << 31, "a", "{}")),
        // The id 0: the client waits for no response.
        ("000001617b7d", Event::notice("a", "{}")),
        // Routes of any shape. The runtime knows the valid ones.
        ("000100", Event::request(1, "", "{}")),
        ("020b636f6e7374727563746f72", Event::notice("constructor", "{}")),
        // An empty body, and null.
        ("020161", Event::notice("a", "{}")),
        ("0201616e756c6c", Event::notice("a", "{}")),
        ("020161206e756c6c0a", Event::notice("a", "{}")),
        // A body that is not JSON, or is not an object. The handler checks it.
        ("0201617b", Event::notice("a", "{")),
        ("0201615b315d", Event::notice("a", "[1]")),
        // The bits 4 to 7 of the flag are ignored, including the one for gzip.
        ("f201617b7d", Event::notice("a", "{}")),
        ("1201617b7d", Event::notice("a", "{}")),
    ] {
        let packet = hex(&format!("04{message}"));
        assert_eq!(server.decode(&packet), Ok(vec![event]), "{message}");
    }
}

#[test]
fn an_unknown_code_is_answered_404_or_rejected() {
    for options in ["{}", r#"{"dictionary":["a.b.c"]}"#] {
        let mut server = Server::working(options);
        let response = Event::Reply(b"\x04\x04\xac\x02{\"code\":404}".to_vec());
        assert_eq!(server.decode(&hex("0401ac0200097b7d")), Ok(vec![response]));
        assert_rejected(&mut server, &hex("040300097b7d"), "route code is not in the dictionary");
        assert_rejected(&mut server, &hex("040100ffff7b7d"), "route code is not in the dictionary");
        assert_rejected(&mut server, &hex("0403000000"), "route code is not in the dictionary");
    }
}

#[test]
fn a_push_with_an_empty_or_long_route_is_rejected() {
    let mut server = Server::working("{}");
    let long = "r".repeat(256);
    for route in ["", &long] {
        let reason = format!("route of a push has {} bytes, not 1 to 255", route.len());
        assert_eq!(server.push(route, b"{}"), Err(Fault::Rejected(reason.into())));
    }
    assert_eq!(server.push(&long[1..], b"").unwrap().len(), 3 + 255);
    // A response has no route on the wire.
    for route in ["", &long] {
        let packet = server.encode(&response(1, route, 200, b""));
        assert_eq!(packet, Ok(b"\x04\x04\x01{}".to_vec()));
    }
}

#[test]
fn a_message_that_pomelo_does_not_have_is_rejected() {
    let mut server = Server::working("{}");
    let request = Message { role: Role::Request, id: 1, ..push("a", b"{}") };
    let reason = Fault::Rejected("Pomelo has no requests to clients".into());
    assert_eq!(server.encode(&request), Err(reason));
    let reason = Fault::Rejected("no request has the id 0".into());
    assert_eq!(server.respond(0, b"{}"), Err(reason));
}

#[test]
fn a_failure_keeps_its_body() {
    let failed = response(1, "a", 500, b"{\"why\":1}");
    let packet = Server::working("{}").encode(&failed);
    assert_eq!(packet, Ok(b"\x04\x04\x01{\"why\":1}".to_vec()));
}

#[test]
fn a_message_longer_than_a_package_is_rejected() {
    let mut server = Server::working("{}");
    let most = (1 << 24) - 1;
    let body = vec![b' '; most - 2];
    assert_eq!(server.respond(1, &body).map(|packet| packet.len()), Ok(most + 1));
    let reason = format!("message of {} bytes exceeds {most}", most + 1);
    assert_eq!(server.respond(1, &vec![b' '; most - 1]), Err(Fault::Rejected(reason.into())));
    assert_eq!(server.farewell(&"r".repeat(most)), []);
}

#[test]
fn a_session_does_nothing_after_its_end() {
    let mut server = Server::working("{}");
    let kick = b"\x05{\"reason\":\"the server stops\"}".to_vec();
    assert_eq!(server.farewell("the server stops"), [Event::Reply(kick)]);
    assert_eq!(server.farewell("again"), []);
    assert_rejected(&mut server, NOTIFY, "DATA outside of the working state");
    assert!(server.push("a", b"{}").is_err());
    assert_eq!(server.tick(), []);
    assert_eq!(server.answer(200, b""), []);
}

#[test]
fn there_is_no_kick_before_the_handshake_is_complete() {
    assert_eq!(Server::open("{}").farewell("early"), []);
    assert_eq!(Server::greeted("{}").farewell("early"), []);
    let mut waiting = Server::greeted("{}");
    waiting.answer(200, b"");
    assert_eq!(waiting.farewell("early"), []);
}
