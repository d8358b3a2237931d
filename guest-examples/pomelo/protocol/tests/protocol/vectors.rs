//! The vectors made with pomelo-protocol 0.1.6, in each direction in which they occur.

use serde_json::json;
use wireplug_pomelo::Message;
use wireplug_pomelo::client::{Client, Incoming};

use crate::rig::{Event, HEARTBEAT, Pair, Server, hex, packet, raw};

/// Code 3 is `a.b.c`, code 258 is `onPush`.
const CODES: &str = r#"{"dictionary":{"a.b.c":3,"onPush":258}}"#;

#[test]
fn handshake() {
    let mut server = Server::open("{}");
    let handshake = packet(&hex("0100000a7b22737973223a7b7d7d"));
    assert_eq!(server.decode(&handshake), Ok(vec![Event::Hello(b"{\"sys\":{}}".to_vec())]));
    assert_eq!(server.answer(200, b""), [Event::Reply(b"\x01{\"code\":200,\"sys\":{}}".to_vec())]);
    assert_eq!(server.decode(&packet(&hex("02000000"))), Ok(vec![Event::Established]));
}

#[test]
fn heartbeat() {
    let mut server = Server::working(r#"{"heartbeat":3}"#);
    let heartbeat = packet(&hex("03000000"));
    assert_eq!(heartbeat, HEARTBEAT);
    assert_eq!(server.decode(&heartbeat), Ok(vec![Event::Reply(heartbeat)]));
}

#[test]
fn kick() {
    let mut server = Server::working("{}");
    let kick = hex("050000117b22726561736f6e223a226b69636b227d");
    assert_eq!(server.farewell("kick").map(|packet| raw(&packet)), Some(kick));
}

#[test]
fn client_to_server() {
    for (vector, id) in [
        ("0400000a000105612e622e637b7d", Some(1)),
        ("0400000701ac0200037b7d", Some(300)),
        ("040000090205612e622e637b7d", None),
    ] {
        let message = Event::message(id, "a.b.c", "{}");
        assert_eq!(Server::working(CODES).decode(&packet(&hex(vector))), Ok(vec![message]), "{vector}");
    }
}

#[test]
fn bare_message() {
    let message = [&[4][..], &hex("00ffffffff0705612e622e637b7d")].concat();
    let decoded = Server::working("{}").decode(&message);
    assert_eq!(decoded, Ok(vec![Event::message(Some((1 << 31) - 1), "a.b.c", "{}")]));
}

#[test]
fn server_to_client() {
    let mut server = Server::working(CODES);
    let failed = Message { id: Some(1), route: "a.b.c", body: b"", status: 500 };
    assert_eq!(raw(&server.encode(&failed).unwrap()), hex("0400000e04017b22636f6465223a3530307d"));
    assert_eq!(raw(&server.push("onPush", b"{}").unwrap()), hex("040000050701027b7d"));
    let mut plain = Server::working("{}");
    assert_eq!(raw(&plain.push("onPush", b"{}").unwrap()), hex("0400000a06066f6e507573687b7d"));
}

#[test]
fn client_writes_them() {
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
        // The 300th request has the id of the vector.
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
fn client_reads_them() {
    let (mut pair, _) = Pair::connect(Client::new(), CODES, None, 1);
    pair.client.request("a.b.c", b"{}", &mut Vec::new()).unwrap();
    let bytes = [
        "03000000",
        "0400000e04017b22636f6465223a3530307d",
        "0400000a06066f6e507573687b7d",
        "040000050701027b7d",
        "050000117b22726561736f6e223a226b69636b227d",
        // Nothing is read after a kick.
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
fn ids() {
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
        assert_eq!(server.decode(&request), Ok(vec![Event::message(Some(id), "a", "{}")]), "{id}");
        assert_eq!(server.respond(id, b"{}"), Ok(hex(&format!("0404{varint}7b7d"))), "{id}");
    }
    // Longer than it need be, but not ambiguous.
    assert_eq!(server.decode(&hex("0400818001617b7d")), server.decode(&hex("04008101617b7d")));
}
