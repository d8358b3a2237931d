//! Packages that pomelo-protocol 0.1.6 has written, in each direction in which they occur.

use serde_json::json;
use wireplug_pomelo::client::{Client, Incoming};

use crate::rig::{Event, HEARTBEAT, Pair, Server, hex, packet, raw, response};

/// A dictionary with `a.b.c` and `onPush`.
const CODES: &str = r#"{"dictionary":{"a.b.c":3,"onPush":258}}"#;

#[test]
fn a_session_reads_and_answers_a_handshake() {
    let mut server = Server::open("{}");
    let handshake = packet(&hex("0100000a7b22737973223a7b7d7d"));
    assert_eq!(server.decode(&handshake), Ok(vec![Event::Hello(b"{\"sys\":{}}".to_vec())]));
    assert_eq!(server.answer(200, b""), [Event::Reply(b"\x01{\"code\":200,\"sys\":{}}".to_vec())]);
    assert_eq!(server.decode(&packet(&hex("02000000"))), Ok(vec![Event::Established]));
}

#[test]
fn a_session_answers_a_heartbeat_with_a_heartbeat() {
    let mut server = Server::working(r#"{"heartbeat":3}"#);
    let heartbeat = packet(&hex("03000000"));
    assert_eq!(heartbeat, HEARTBEAT);
    assert_eq!(server.decode(&heartbeat), Ok(vec![Event::Reply(heartbeat)]));
}

#[test]
fn a_session_writes_a_kick() {
    let mut server = Server::working("{}");
    let kick = hex("050000117b22726561736f6e223a226b69636b227d");
    assert_eq!(server.farewell("kick"), [Event::Reply(packet(&kick))]);
}

#[test]
fn a_session_reads_requests_and_notifications() {
    for (vector, event) in [
        ("0400000a000105612e622e637b7d", Event::request(1, "a.b.c", "{}")),
        ("0400000701ac0200037b7d", Event::request(300, "a.b.c", "{}")),
        ("040000090205612e622e637b7d", Event::notice("a.b.c", "{}")),
    ] {
        assert_eq!(Server::working(CODES).decode(&packet(&hex(vector))), Ok(vec![event]), "{vector}");
    }
}

#[test]
fn a_session_reads_the_largest_id_of_pomelo() {
    let message = [&[4][..], &hex("00ffffffff0705612e622e637b7d")].concat();
    let decoded = Server::working("{}").decode(&message);
    assert_eq!(decoded, Ok(vec![Event::request((1 << 31) - 1, "a.b.c", "{}")]));
}

#[test]
fn a_session_writes_responses_and_pushes() {
    let mut server = Server::working(CODES);
    let failed = response(1, "a.b.c", 500, b"");
    assert_eq!(raw(&server.encode(&failed).unwrap()), hex("0400000e04017b22636f6465223a3530307d"));
    assert_eq!(raw(&server.push("onPush", b"{}").unwrap()), hex("040000050701027b7d"));
    let mut plain = Server::working("{}");
    assert_eq!(raw(&plain.push("onPush", b"{}").unwrap()), hex("0400000a06066f6e507573687b7d"));
}

#[test]
fn a_client_writes_its_packages() {
    for (options, notify, request) in [
        ("{}", "040000090205612e622e637b7d", "0400000a000105612e622e637b7d"),
        (CODES, "040000050300037b7d", "04000006010100037b7d"),
    ] {
        let (mut pair, _) = Pair::connect(Client::new(), options, None, 7);
        let mut out = Vec::new();
        pair.client.notify("a.b.c", b"{}", &mut out).unwrap();
        assert_eq!(out, hex(notify));
        out.clear();
        assert_eq!(pair.client.request("a.b.c", b"{}", &mut out), Ok(1));
        assert_eq!(out, hex(request));
        // The 300th request has the id of the package above.
        let last = (2..=300).map(|_| {
            out.clear();
            pair.client.request("a.b.c", b"{}", &mut out)
        });
        assert_eq!(last.last(), Some(Ok(300)));
        if options == CODES {
            assert_eq!(out, hex("0400000701ac0200037b7d"));
        }
    }
    let mut out = Vec::new();
    Client::new().heartbeat(&mut out);
    assert_eq!(out, hex("03000000"));
}

#[test]
fn a_client_reads_the_packages_of_a_server() {
    let (mut pair, _) = Pair::connect(Client::new(), CODES, None, 1);
    pair.client.request("a.b.c", b"{}", &mut Vec::new()).unwrap();
    let bytes = [
        "03000000",
        "0400000e04017b22636f6465223a3530307d",
        "0400000a06066f6e507573687b7d",
        "040000050701027b7d",
        "050000117b22726561736f6e223a226b69636b227d",
        // A client ignores all bytes after a kick.
        "ffffffff",
    ];
    let (incoming, _) = pair.receive(&hex(&bytes.concat()));
    let push = Incoming::Push { route: "onPush".into(), body: b"{}".to_vec() };
    let body = json!({ "code": 500 }).to_string().into_bytes();
    let expected = [
        Incoming::Heartbeat,
        Incoming::Response { id: 1, route: "a.b.c".into(), body },
        push.clone(),
        push,
        Incoming::Kick { reason: Some("kick".into()) },
    ];
    assert_eq!(incoming, expected);
}

#[test]
fn ids_of_64_bits_are_read_and_written() {
    let mut server = Server::working("{}");
    for (id, varint) in [
        (1, "01"),
        (127, "7f"),
        (128, "8001"),
        (16_383, "ff7f"),
        (16_384, "808001"),
        (268_435_455, "ffffff7f"),
        (268_435_456, "8080808001"),
        (1 << 31, "8080808008"),
        ((1 << 32) + 5, "8580808010"),
        (u64::MAX, "ffffffffffffffffff01"),
    ] {
        let request = hex(&format!("0400{varint}01617b7d"));
        assert_eq!(server.decode(&request), Ok(vec![Event::request(id, "a", "{}")]), "{id}");
        assert_eq!(server.respond(id, b"{}"), Ok(hex(&format!("0404{varint}7b7d"))), "{id}");
    }
    // An id with more bytes than necessary is read too.
    assert_eq!(server.decode(&hex("0400818001617b7d")), server.decode(&hex("04008101617b7d")));
}
