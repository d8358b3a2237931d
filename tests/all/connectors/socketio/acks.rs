//! Acknowledgements, and the data that a client sends when it joins.

use serde_json::json;
use wireplug::Listener;
use wireplug::session::SessionId;
use wireplug_tests::within;

use super::{Client, URL, app, ends, event, serve};

/// Returns an event with a packet of Pomelo's protocol that asks for an acknowledgement.
fn wanted(ack: u64, id: u8, route: &str, body: &str) -> String {
    event(id, route, body).replacen("42", &format!("42{ack}"), 1)
}

/// Returns the acknowledgement of an event, which has the response as JSON in a text.
fn response(ack: u64, id: u64, body: &str) -> String {
    format!("43{ack}{}", json!([format!("{{\"id\":{id},\"body\":{body}}}")]))
}

#[tokio::test]
async fn the_response_to_a_request_is_its_acknowledgement() {
    let server = serve(app(), Listener::at(URL)).await;
    let mut client = Client::join(&server).await;
    client.say(&wanted(0, 7, "echo", "{\"n\":1}")).await;
    assert_eq!(client.hear().await, Some(response(0, 7, "{\"n\":1}")));
    // A request that fails is acknowledged in the same way.
    client.say(&wanted(12, 8, "nowhere", "")).await;
    assert_eq!(client.hear().await, Some(response(12, 8, "{\"code\":404}")));
    // An event without a response is acknowledged when it is taken, such as a notification or an
    // invalid packet.
    client.say(&wanted(13, 0, "echo", "1")).await;
    assert_eq!(client.hear().await.as_deref(), Some("4313[]"));
    client.say("4214[\"message\",\"\"]").await;
    assert_eq!(client.hear().await.as_deref(), Some("4314[]"));
    // A request without an acknowledgement gets its response as an event.
    client.send(9, "echo", "1").await;
    assert_eq!(client.message().await, json!({ "id": 9, "body": 1 }));
    let stats = server.shutdown().await;
    assert_eq!((stats.packets_in, stats.messages_in), (5, 4));
}

/// Requests with and without acknowledgements alternate. Responses without acknowledgements may
/// share a text; each acknowledgement has its own.
#[tokio::test]
async fn many_at_once_are_distinguished() {
    const ASKED: u64 = 100;
    let server = serve(app(), Listener::at(URL)).await;
    let mut client = Client::join(&server).await;
    for n in 0..ASKED {
        let request = match n % 3 {
            0 => event(1 + n as u8, "echo", &n.to_string()),
            _ => wanted(n, 1 + n as u8, "echo", &n.to_string()),
        };
        client.say(&request).await;
    }
    let (mut acks, mut others) = (0, 0);
    while acks + others < ASKED {
        let heard = client.hear().await.expect("an answer");
        if let Some(ack) = heard.strip_prefix("43") {
            let n: u64 = ack.split('[').next().and_then(|n| n.parse().ok()).expect("its number");
            assert_eq!(heard, response(n, 1 + n, &n.to_string()));
            acks += 1;
        } else {
            others += heard.matches("\\\"id\\\":").count() as u64;
        }
    }
    assert_eq!(others, ASKED.div_ceil(3));
    server.shutdown().await;
}

/// The application and the codec see the client's authentication data and the header fields that
/// the listener names.
#[tokio::test]
async fn auth_and_named_headers_are_attributes() {
    let mut listener = Listener::at(URL);
    listener.websocket.headers = vec!["Sec-WebSocket-Version".to_owned(), "X-Absent".to_owned()];
    let server = serve(app(), listener).await;
    let mut client = Client::connect(&server).await;
    client.say("40{\"token\":\"é\"}").await;
    assert!(client.hear().await.expect("a word").starts_with("40{"));
    client.send(1, "echo", "1").await;
    client.message().await;
    let session = server.sessions().get(SessionId(1)).expect("the only one");
    let attributes = &session.client().attributes;
    let attribute = |wanted: &str| {
        let found = attributes.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!(attribute("auth"), Some("{\"token\":\"é\"}"));
    assert_eq!(attribute("header:sec-websocket-version"), Some("13"));
    assert_eq!(attribute("header:x-absent"), None);
    server.shutdown().await;
}

#[tokio::test]
async fn a_long_auth_is_refused() {
    let server = serve(app(), Listener::at(URL)).await;
    let mut client = Client::connect(&server).await;
    client.say(&format!("40{{\"token\":\"{}\"}}", "x".repeat(8 << 10))).await;
    assert_eq!(within("its end", client.hear()).await, None);
    ends(&server, "transport").await;
    server.shutdown().await;
}
