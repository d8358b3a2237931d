//! Many requests, and clients that do not read.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use wireplug_tests::app::{self, ECHO};
use wireplug_tests::client::Client;
use wireplug_tests::raw::{DATA, Raw, RawWebSocket, request, response};
use wireplug_tests::server;
use wireplug_tests::within;

const MANY: u64 = 100_000;

/// The requests are sent as fast as the server takes them, and the answers are read as they come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_requests_over_tcp() {
    let server = server::pomelo(app::demo(), json!({})).await;
    let stream = Raw::pomelo(&server.tcp()).await.into_stream();
    let (read, mut write) = stream.into_split();
    let writer = tokio::spawn(async move {
        for id in (1..=MANY).step_by(1000) {
            let some: Vec<u8> = (id..id + 1000).flat_map(|id| request(id, ECHO, id.to_string())).collect();
            write.write_all(&some).await.expect("the server reads");
        }
        write
    });
    let mut read = BufReader::new(read);
    let mut got = Vec::new();
    for id in 1..=MANY {
        let wanted = response(id, id.to_string());
        got.resize(wanted.len(), 0);
        within("a response", read.read_exact(&mut got)).await.expect("the server answers all");
        assert_eq!(got, wanted);
    }
    drop(writer.await.expect("no panic"));
    let stats = server.until_closed("client-closed", 1).await;
    assert_eq!((stats.messages_in, stats.messages_out, stats.drops), (MANY, MANY, [].into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_requests_over_websocket() {
    let server = server::pomelo(app::demo(), json!({})).await;
    let (mut write, mut read) = RawWebSocket::pomelo(&server.ws()).await.into_stream().split();
    let writer = tokio::spawn(async move {
        for id in 1..=MANY {
            write.feed(Message::binary(request(id, ECHO, id.to_string()))).await.expect("the server reads");
        }
        write.flush().await.expect("the server reads");
        write
    });
    for id in 1..=MANY {
        let got = within("a response", read.next()).await.expect("the server answers all").expect("no error");
        assert_eq!(got.into_data(), response(id, id.to_string()));
    }
    drop((read, writer.await.expect("no panic")));
    let stats = server.until_closed("client-closed", 1).await;
    assert_eq!((stats.messages_in, stats.messages_out, stats.drops), (MANY, MANY, [].into()));
}

/// The server stops reading a client that does not read, so the bytes that wait for it are limited.
/// When the client reads again, nothing is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_is_not_read() {
    /// Many times more bytes than the kernel's buffers and the server's high-water mark hold.
    const TOO_MUCH: usize = 256 << 20;
    /// The bytes that both may hold.
    const ENOUGH: usize = 64 << 20;
    let server = server::pomelo(app::demo(), json!({})).await;
    let mut neighbour = Client::connect(&server.tcp()).await;
    let stream = Raw::pomelo(&server.tcp()).await.into_stream();
    let (mut read, mut write) = stream.into_split();

    let body = format!("\"{}\"", "x".repeat(32 << 10));
    let package = request(1, ECHO, &body);
    let (mut sent, mut part) = (0, 0);
    while sent < TOO_MUCH {
        // If the server is only slow, the number is smaller and the test still passes.
        match timeout(Duration::from_secs(2), write.write(&package[part..])).await {
            Ok(count) => {
                let count = count.expect("the connection lives");
                sent += count;
                part = (part + count) % package.len();
            }
            Err(_) => break,
        }
    }
    assert!(sent < ENOUGH, "{sent} bytes were taken from a client that does not read");
    assert_eq!(neighbour.request(ECHO, "[]").await, b"[]");

    let rest = package[part..].to_vec();
    let writer = tokio::spawn(async move {
        if part > 0 {
            write.write_all(&rest).await.expect("the server reads again");
        }
        write
    });
    let wanted = response(1, &body);
    assert_eq!(wanted[0], DATA);
    let mut got = vec![0; wanted.len()];
    for _ in 0..sent.div_ceil(package.len()) {
        within("a response", read.read_exact(&mut got)).await.expect("the server answers all");
        assert!(got == wanted);
    }
    drop(writer.await.expect("no panic"));
    assert_eq!(server.stats().drops, [].into());
}
