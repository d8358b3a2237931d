//! Unauthenticated clients send the data that costs a server most. The cost has a limit, and the
//! clients are closed for a reason that is counted.

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use wireplug::config::{ClientLimits, ServerConfig};
use wireplug::{Listener, RunningServer, Server};
use wireplug_tests::process::{alone, peak};
use wireplug_tests::{server, within};

use super::{Client, URL, address, app, ask, open, serve, sio};

/// The most memory that the process may grow by, in bytes. It covers a sandbox and buffers for each
/// client, and is far less than the clients send. Before packets were counted, four clients caused
/// a growth of 8 GB in 14 s.
const GROWTH: usize = 48 << 20;

/// The bytes that each client tries to send, in packets of a few bytes.
const SENT: usize = 256 << 10;

#[test]
fn what_clients_can_cause_is_bounded() {
    alone("connectors::socketio::flood::in_a_process_of_their_own");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures its process: run by what_clients_can_cause_is_bounded"]
async fn in_a_process_of_their_own() {
    for (joins, said, cause) in [
        (true, "40", Some("transport")),
        (false, "40/elsewhere,", Some("transport")),
        (true, "40/elsewhere,", Some("transport")),
        (false, "3", Some("transport")),
        (false, "2", Some("transport")),
        (true, "430[]", Some("transport")),
        (true, "4510-[\"message\",{\"_placeholder\":true,\"num\":9}]", Some("transport")),
        (true, "499[", Some("transport")),
        // Packets that cost only their reading do not end the connection.
        (true, "3", None),
        (true, "2", None),
        (true, "42[\"x\",1]", None),
    ] {
        let server = serve(app(), Listener::at(URL)).await;
        // The fixed costs of a connection are allocated before the measurement.
        join_all((0..4).map(|_| Client::join(&server))).await;
        until_gone(&server).await;
        let before = peak();
        join_all((0..4).map(|_| flood(&server, joins, said))).await;
        let growth = peak().saturating_sub(before);
        println!("{said}: grown by {growth}");
        assert!(growth < GROWTH, "{said}: {growth} bytes more than before");
        until_gone(&server).await;
        let closes = server.shutdown().await.closes;
        match cause {
            Some(cause) => assert_eq!(closes.get(cause), Some(&4), "{said}: {closes:?}"),
            None => assert_eq!(closes, [("client-closed", 8)].into(), "{said}"),
        }
    }
}

/// Sends the same packet again and again, until the server closes or everything is sent.
async fn flood(server: &RunningServer, joins: bool, said: &str) {
    let client = match joins {
        true => Client::join(server).await,
        false => Client::connect(server).await,
    };
    let (mut say, mut hear) = client.0.split();
    // The client reads everything, so that the server reads as fast as it can.
    let heard = tokio::spawn(async move { while let Some(Ok(_)) = hear.next().await {} });
    for _ in 0..SENT / said.len() {
        if say.feed(Frame::text(said)).await.is_err() {
            break;
        }
    }
    // The write fails if the server has closed.
    let _ = say.flush().await;
    let _ = say.close().await;
    within("the end", heard).await.expect("no panic");
}

async fn until_gone(server: &RunningServer) {
    let gone = async {
        while server.stats().connections_open > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    within("all gone", gone).await;
}

/// One request has room for many packets.
#[test]
fn what_requests_can_cause_is_bounded() {
    alone("connectors::socketio::flood::requests_in_a_process_of_their_own");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures its process: run by what_requests_can_cause_is_bounded"]
async fn requests_in_a_process_of_their_own() {
    const CLIENTS: usize = 50;
    let server = serve(app(), Listener::at(URL)).await;
    let before = peak();
    let payload = "40\u{1e}".repeat((128 << 10) / 3 - 1) + "40";
    let all = (0..CLIENTS).map(async |n| {
        let mut stream = TcpStream::connect(address(&server)).await.expect("it listens");
        let sid = open(&mut stream).await;
        let answer = ask(&mut stream, "POST", &sid, &payload).await;
        assert!(!answer.starts_with("HTTP/1.1 200"), "{n}: {answer}");
    });
    join_all(all).await;
    let growth = peak().saturating_sub(before);
    println!("grown by {growth}");
    // Room for the payload of each client, on both ends.
    assert!(growth < 4 * CLIENTS * (128 << 10) + GROWTH, "{growth} bytes more than before");
    until_gone(&server).await;
    assert_eq!(server.shutdown().await.closes, [("transport", CLIENTS as u64)].into());
}

/// Sessions that begin and are never used count as connections. They are limited in number, and are
/// closed after a time.
#[tokio::test]
async fn sessions_that_are_never_used_are_given_up() {
    let mut listener = Listener::new(URL, sio());
    listener.limits =
        ClientLimits { handshake_timeout: Duration::from_millis(500), ..ClientLimits::default() };
    let config = ServerConfig { max_connections: 10, ..ServerConfig::default() };
    let server = Server::new(app())
        .config(config)
        .compile(server::setup().compile)
        .listener(listener)
        .start()
        .await
        .expect("it starts");
    let mut stream = TcpStream::connect(address(&server)).await.expect("it listens");
    for _ in 0..20 {
        open(&mut stream).await;
    }
    let counted = async {
        while server.stats().closes.values().sum::<u64>() < 20 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    within("their ends", counted).await;
    let closes = server.stats().closes;
    assert!(closes.get("server-full").is_some_and(|full| *full >= 1), "{closes:?}");
    assert!(closes.keys().all(|cause| ["server-full", "handshake-timeout"].contains(cause)), "{closes:?}");
    // Their places are free again.
    Client::join(&server).await;
    server.shutdown().await;
}

/// An event whose attachments do not come counts as an incomplete packet.
#[tokio::test]
async fn attachments_that_never_come_have_a_deadline() {
    let mut listener = Listener::new(URL, sio());
    listener.limits = ClientLimits { packet_timeout: Duration::from_millis(300), ..ClientLimits::default() };
    let server = serve(app(), listener).await;
    let mut client = Client::join(&server).await;
    client.say("451-[\"message\",{\"_placeholder\":true,\"num\":0}]").await;
    super::ends(&server, "packet-timeout").await;
    server.shutdown().await;
}
