//! Violations of the protocol by clients, with the outcomes of the table in the codec's README,
//! over a socket. In each case, earlier requests are answered and other connections are not
//! affected.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use wireplug_tests::app::{self, ECHO, JOIN, SAY};
use wireplug_tests::client::Client;
use wireplug_tests::log;
use wireplug_tests::raw::{
    ACK, DATA, HANDSHAKE, HEARTBEAT, KICK, Raw, hello, notification, package, request, response,
};
use wireplug_tests::server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_dropped_while_the_connection_lives() {
    let server = server::pomelo(app::demo(), json!({})).await;
    let mut neighbour = Client::connect(&server.tcp()).await;
    let long_route = [&[0, 1, 200], &[b'x'; 100][..]].concat();
    let data: &[(&str, &[u8])] = &[
        ("an empty DATA", b""),
        ("nothing but a flag", b"\x00"),
        ("cut in its id", b"\x00\x80\x80"),
        ("an id of more than 64 bits", b"\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02\x05a.b.c{}"),
        ("an id of eleven bytes", b"\x00\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00\x05a.b.c{}"),
        ("cut before its route", b"\x00\x01"),
        ("cut in its route code", b"\x01\x01\x00"),
        ("a route that is longer than the message", &long_route),
        ("message type 4", b"\x08\x01\x05a.b.c{}"),
        ("message type 7", b"\x0e\x01\x05a.b.c{}"),
        ("a RESPONSE", b"\x04\x01{}"),
        ("a PUSH", b"\x06\x05a.b.c{}"),
        ("a route that is not UTF-8", b"\x00\x01\x02\xff\xfe{}"),
        ("a notification with an unknown route code", b"\x03\xff\xff{}"),
    ];
    let mut rejected = 0;
    let mut client = Raw::pomelo(&server.tcp()).await;
    for (id, (what, data)) in (1..).zip(data) {
        println!("{what}");
        let said = [request(id, ECHO, "[1]"), package(DATA, data), request(id, ECHO, "[2]")].concat();
        client.send(&said).await;
        client.expect(&[response(id, "[1]"), response(id, "[2]")].concat()).await;
        rejected += 1;
        server.until_rejected(rejected).await;
    }
    for (what, package) in [("a second HANDSHAKE", hello()), ("a second HANDSHAKE_ACK", package(ACK, ""))] {
        println!("{what}");
        client.send(&[package, request(1, ECHO, "[3]")].concat()).await;
        client.expect(&response(1, "[3]")).await;
        rejected += 1;
        server.until_rejected(rejected).await;
    }
    assert_eq!(neighbour.request(ECHO, "[]").await, b"[]");
    assert_eq!(server.stats().connections_open, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_answered_in_its_own_way() {
    let server = server::pomelo(app::demo(), json!({})).await;
    let mut client = Raw::pomelo(&server.tcp()).await;
    // A request with an unknown route code.
    client.send(&package(DATA, b"\x01\x05\xff\xff{}")).await;
    client.expect(&response(5, r#"{"code":404}"#)).await;
    // Flag bits without a meaning, including the one for gzip.
    client.send(&package(DATA, [b"\xf0\x06\x1b", ECHO.as_bytes(), b"[6]"].concat())).await;
    client.expect(&response(6, "[6]")).await;
    // A heartbeat although heartbeats are off.
    client.send(&[package(HEARTBEAT, ""), request(7, ECHO, "[7]")].concat()).await;
    client.expect(&response(7, "[7]")).await;
    // Routes of unusual forms.
    for route in ["", ".", "a", "a.b", "a.b.c.d", "x.toString", "__proto__", "é.漢.😀"] {
        client.send(&request(8, route, "{}")).await;
        client.expect(&response(8, r#"{"code":404}"#)).await;
    }
    let stats = server.stats();
    assert_eq!((stats.drops, stats.connections_open), ([].into(), 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_before_the_handshake_is_dropped() {
    let server = server::pomelo(app::demo(), json!({ "dictionary": false })).await;
    let mut client = Raw::connect(&server.tcp()).await;
    let early = [package(ACK, ""), package(HEARTBEAT, ""), request(1, ECHO, "[1]")].concat();
    client.send(&[&early, &hello()[..]].concat()).await;
    client.expect(b"\x01\0\0\x15{\"code\":200,\"sys\":{}}").await;
    // The handshake is not acknowledged yet.
    client.send(&[package(HEARTBEAT, ""), request(2, ECHO, "[2]"), package(ACK, "")].concat()).await;
    client.send(&request(3, ECHO, "[3]")).await;
    client.expect(&response(3, "[3]")).await;
    assert_eq!(server.until_rejected(5).await.messages_in, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ends_the_connection() {
    let server = server::pomelo(app::demo(), json!({})).await;
    let mut neighbour = Client::connect(&server.tcp()).await;
    let cases: &[(&[u8], &str, &str)] = &[
        (&package(0, ""), "protocol", "package type 0 is not 1 to 5"),
        (&package(6, "{}"), "protocol", "package type 6 is not 1 to 5"),
        (&package(255, "\u{1b}\n"), "protocol", "package type 255 is not 1 to 5"),
        (&package(KICK, ""), "protocol", "KICK from a client"),
        // A length of 16 MiB is refused at once, and nothing is allocated for it.
        (b"\x04\xff\xff\xff", "framing", "a packet of 16777216 bytes is over the maximum of 65536"),
        (b"OPTIONS / HTTP/1.1\r\n\r\n", "framing", "over the maximum"),
    ];
    for (i, &(bytes, cause, reason)) in cases.iter().enumerate() {
        for established in [false, true] {
            let mut client = if established {
                let mut client = Raw::pomelo(&server.tcp()).await;
                client.send(&request(1, ECHO, "[1]")).await;
                client.expect(&response(1, "[1]")).await;
                client
            } else {
                Raw::connect(&server.tcp()).await
            };
            let before = server.stats();
            // Bytes after the violation are ignored.
            client.send(&[bytes, &request(2, ECHO, "[2]")[..]].concat()).await;
            assert_eq!(client.rest().await, b"", "{reason}");
            let line = log::closing_line(client.address()).await;
            assert!(line.contains(&format!("cause=\"{cause}\"")) && line.contains(reason), "{line}");
            let after = server.until("one close", |stats| stats.closes != before.closes).await;
            assert_eq!(after.messages_in, before.messages_in);
            assert_eq!(after.closes.values().sum::<u64>(), 2 * i as u64 + u64::from(established) + 1);
        }
        assert_eq!(neighbour.call(ECHO, &json!(i)).await, json!(i));
    }
    assert_eq!(server.until_closed("protocol", 8).await.closes, [("framing", 4), ("protocol", 8)].into());
}

/// After a refused handshake, another one in the same bytes is ignored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_heard_behind_the_end() {
    let server = server::pomelo(app::demo(), json!({})).await;
    let mut client = Raw::connect(&server.tcp()).await;
    client
        .send(&[package(HANDSHAKE, "no"), hello(), package(ACK, ""), request(1, ECHO, "[]")].concat())
        .await;
    client.expect(&package(HANDSHAKE, r#"{"code":500}"#)).await;
    assert_eq!(client.rest().await, b"");
    assert_eq!(server.until_closed("protocol", 1).await.messages_in, 0);
}

/// The same bytes contain a valid notification and a violation that ends the connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_before_the_end_is_handed_on() {
    let server = server::pomelo(app::demo(), json!({})).await;
    let mut member = Client::connect(&server.tcp()).await;
    member.request(JOIN, r#"{"name":"ann"}"#).await;
    for end in [package(6, ""), b"\x04\xff\xff\xff".to_vec()] {
        let mut client = Raw::pomelo(&server.tcp()).await;
        let join = request(1, JOIN, r#"{"name":"bob"}"#);
        client.send(&join).await;
        client.expect(&response(1, r#"{"members":["ann","bob"]}"#)).await;
        client.send(&[notification(SAY, r#"{"text":"bye"}"#), end].concat()).await;
        client.rest().await;
        assert_eq!(member.next_push().await.1, json!({ "from": "bob", "text": "bye" }));
    }
    server.until("both gone", |stats| stats.connections_open == 1).await;
}

/// The same bytes contain a valid request and a violation that ends the connection. The request is
/// answered first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_before_the_end_is_answered() {
    let server = server::pomelo(app::demo(), json!({})).await;
    for end in [package(6, ""), package(KICK, ""), b"\x04\xff\xff\xff".to_vec()] {
        let mut client = Raw::pomelo(&server.tcp()).await;
        client.send(&[request(1, ECHO, "[1]"), end, request(2, ECHO, "[2]")].concat()).await;
        assert_eq!(client.rest().await, response(1, "[1]"));
    }
    server.until("all gone", |stats| stats.connections_open == 0).await;
}

/// A handler still runs for a valid request when the client violates the protocol. The request is
/// still answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_flight_at_the_end_is_answered() {
    let app = app::demo().route("slow.slowHandler.wait", |body: Bytes| async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        body
    });
    let server = server::pomelo(app, json!({})).await;
    let mut client = Raw::pomelo(&server.tcp()).await;
    client.send(&[request(1, "slow.slowHandler.wait", "[1]"), package(6, "")].concat()).await;
    assert_eq!(client.rest().await, response(1, "[1]"));
    server.until("its end", |stats| stats.closes == [("protocol", 1)].into()).await;
}

/// A client that violates the protocol and continues to send can still read all earlier answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_is_not_lost_to_a_reset() {
    let server = server::pomelo(app::demo(), json!({})).await;
    let body = format!("\"{}\"", "x".repeat(20_000));
    let mut client = Raw::pomelo(&server.tcp()).await;
    let mut said: Vec<u8> = (1..9).flat_map(|id| request(id, ECHO, &body)).collect();
    said.extend(package(6, ""));
    said.extend(package(HEARTBEAT, "").repeat(5_000));
    client.send(&said).await;
    let wanted: Vec<u8> = (1..9).flat_map(|id| response(id, &body)).collect();
    assert!(client.rest().await == wanted, "all answers, and nothing else");
}
