//! The reasons with which connections end, as the application sees them.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use wireplug::session::CloseReason;
use wireplug::{CodecSource, Listener, RunningServer};
use wireplug_tests::{log, within};

use super::{LineClient, address, app, app_and_ends, lines, serve, websocket};

type Ends = mpsc::UnboundedReceiver<CloseReason>;

async fn server_and_ends(url: &str, codec: CodecSource) -> (RunningServer, Ends) {
    let (app, ends) = app_and_ends();
    (serve(app, Listener::new(url, codec)).await, ends)
}

async fn end(ends: &mut Ends) -> CloseReason {
    within("the end to be reported", ends.recv()).await.expect("an end")
}

/// A whole message, a close by the client and an error are three distinct outcomes.
#[tokio::test]
async fn message_disconnect_and_error_are_three() {
    let (server, mut ends) = server_and_ends("tcp://127.0.0.1:0", lines()).await;
    let mut client = LineClient::connect(&address(&server)).await;
    assert_eq!(client.ask("1 echo whole").await, "1 200 whole");
    assert!(ends.try_recv().is_err(), "a message ends nothing");
    drop(client);
    assert_eq!(end(&mut ends).await, CloseReason::ClientClosed);

    // A reset is an error of the socket.
    let client = TcpStream::connect(address(&server)).await.expect("it listens");
    client.set_zero_linger().expect("it lives");
    let mut client = LineClient::over(client);
    assert_eq!(client.ask("1 echo x").await, "1 200 x");
    drop(client);
    assert!(matches!(end(&mut ends).await, CloseReason::SocketError(_)));
    server.shutdown().await;
}

/// The cause of a client's fault names the layer that found it: transport, framing or codec.
#[tokio::test]
async fn faults_of_a_client_name_what_found_them() {
    let (server, mut ends) = server_and_ends("netstring://127.0.0.1:0", lines()).await;
    let mut client = LineClient::connect(&address(&server)).await;
    client.say("x").await;
    let transport = end(&mut ends).await;
    assert_eq!(transport.to_string(), "transport: a netstring is LENGTH:MESSAGE,");
    server.shutdown().await;

    let (server, mut ends) = server_and_ends("tcp://127.0.0.1:0", lines()).await;
    let mut client = LineClient::connect(&address(&server)).await;
    client.say_bytes(b"1 echo \xff\n").await;
    assert!(matches!(end(&mut ends).await, CloseReason::Framing(_)));
    server.shutdown().await;

    let pomelo = CodecSource::pomelo(json!({}));
    let (server, mut ends) = server_and_ends("tcp://127.0.0.1:0", pomelo).await;
    let mut client = TcpStream::connect(address(&server)).await.expect("it listens");
    client.write_all(b"\x09\0\0\0").await.expect("it reads");
    assert!(matches!(end(&mut ends).await, CloseReason::Protocol(_)));
    server.shutdown().await;
}

#[tokio::test]
async fn an_end_by_the_server_is_reported_too() {
    let (server, mut ends) = server_and_ends("tcp://127.0.0.1:0", lines()).await;
    let mut kicked = LineClient::connect(&address(&server)).await;
    assert_eq!(kicked.ask("- kick").await, "bye you asked for it");
    assert_eq!(end(&mut ends).await.to_string(), "kicked: you asked for it");
    let mut stays = LineClient::connect(&address(&server)).await;
    assert_eq!(stays.ask("1 echo x").await, "1 200 x");
    server.shutdown().await;
    assert_eq!(end(&mut ends).await, CloseReason::Shutdown);
    assert!(ends.recv().await.is_none(), "each was reported once");
}

/// A session that ends during its handshake is also reported, because the application may already
/// have seen its hello.
#[tokio::test]
async fn a_session_that_was_never_established_is_reported_once() {
    let (server, mut ends) = server_and_ends("ws://127.0.0.1:0", CodecSource::pomelo(json!({}))).await;
    // A connection that does not become a session is not reported.
    drop(TcpStream::connect(address(&server)).await.expect("it listens"));
    let mut client = websocket(&server).await;
    client.close(None).await.expect("it lives");
    assert_eq!(end(&mut ends).await, CloseReason::ClientClosed);
    drop(client);
    server.shutdown().await;
    assert!(ends.recv().await.is_none());
}

#[tokio::test]
async fn a_hook_that_panics_harms_nobody() {
    log::init();
    let app = app().on_closed(|_, _| panic!("a fault of the application"));
    let server = serve(app, Listener::new("tcp://127.0.0.1:0", lines())).await;
    for _ in 0..2 {
        let mut client = LineClient::connect(&address(&server)).await;
        assert_eq!(client.ask("1 echo x").await, "1 200 x");
    }
    let gone = async {
        while server.stats().closes.get("client-closed") != Some(&2) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within("their ends", gone).await;
    assert_eq!(server.shutdown().await.connections_open, 0);
}
