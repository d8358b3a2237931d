//! The protocol byte for byte: the server reads packets of Pomelo's own library, and writes the
//! packets that the library would write.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use serde_json::{Value, json};
use wireplug::app::Error;
use wireplug::{App, Session};
use wireplug_tests::raw::{HANDSHAKE, Raw, hex};
use wireplug_tests::server::{self, TestServer};

/// The packets of a client, made with pomelo-protocol 0.1.6.
const SAID: &[&str] = &[
    "0100000a7b22737973223a7b7d7d", // HANDSHAKE {"sys":{}}
    "02000000",                     // HANDSHAKE_ACK
    "03000000",                     // HEARTBEAT
    "0400000a000105612e622e637b7d", // REQUEST id 1, route a.b.c, {}
    "0400000701ac0200037b7d",       // REQUEST id 300, route code 3, {}
    "040000090205612e622e637b7d",   // NOTIFY route a.b.c, {}
    "0400000a000105612e622e667b7d", // REQUEST id 1, route a.b.f, {}
    "040000090205612e622e707b7d",   // NOTIFY route a.b.p, {}
    "040000090205612e622e6b7b7d",   // NOTIFY route a.b.k, {}
];

/// The packets of the server after the handshake.
const ANSWERED: &[&str] = &[
    "03000000",                                   // HEARTBEAT: the handshake is over
    "03000000",                                   // HEARTBEAT
    "0400000404017b7d",                           // RESPONSE id 1, {}
    "0400000504ac027b7d",                         // RESPONSE id 300, {}
    "0400000e04017b22636f6465223a3530307d",       // RESPONSE id 1, {"code":500}
    "0400000a06066f6e507573687b7d",               // PUSH route onPush, {}
    "040000050701027b7d",                         // PUSH route code 258, {}
    "050000117b22726561736f6e223a226b69636b227d", // KICK {"reason":"kick"}
];

fn app() -> App {
    App::new()
        .route("a.b.c", |body: Bytes| async move { body })
        .route("a.b.f", || async { Err::<(), _>(Error::status(500)) })
        .route("a.b.p", |session: Session| async move {
            session.push("onPush", &json!({}))?;
            session.push("onOther", &json!({}))?;
            Ok(())
        })
        .route("a.b.k", |session: Session| async move { session.kick("kick") })
}

async fn serve() -> TestServer {
    let dictionary = json!({ "a.b.c": 3, "onOther": 258 });
    server::pomelo(app(), json!({ "heartbeat": 1000, "dictionary": dictionary })).await
}

fn join(vectors: &[&str]) -> Vec<u8> {
    vectors.iter().flat_map(|vector| hex(vector)).collect()
}

/// Reads the answer to the handshake.
async fn expect_handshake(client: &mut Raw) {
    let (kind, answer) = client.package().await;
    assert_eq!(kind, HANDSHAKE);
    let answer: Value = serde_json::from_slice(&answer).expect("JSON");
    assert_eq!(answer["code"], 200);
    assert_eq!(answer["sys"]["heartbeat"], 1000);
    assert_eq!(answer["sys"]["dict"], json!({ "a.b.c": 3, "onOther": 258 }));
}

/// Reads the answers to everything that a client sends after the handshake.
async fn expect_the_rest(client: &mut Raw) {
    client.expect(&join(ANSWERED)).await;
    assert_eq!(client.rest().await, b"");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vectors_byte_for_byte() {
    let server = serve().await;
    let mut client = Raw::connect(&server.tcp()).await;
    client.send(&hex(SAID[0])).await;
    expect_handshake(&mut client).await;
    client.send(&join(&SAID[1..])).await;
    expect_the_rest(&mut client).await;
    let stats = server.until_closed("kicked", 1).await;
    assert_eq!((stats.packets_in, stats.packets_out), (9, 9));
    assert_eq!((stats.messages_in, stats.drops), (6, [].into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_handshake_byte_for_byte() {
    let server = server::pomelo(app(), json!({ "dictionary": false })).await;
    let mut client = Raw::connect(&server.tcp()).await;
    client.send(&hex(SAID[0])).await;
    client.expect(b"\x01\0\0\x15{\"code\":200,\"sys\":{}}").await;
}

/// The answers are the same wherever the stream is cut.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_cut_at_every_byte() {
    let server = serve().await;
    let (hello, rest) = (hex(SAID[0]), join(&SAID[1..]));
    let url = &server.tcp();
    let cut_at = |cuts: (Option<usize>, Option<usize>)| {
        let (hello, rest) = (&hello, &rest);
        async move {
            let mut client = Raw::connect(url).await;
            send_cut(&mut client, hello, cuts.0).await;
            expect_handshake(&mut client).await;
            send_cut(&mut client, rest, cuts.1).await;
            expect_the_rest(&mut client).await;
        }
    };
    let all = (1..hello.len()).map(|at| (Some(at), None)).chain((1..rest.len()).map(|at| (None, Some(at))));
    join_all(all.map(cut_at)).await;

    // Each byte is sent alone.
    let mut client = Raw::connect(url).await;
    send_bytes(&mut client, &hello).await;
    expect_handshake(&mut client).await;
    send_bytes(&mut client, &rest).await;
    expect_the_rest(&mut client).await;
    server.until_closed("kicked", (hello.len() + rest.len() - 1) as u64).await;
}

/// Sends two parts with a pause between them, which makes separate reads likely.
async fn send_cut(client: &mut Raw, bytes: &[u8], at: Option<usize>) {
    let (first, second) = bytes.split_at(at.unwrap_or(0));
    if !first.is_empty() {
        client.send(first).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    client.send(second).await;
}

async fn send_bytes(client: &mut Raw, bytes: &[u8]) {
    for byte in bytes {
        client.send(std::slice::from_ref(byte)).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
