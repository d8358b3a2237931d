//! Handshakes: good ones, refused ones, and the two transports on one port.

use bytes::Bytes;
use serde_json::{Value, json};
use std::time::Duration;
use wireplug::App;
use wireplug::app::{Error, Json};
use wireplug_pomelo::client::Incoming;
use wireplug_tests::app::{self, ECHO, ON_CHAT};
use wireplug_tests::client::Client;
use wireplug_tests::log;
use wireplug_tests::raw::{ACK, DATA, HANDSHAKE, Raw, hello, package, request, response};
use wireplug_tests::server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_handshake_is_refused_with_500() {
    let server = server::pomelo(app::demo(), json!({})).await;
    let bad = [" ", "{", "[]", "{}", r#"{"sys":null}"#, r#"{"sys":0}"#, "\u{ff}"];
    for body in bad {
        let mut client = Raw::connect(&server.tcp()).await;
        client.send(&package(HANDSHAKE, body)).await;
        client.expect(&package(HANDSHAKE, r#"{"code":500}"#)).await;
        assert_eq!(client.rest().await, b"", "{body:?}");
        let line = log::closing_line(client.address()).await;
        assert!(line.contains("cause=\"protocol\""), "{line}");
        assert!(line.contains("handshake is not a JSON object with a `sys`"), "{line}");
    }
    let stats = server.until_closed("protocol", bad.len() as u64).await;
    assert_eq!((stats.messages_in, stats.closes.len()), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_application_refuses_a_client() {
    let app = app::demo().hello(|Json(hello): Json<Value>| async move {
        let old = hello["sys"]["version"] == "0.0.1";
        if old { Err(Error::status(501)) } else { Ok(()) }
    });
    let server = server::pomelo(app, json!({})).await;

    let mut old = Raw::connect(&server.tcp()).await;
    old.send(&package(HANDSHAKE, r#"{"sys":{"version":"0.0.1"}}"#)).await;
    old.expect(&package(HANDSHAKE, r#"{"code":501}"#)).await;
    assert_eq!(old.rest().await, b"");
    server.until_closed("protocol", 1).await;

    let mut new = Client::connect(&server.tcp()).await;
    assert_eq!(new.request(ECHO, "{}").await, b"{}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_application_adds_its_word() {
    let app = app::demo().hello(|Json(mut hello): Json<Value>| async move {
        // The application may take some time.
        tokio::time::sleep(Duration::from_millis(10)).await;
        Json(json!({ "welcome": hello["user"]["name"].take() }))
    });
    let server = server::pomelo(app, json!({})).await;
    for url in [server.tcp(), server.ws()] {
        let mut client = Client::open(&url).await;
        match client.handshake(Some(&json!({ "name": "ann 😀" }))).await {
            Incoming::Ready { user, .. } => assert_eq!(user, Some(json!({ "welcome": "ann 😀" }))),
            other => panic!("{other:?}"),
        }
        assert_eq!(client.request(ECHO, "{}").await, b"{}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_the_hello_hook_refuses_the_client() {
    let app = app::demo().hello(|body: Bytes| async move { assert!(body.is_empty(), "a test's panic") });
    let server = server::pomelo(app, json!({})).await;
    let mut client = Client::open(&server.tcp()).await;
    match client.handshake(None).await {
        Incoming::Refused { code, .. } => assert_eq!(code, 500),
        other => panic!("{other:?}"),
    }
    client.closed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dictionary_is_sent_and_used_both_ways() {
    let server = server::pomelo(app::demo(), json!({})).await;
    let mut client = Raw::connect(&server.tcp()).await;
    client.send(&hello()).await;
    let (_, answer) = client.package().await;
    let sys = serde_json::from_slice::<Value>(&answer).expect("JSON")["sys"].take();
    // The application's routes get codes in sorted order, from 1.
    let routes = ["chat.chatHandler.join", "chat.chatHandler.send", ECHO, app::TIME, ON_CHAT];
    let codes: Value =
        routes.iter().zip(1..).map(|(route, code)| ((*route).to_owned(), json!(code))).collect();
    assert_eq!(sys["dict"], codes);
    assert_eq!(sys["routeToCode"], codes);
    assert_eq!(sys["codeToRoute"]["5"], ON_CHAT);
    assert_eq!(sys["useDict"], true);

    client.send(&package(ACK, "")).await;
    client.send(&package(DATA, b"\x01\x07\x00\x03{\"n\":1}")).await;
    client.expect(&response(7, r#"{"n":1}"#)).await;
    // A route as text is accepted as well.
    client.send(&request(8, ECHO, "[8]")).await;
    client.expect(&response(8, "[8]")).await;
    client.send(&package(DATA, b"\x01\x09\x00\x01{\"name\":\"ann\"}")).await;
    client.expect(&response(9, r#"{"members":["ann"]}"#)).await;
    client.send(&package(DATA, b"\x03\x00\x02{\"text\":\"hi\"}")).await;
    client.expect(&package(DATA, b"\x07\x00\x05{\"from\":\"ann\",\"text\":\"hi\"}")).await;

    // A client that already has the dictionary is not sent it again.
    let mut again = Raw::connect(&server.tcp()).await;
    let known = json!({ "sys": { "dictVersion": sys["dictVersion"] } });
    again.send(&package(HANDSHAKE, known.to_string())).await;
    again.expect(&package(HANDSHAKE, r#"{"code":200,"sys":{"useDict":true}}"#)).await;
    again.send(&package(ACK, "")).await;
    again.send(&package(DATA, b"\x01\x01\x00\x03[]")).await;
    again.expect(&response(1, "[]")).await;
}

/// The first bytes distinguish WebSocket from TCP, however slowly they arrive.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hybrid_tells_apart_what_comes_byte_by_byte() {
    let server = server::pomelo(app::demo(), json!({ "dictionary": false })).await;
    let upgrade = format!(
        "GET / HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        server.address(0)
    );
    let cases: [(&[u8], &[u8]); 2] = [
        (&hello(), b"\x01\0\0\x15{\"code\":200"),
        (upgrade.as_bytes(), b"HTTP/1.1 101 Switching Protocols\r\n"),
    ];
    for (said, answer) in cases {
        let mut client = Raw::connect(&server.tcp()).await;
        // Only a part comes byte by byte, because the WebSocket library treats a request in more
        // than 64 pieces as an attack.
        let (first, rest) = said.split_at(said.len().min(20));
        for byte in first {
            client.send(std::slice::from_ref(byte)).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        client.send(rest).await;
        client.expect(answer).await;
    }

    // These bytes begin like an upgrade, but are a package of type 71 with a length above the
    // limit.
    let mut client = Raw::connect(&server.tcp()).await;
    for byte in b"GEX!" {
        client.send(std::slice::from_ref(byte)).await;
    }
    assert_eq!(client.rest().await, b"");
    server.until_closed("framing", 1).await;
    // The client leaves in the middle of the first bytes.
    let mut client = Raw::connect(&server.tcp()).await;
    client.send(b"GE").await;
    client.finish().await;
    assert_eq!(client.rest().await, b"");
    server.until("three clients gone", |stats| stats.connections_open == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_shake_hands_does_not_stay() {
    let mut setup = server::setup();
    setup.client.handshake_timeout = Duration::from_millis(300);
    let server = server::pomelo_with(App::new(), setup).await;
    // Nothing, the beginning of an upgrade, a handshake that is not acknowledged, and half a
    // package.
    let said: [&[u8]; 4] = [b"", b"GET / HTTP/1.1\r\n", &hello(), b"\x01\0"];
    let mut clients = Vec::new();
    for said in said {
        let mut client = Raw::connect(&server.tcp()).await;
        client.send(said).await;
        clients.push(client);
    }
    for client in &mut clients {
        client.rest().await;
    }
    let stats = server.until_closed("handshake-timeout", clients.len() as u64).await;
    assert_eq!(stats.connections_open, 0);
}
