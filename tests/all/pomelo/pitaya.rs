//! Clients of Pitaya: compressed bodies, and failures that they know by a flag.
//!
//! zlib has compressed the bodies, as Pitaya's C client does.

use bytes::Bytes;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use wireplug::App;
use wireplug::app::{Error, Json};
use wireplug_tests::raw::{ACK, DATA, HANDSHAKE, HEARTBEAT, Raw, RawWebSocket, hex, package};
use wireplug_tests::server::{self, TestServer};

/// What Pitaya's C client says of itself.
const HELLO: &str =
    r#"{"sys":{"platform":"mac","libVersion":"1.1.0","clientBuildNumber":"1","clientVersion":"1"}}"#;

/// `{"text":"hello hello … "}` of 251 bytes.
const TEXT: &str = "789cab562a49ad2851b252ca48cdc9c9571839a4522d0011485ba0";

/// 5000 times the digit 1, within the limits of a single body.
const ONES: &str = "78daedc13101000000c2a04ceb5fce147e4001000000006f031806bd36";

/// Zeros and commas, 80,003 bytes from 107.
const BOMB: &str = "789cedc2310d0000080330431cf343f06f030393d0b49b01000000000000000000000000000000000000000000\
    000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
    0000000000000000000080e21eedd42b31";

/// Returns a request with a compressed body.
fn request(id: u8, route: &str, body: &str) -> Vec<u8> {
    package(DATA, [&[0x10, id, route.len() as u8], route.as_bytes(), &hex(body)].concat())
}

fn response(flag: u8, id: u8, body: &str) -> Vec<u8> {
    package(DATA, [&[flag, id], body.as_bytes()].concat())
}

async fn serve() -> TestServer {
    let app = App::new()
        .route("room.echo", |body: Bytes| async move { body })
        .route("room.length", |body: Bytes| async move { Json(body.len()) })
        .route("room.fail", || async {
            Err::<(), _>(Error::with_body(403, r#"{"code":"ABC-1","msg":"no"}"#))
        });
    server::pomelo(app, json!({ "dialect": "pitaya", "heartbeat": 1000 })).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_are_inflated_and_failures_flagged() {
    let server = serve().await;
    let mut client = Raw::connect(&server.tcp()).await;
    client.send(&package(HANDSHAKE, HELLO)).await;
    let answer = r#"{"code":200,"sys":{"heartbeat":1000,"serializer":"json"}}"#;
    client.expect(&package(HANDSHAKE, answer)).await;
    client.send(&package(ACK, "")).await;
    client.expect(&package(HEARTBEAT, "")).await;

    client.send(&request(1, "room.echo", TEXT)).await;
    client.expect(&response(4, 1, &format!(r#"{{"text":"{}"}}"#, "hello ".repeat(40)))).await;
    client.send(&request(2, "room.fail", TEXT)).await;
    client.expect(&response(0x24, 2, r#"{"code":"ABC-1","msg":"no"}"#)).await;
    client.send(&request(3, "room.nowhere", TEXT)).await;
    client.expect(&response(0x24, 3, r#"{"code":"PIT-404","msg":"status 404"}"#)).await;
    // A body that is not zlib.
    client.send(&request(4, "room.echo", "7b7d")).await;
    server.until_rejected(1).await;
}

/// A bomb ends its own client, and is no fault of the codec.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bomb_ends_its_client_alone() {
    let server = serve().await;
    let mut good = connect(&server).await;
    for bomb in [BOMB.to_owned(), ONES.to_owned()] {
        let mut bad = connect(&server).await;
        // One message is one call of the codec, or two.
        let said = if bomb == BOMB { request(1, "room.length", &bomb) } else { many(&bomb) };
        bad.send(Message::binary(said)).await;
        while bad.message().await.is_some() {}
        good.send(Message::binary(request(1, "room.length", ONES))).await;
        assert_eq!(good.message().await.expect("a response"), response(4, 1, "5000"));
    }
    let stats = server.until_closed("protocol", 2).await;
    assert_eq!(stats.closes, [("protocol", 2)].into());
}

/// Returns a batch of requests that are good each, and too long together.
fn many(body: &str) -> Vec<u8> {
    (0..256).flat_map(|_| request(1, "room.length", body)).collect()
}

async fn connect(server: &TestServer) -> RawWebSocket {
    let mut client = RawWebSocket::connect(&server.ws()).await;
    client.send(Message::binary(package(HANDSHAKE, HELLO))).await;
    client.message().await.expect("an answer to the handshake");
    client.send(Message::binary(package(ACK, ""))).await;
    assert_eq!(client.message().await.expect("a heartbeat"), package(HEARTBEAT, ""));
    client
}
