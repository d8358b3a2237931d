//! All data of a client counts towards its rates, over both transports.

use futures_util::SinkExt as _;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use wireplug::config::{ClientLimits, OverRate};
use wireplug::{Listener, RunningServer};
use wireplug_tests::within;

use super::{Client, URL, address, app_and_ends, ask, ends, event, open, serve, sio};

/// Packets for which the runtime does not call the codec.
const SAID: [&str; 4] = ["3", "2", "42[\"x\",1]", "40/foo,"];

async fn server(limits: ClientLimits) -> RunningServer {
    let mut listener = Listener::new(URL, sio());
    listener.limits = limits;
    serve(app_and_ends().0, listener).await
}

/// Joins by polling.
async fn polls(server: &RunningServer) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(address(server)).await.expect("it listens");
    let sid = open(&mut stream).await;
    assert!(ask(&mut stream, "POST", &sid, "40").await.ends_with("ok"));
    (stream, sid)
}

#[tokio::test]
async fn each_packet_counts() {
    let limits =
        || ClientLimits { packets_per_second: 10, over_rate: OverRate::Close, ..ClientLimits::default() };
    for said in SAID {
        let server = server(limits()).await;
        let mut client = Client::join(&server).await;
        for _ in 0..30 {
            // The server may close the connection meanwhile.
            let _ = client.0.send(Frame::text(said)).await;
        }
        ends(&server, "over-rate").await;
        server.shutdown().await;

        let server = self::server(limits()).await;
        let (mut stream, sid) = polls(&server).await;
        let answer = ask(&mut stream, "POST", &sid, &[said; 30].join("\u{1e}")).await;
        assert!(!answer.starts_with("HTTP/1.1 200"), "{said}: {answer}");
        ends(&server, "over-rate").await;
        server.shutdown().await;
    }
    let server = server(limits()).await;
    let mut client = Client::join(&server).await;
    for _ in 0..30 {
        let _ = client.0.send(Frame::Ping("x".into())).await;
    }
    ends(&server, "over-rate").await;
    server.shutdown().await;
}

#[tokio::test]
async fn each_byte_counts() {
    let limits =
        || ClientLimits { bytes_per_second: 1 << 10, over_rate: OverRate::Close, ..ClientLimits::default() };
    let long = format!("42[\"x\",\"{}\"]", "a".repeat(30 << 10));
    let server = server(limits()).await;
    let mut client = Client::join(&server).await;
    let _ = client.0.send(Frame::text(&*long)).await;
    ends(&server, "over-rate").await;
    server.shutdown().await;

    let server = self::server(limits()).await;
    let (mut stream, sid) = polls(&server).await;
    ask(&mut stream, "POST", &sid, &long).await;
    ends(&server, "over-rate").await;
    // The head of a request counts too.
    let server = self::server(limits()).await;
    let (mut stream, sid) = polls(&server).await;
    let long = format!("{sid}&pad={}", "a".repeat(12 << 10));
    for _ in 0..3 {
        let _ = within("an answer", ask(&mut stream, "POST", &long, "3")).await;
    }
    ends(&server, "over-rate").await;
    server.shutdown().await;
}

/// A client over its rate is not read for a time, and loses nothing.
#[tokio::test]
async fn who_is_over_is_delayed() {
    let limits = || ClientLimits { packets_per_second: 20, ..ClientLimits::default() };
    let server = server(limits()).await;
    let mut client = Client::join(&server).await;
    for _ in 0..30 {
        client.say("3").await;
    }
    client.send(1, "echo", "1").await;
    assert_eq!(client.message().await["id"], 1);
    let (mut stream, sid) = polls(&server).await;
    let payload = format!("{}\u{1e}{}", ["3"; 30].join("\u{1e}"), event(2, "echo", "1"));
    assert!(ask(&mut stream, "POST", &sid, &payload).await.ends_with("ok"));
    let mut received = String::new();
    while !received.contains("\\\"id\\\":2") {
        received += &ask(&mut stream, "GET", &sid, "").await;
    }
    assert_eq!(server.stats().closes, [].into());
    server.shutdown().await;
}
