//! A service behind NATS decides which clients may connect.

use std::time::Duration;

use async_nats::{Client as Nats, HeaderMap, Message};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use wireplug::config::{ServiceConfig, SessionsPerUser};
use wireplug::{App, RunningServer};
use wireplug_pomelo::client::Incoming;
use wireplug_tests::client::Client;
use wireplug_tests::nats::NatsServer;
use wireplug_tests::raw::{ACK, HANDSHAKE, Raw, package, request};
use wireplug_tests::{log, until, within};

use super::{echo_headers, heard, node_with, serve, tcp};

async fn node(nats: &NatsServer, per_user: SessionsPerUser) -> RunningServer {
    let service =
        ServiceConfig { hello: true, timeout: Duration::from_millis(500), ..ServiceConfig::default() };
    node_with(nats, App::new(), per_user, service).await
}

/// Starts a service that answers the hello of a client by what the client asks for: the headers of
/// the reply. It does not answer a client that asks for `silence`. Each hello is sent to `seen`.
async fn welcome(nats: &Nats, seen: tokio::sync::mpsc::UnboundedSender<Message>) {
    let mut hellos = nats
        .queue_subscribe("wireplug.hello.chat".to_owned(), "chat".to_owned())
        .await
        .expect("a subscription");
    heard(nats).await;
    let nats = nats.clone();
    tokio::spawn(async move {
        while let Some(hello) = hellos.next().await {
            let body: Value = serde_json::from_slice(&hello.payload).expect("a handshake is JSON");
            let reply = hello.reply.clone().expect("a hello is a request");
            let _ = seen.send(hello);
            if body["user"]["silence"] == true {
                continue;
            }
            let mut headers = HeaderMap::new();
            for (name, value) in body["user"].as_object().into_iter().flatten() {
                headers.insert(name.as_str(), value.as_str().expect("text"));
            }
            let _ = nats.publish_with_headers(reply, headers, r#"{"welcome":true}"#.into()).await;
        }
    });
}

async fn enter(node: &RunningServer, wish: &Value) -> (Client, Incoming) {
    let mut client = Client::open(&tcp(node)).await;
    let answer = client.handshake(Some(wish)).await;
    (client, answer)
}

async fn refused(node: &RunningServer, wish: &Value) -> u16 {
    match enter(node, wish).await {
        (_, Incoming::Refused { code, .. }) => code,
        (_, other) => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_bound_before_its_first_request() {
    let nats = NatsServer::start();
    let service = nats.client().await;
    serve(&service, "wireplug.requests.chat.>", echo_headers).await;
    let mut events = service.subscribe("wireplug.events.*").await.expect("a subscription");
    let (seen, mut hellos) = tokio::sync::mpsc::unbounded_channel();
    welcome(&service, seen).await;
    let node = node(&nats, SessionsPerUser::Many).await;
    // The client does not wait for the answer to its hello.
    let mut ann = Raw::connect(&tcp(&node)).await;
    let hello = package(HANDSHAKE, r#"{"sys":{},"user":{"Wireplug-Bind":"ann wörld"}}"#);
    ann.send(&[hello, package(ACK, ""), request(1, "chat.any.who", "{}")].concat()).await;
    let (kind, answer) = ann.package().await;
    let answer: Value = serde_json::from_slice(&answer).expect("JSON");
    assert_eq!((kind, &answer["user"]), (HANDSHAKE, &json!({ "welcome": true })));
    let (_, response) = ann.package().await;
    assert!(String::from_utf8_lossy(&response).contains(r#""Wireplug-User":"ann wörld""#));
    let hello = within("the hello", hellos.recv()).await.expect("it came");
    let headers = hello.headers.as_ref().expect("a hello has headers");
    let header = |name: &str| headers.get(name).map(|value| value.as_str().to_owned());
    let name = node.nodes().own_name().expect("it has a name");
    assert_eq!(header("Wireplug-Session"), Some(format!("{name}.1")));
    assert_eq!(header("Wireplug-Node").as_deref(), Some(name));
    assert!(header("Wireplug-Peer").is_some_and(|peer| peer.starts_with("127.0.0.1:")));
    assert_eq!((header("Wireplug-User"), header("Wireplug-Route")), (None, None));
    assert_eq!(hello.payload, r#"{"sys":{},"user":{"Wireplug-Bind":"ann wörld"}}"#);
    for event in ["wireplug.events.bound", "wireplug.events.opened"] {
        assert_eq!(within("an event", events.next()).await.expect("it came").subject.as_str(), event);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_refuses_clients() {
    let mut nats = NatsServer::start();
    let service = nats.client().await;
    let node = node(&nats, SessionsPerUser::Many).await;
    assert_eq!(refused(&node, &json!({})).await, 503, "nobody subscribes");
    let (seen, _hellos) = tokio::sync::mpsc::unbounded_channel();
    welcome(&service, seen).await;
    let no = json!({ "Nats-Service-Error-Code": "403", "Nats-Service-Error": "no", "Wireplug-Bind": "ann" });
    assert_eq!(refused(&node, &no).await, 403);
    assert_eq!(refused(&node, &json!({ "Nats-Service-Error": "no" })).await, 500);
    assert_eq!(refused(&node, &json!({ "Wireplug-Bind": "x".repeat(201) })).await, 500);
    assert_eq!(refused(&node, &json!({ "silence": true })).await, 504);
    assert_eq!(node.sessions().users(), 0);
    nats.kill();
    assert_eq!(refused(&node, &json!({})).await, 503);
    for words in [
        ["WARN", "`Wireplug-Bind` of a service is not", "service=\"chat\""],
        ["WARN", "a service did not answer a hello", "no answer in time"],
    ] {
        until("the line", || async { !log::lines(&words).is_empty() }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_with_one_session_is_displaced_on_any_node() {
    let nats = NatsServer::start();
    let service = nats.client().await;
    let (seen, _hellos) = tokio::sync::mpsc::unbounded_channel();
    welcome(&service, seen).await;
    let (one, other) = (node(&nats, SessionsPerUser::One).await, node(&nats, SessionsPerUser::One).await);
    let (mut first, answer) = enter(&one, &json!({ "Wireplug-Bind": "ann" })).await;
    assert!(matches!(answer, Incoming::Ready { .. }), "{answer:?}");
    let _second = enter(&other, &json!({ "Wireplug-Bind": "ann" })).await;
    first.kicked("the user has another session now").await;
    assert_eq!(other.sessions().user("ann").len(), 1);
}
