//! The events that nodes publish about their sessions.

use futures_util::StreamExt as _;
use serde_json::json;
use wireplug_tests::nats::NatsServer;
use wireplug_tests::within;

use super::{address, ask, client, echo_headers, heard, node, serve, tell};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_life_of_a_session() {
    let nats = NatsServer::start();
    let service = nats.client().await;
    serve(&service, "wireplug.requests.chat.>", echo_headers).await;
    let mut events = service.subscribe("wireplug.events.*").await.expect("a subscription");
    heard(&service).await;
    let node = node(&nats).await;
    let mut ann = client(&node).await;
    let session = address(&mut ann).await;
    assert_eq!(ask(&service, &format!("bind.session.{session}"), "ann").await, None);
    assert_eq!(ask(&service, &format!("bind.session.{session}"), "eve").await, None);
    assert_eq!(ask(&service, &format!("unbind.session.{session}"), "").await, None);
    assert_eq!(ask(&service, &format!("bind.session.{session}"), "bob").await, None);
    tell(&service, &format!("kick.session.{session}"), "out", &[]).await;
    ann.kicked("out").await;

    let mut received = Vec::new();
    for _ in 0..7 {
        let event = within("an event", events.next()).await.expect("the subscription lasts");
        let headers = event.headers.as_ref().expect("an event has headers");
        assert_eq!(headers.get("Wireplug-Session").map(|value| value.as_str()), Some(session.as_str()));
        let user = headers.get("Wireplug-User").map(|value| value.as_str().to_owned());
        let name = event.subject.rsplit('.').next().expect("a last token").to_owned();
        received.push(json!([name, user, String::from_utf8_lossy(&event.payload)]));
    }
    assert_eq!(
        received,
        [
            json!(["opened", null, ""]),
            json!(["bound", "ann", ""]),
            json!(["unbound", "ann", ""]),
            json!(["bound", "eve", ""]),
            json!(["unbound", "eve", ""]),
            json!(["bound", "bob", ""]),
            json!(["closed", "bob", "kicked"]),
        ]
    );
}

/// A node that stops still answers the requests of its clients, still applies the commands that
/// their services send for that, and publishes the ends of its sessions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_is_there_until_its_last_session_has_ended() {
    let nats = NatsServer::start();
    let service = nats.client().await;
    let mut requests = service.subscribe("wireplug.requests.chat.>").await.expect("a subscription");
    let mut ends = service.subscribe("wireplug.events.closed").await.expect("a subscription");
    heard(&service).await;
    let node = node(&nats).await;
    let mut ann = client(&node).await;
    let id = ann.ask("chat.any.slow", "{}").await;
    let request = within("the request", requests.next()).await.expect("it came");
    let stopping = tokio::spawn(node.shutdown());
    let session = request.headers.as_ref().and_then(|headers| headers.get("Wireplug-Session"));
    let session = session.expect("a request has a session").as_str().to_owned();
    assert_eq!(ask(&service, &format!("bind.session.{session}"), "ann").await, None);
    service.publish(request.reply.expect("a request"), "[1]".into()).await.expect("it is connected");
    assert_eq!(ann.response(id).await, b"[1]");
    ann.kicked("the server stops").await;
    drop(ann);
    let end = within("the end", ends.next()).await.expect("the subscription lasts");
    assert_eq!(end.payload, "shutdown");
    within("the node to stop", stopping).await.expect("no panic");
}
