//! Pomelo over WebSocket messages.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use wireplug_tests::app::{self, ECHO};
use wireplug_tests::raw::{ACK, Raw, RawWebSocket, frame, hello, package, request, response};
use wireplug_tests::server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_packages_in_and_one_a_message_out() {
    let server = server::pomelo(app::demo(), json!({})).await;
    let mut client = RawWebSocket::connect(&server.ws()).await;
    client.send(Message::binary(hello())).await;
    client.message().await.expect("an answer to the handshake");
    let mut said = package(ACK, "");
    (1..=300).for_each(|id| said.extend(request(id, ECHO, format!("[{id}]"))));
    client.send(Message::binary(said)).await;
    for id in 1..=300 {
        assert_eq!(client.message().await.expect("a response"), response(id, format!("[{id}]")));
    }
}

/// The packages behind the handshake wait for its answer, also if the client closes meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_before_a_goodbye_is_answered() {
    let server = server::pomelo(app::demo(), json!({})).await;
    let mut raw = Raw::upgraded(&server.tcp()).await;
    let said = [frame(&hello()), frame(&package(ACK, "")), frame(&request(1, ECHO, "[1]"))].concat();
    let goodbye = [0x88, 0x80, 0, 0, 0, 0];
    raw.send(&[&said[..], &goodbye].concat()).await;
    let rest = raw.rest().await;
    let response = [&[0x82, 9][..], &response(1, "[1]")].concat();
    assert!(rest.ends_with(&[&response[..], &[0x88, 0]].concat()), "{}", rest.escape_ascii());
    let stats = server.shutdown().await;
    assert_eq!((stats.messages_in, stats.closes), (1, [("client-closed", 1)].into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_frames_are_taken_for_bytes() {
    let server = server::pomelo(app::demo(), json!({})).await;
    let mut client = RawWebSocket::pomelo(&server.ws()).await;
    let said = String::from_utf8(request(1, ECHO, "\"é\"")).expect("UTF-8");
    client.send(Message::text(said)).await;
    // The answer is binary, whatever the client sent.
    assert_eq!(client.message().await.expect("a response"), response(1, "\"é\""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_holds_whole_packages() {
    let server = server::pomelo(app::demo(), json!({})).await;
    let whole = request(1, ECHO, "[1]");
    let cut = &request(2, ECHO, "[2]")[..12];
    let cases: [(Vec<u8>, bool); 4] =
        [(cut.to_vec(), false), ([&whole, cut].concat(), true), (vec![], false), (vec![4], false)];
    for (said, answered) in cases {
        let mut client = RawWebSocket::pomelo(&server.ws()).await;
        client.send(Message::binary(said)).await;
        if answered {
            // Whole packages before the error are valid.
            assert_eq!(client.message().await.expect("a response"), response(1, "[1]"));
        }
        assert_eq!(client.close_frame().await, (1002, "framing".to_owned()));
    }
    let stats = server.until_closed("framing", 4).await;
    assert_eq!(stats.closes.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_are_answered_and_goodbyes_too() {
    let server = server::pomelo(app::demo(), json!({})).await;
    let client = RawWebSocket::pomelo(&server.ws()).await;
    let mut socket = client.into_stream();
    use futures_util::{SinkExt as _, StreamExt as _};
    socket.send(Message::Ping("are you there".into())).await.expect("the server is there");
    let pong = wireplug_tests::within("a pong", socket.next()).await;
    assert!(matches!(&pong, Some(Ok(Message::Pong(pong))) if pong == "are you there"), "{pong:?}");
    socket.close(None).await.expect("the server is there");
    let goodbye = wireplug_tests::within("a goodbye", socket.next()).await;
    assert!(matches!(goodbye, Some(Ok(Message::Close(_)))), "{goodbye:?}");
    let stats = server.until_closed("client-closed", 1).await;
    assert_eq!(stats.closes.len(), 1);
}
