//! What becomes of each input that is not as it should be: a stated outcome, and the session lives on where
//! it can.

use wireplug_pomelo::{Fault, Message};

use crate::rig::{ACK, Event, HEARTBEAT, Server, hex};

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
    assert_eq!(server.farewell("late"), None);
}

/// What a client asked before it broke the protocol is still answered, if the handshake was over.
#[test]
fn answers_that_are_owed() {
    let owed = Message { id: Some(1), route: "a", body: b"{}", status: 200 };
    let (mut working, mut open) = (Server::working("{}"), Server::open("{}"));
    assert!(working.decode(b"\x06").is_err() && open.decode(b"\x06").is_err());
    assert!(working.encode(&owed).is_ok());
    assert!(open.encode(&owed).is_err());
    assert_rejected(&mut working, NOTIFY, "DATA outside of the working state");
}

#[test]
fn packages() {
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
fn packages_at_the_wrong_time() {
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
        assert!(server.encode(&Message { id: Some(1), route: "a", body: b"", status: 200 }).is_err());
    }
    let [mut open, mut greeted, mut waiting] = early();
    assert_rejected(&mut open, ACK, "HANDSHAKE_ACK without a handshake to acknowledge");
    assert_rejected(&mut greeted, ACK, "HANDSHAKE_ACK without a handshake to acknowledge");
    assert_rejected(&mut greeted, HANDSHAKE, "HANDSHAKE after the handshake");
    assert_rejected(&mut waiting, HANDSHAKE, "HANDSHAKE after the handshake");
    let mut working = Server::working("{}");
    assert_rejected(&mut working, ACK, "HANDSHAKE_ACK without a handshake to acknowledge");
    assert_rejected(&mut working, HANDSHAKE, "HANDSHAKE after the handshake");
    assert_eq!(working.decode(NOTIFY), Ok(vec![Event::message(None, "a", "{}")]), "it lives");
    // What was too early does not stand in the way of what comes in time.
    assert!(open.decode(HANDSHAKE).is_ok());
}

#[test]
fn messages() {
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
        // A surrogate that is cut is none to repair.
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
        assert_eq!(server.decode(NOTIFY), Ok(vec![Event::message(None, "a", "{}")]), "it lives");
    }
}

#[test]
fn what_pomelo_drops_or_dies_of_and_is_handed_on() {
    let mut server = Server::working("{}");
    for (message, id, route, body) in [
        // The id that hangs a Pomelo server: 2^31.
        ("00808080800801617b7d", Some(1 << 31), "a", "{}"),
        // An id of 0 says that nobody waits.
        ("000001617b7d", None, "a", "{}"),
        // Routes of any shape: the runtime knows which there are.
        ("000100", Some(1), "", "{}"),
        ("020b636f6e7374727563746f72", None, "constructor", "{}"),
        // Nothing to say.
        ("020161", None, "a", "{}"),
        ("0201616e756c6c", None, "a", "{}"),
        ("020161206e756c6c0a", None, "a", "{}"),
        // No JSON, or JSON that is no object: for the handler to judge.
        ("0201617b", None, "a", "{"),
        ("0201615b315d", None, "a", "[1]"),
        // Bits 4 to 7 of the flag, the one for gzip among them, say nothing.
        ("f201617b7d", None, "a", "{}"),
        ("1201617b7d", None, "a", "{}"),
    ] {
        let packet = hex(&format!("04{message}"));
        assert_eq!(server.decode(&packet), Ok(vec![Event::message(id, route, body)]), "{message}");
    }
}

#[test]
fn unknown_codes() {
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
fn encoding() {
    let mut server = Server::working("{}");
    let long = "r".repeat(256);
    for route in ["", &long] {
        let reason = format!("route of a push has {} bytes, not 1 to 255", route.len());
        assert_eq!(server.push(route, b"{}"), Err(Fault::Rejected(reason.into())));
    }
    assert_eq!(server.push(&long[1..], b"").unwrap().len(), 3 + 255);
    // A response has no route to be too long, and an id of 0 is none.
    assert_eq!(server.respond(1, b""), Ok(b"\x04\x04\x01{}".to_vec()));
    let push = Message { id: Some(0), route: "a", body: b"", status: 404 };
    assert_eq!(server.encode(&push), Ok(b"\x04\x06\x01a{\"code\":404}".to_vec()));
    // A failure that has a body keeps it.
    let failed = Message { id: Some(1), route: "a", body: b"{\"why\":1}", status: 500 };
    assert_eq!(server.encode(&failed), Ok(b"\x04\x04\x01{\"why\":1}".to_vec()));
}

#[test]
fn the_longest_package() {
    let mut server = Server::working("{}");
    let most = (1 << 24) - 1;
    let body = vec![b' '; most - 2];
    assert_eq!(server.respond(1, &body).map(|packet| packet.len()), Ok(most + 1));
    let reason = format!("message of {} bytes exceeds {most}", most + 1);
    assert_eq!(server.respond(1, &vec![b' '; most - 1]), Err(Fault::Rejected(reason.into())));
    assert_eq!(server.farewell(&"r".repeat(most)), None);
}

#[test]
fn after_the_end() {
    let mut server = Server::working("{}");
    assert_eq!(server.farewell("the server stops"), Some(b"\x05{\"reason\":\"the server stops\"}".to_vec()));
    assert_eq!(server.farewell("again"), None);
    assert_rejected(&mut server, NOTIFY, "DATA outside of the working state");
    assert!(server.push("a", b"{}").is_err());
    assert_eq!(server.tick(), []);
    assert_eq!(server.answer(200, b""), []);
    assert_eq!(Server::open("{}").farewell("too early"), None);
    assert_eq!(Server::greeted("{}").farewell("too early"), None);
}
