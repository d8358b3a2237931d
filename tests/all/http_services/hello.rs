//! A service decides which clients may connect.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use wireplug::config::{HttpConfig, ServiceConfig, SessionsPerUser, WebSocketConfig};
use wireplug::{App, CodecSource, Config, Listener, RunningServer, Server};
use wireplug_pomelo::client::Incoming;
use wireplug_tests::client::Client;
use wireplug_tests::raw::{ACK, HANDSHAKE, Raw, RawWebSocket, package, request};
use wireplug_tests::{chain, log, server, until};

use super::service::{Protocol, Received, answer};
use super::{Service, app, code, impatient, nobody, node, node_with, patient};
use crate::connectors::netstring::codec::Lines;

const HELLO: &str = "/chat/.wireplug/hello";

/// Returns a service like `config` that answers the hellos of clients.
fn deciding(config: ServiceConfig) -> ServiceConfig {
    ServiceConfig { hello: true, ..config }
}

/// Starts a service that answers the hello of a client by what the client asks for: a status, and
/// the header `Wireplug-Bind`. It answers requests with their bodies.
async fn start() -> Service {
    Service::start(Protocol::Http1, |request| async move {
        match request.path.as_str() {
            HELLO => welcome(&request),
            _ => answer(200, request.body),
        }
    })
    .await
}

fn welcome(request: &Received) -> Response<Full<Bytes>> {
    let hello: Value = serde_json::from_slice(&request.body).expect("a handshake is JSON");
    let status = hello["user"]["status"].as_u64().unwrap_or(200);
    let mut response = answer(u16::try_from(status).expect("a status"), r#"{"welcome":true}"#);
    if let Some(user) = hello["user"]["bind"].as_str() {
        response.headers_mut().insert("wireplug-bind", user.parse().expect("a value"));
    }
    response
}

fn tcp(node: &RunningServer) -> String {
    node.urls()[0].replace("hybrid", "tcp")
}

/// Connects, and asks for an answer to the hello. Returns the client, and the answer.
async fn enter(node: &RunningServer, wish: &Value) -> (Client, Incoming) {
    let mut client = Client::open(&tcp(node)).await;
    let answer = client.handshake(Some(wish)).await;
    (client, answer)
}

/// Returns the code with which a client is refused. Waits for the end of its connection.
async fn refused(node: &RunningServer, wish: &Value) -> u16 {
    match enter(node, wish).await {
        (mut client, Incoming::Refused { code, .. }) => {
            client.closed().await;
            code
        }
        (_, other) => panic!("{other:?}"),
    }
}

fn words(answer: Incoming) -> Option<Value> {
    match answer {
        Incoming::Ready { user, .. } => user,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_bound_before_its_first_request() {
    let service = start().await;
    let node = node([("chat", deciding(patient(&service.url("/chat"))))]).await;
    // The client does not wait for the answer to its hello.
    let hello = package(HANDSHAKE, r#"{"sys":{},"user":{"bind":"ann 100%25 %C3%B6"}}"#);
    let mut ann = Raw::connect(&tcp(&node)).await;
    ann.send(&[hello, package(ACK, ""), request(1, "chat.a", "{}")].concat()).await;
    let (kind, answered) = ann.package().await;
    let answered: Value = serde_json::from_slice(&answered).expect("JSON");
    assert_eq!((kind, &answered["user"]), (HANDSHAKE, &json!({ "welcome": true })));
    service.until(2).await;
    let [hello, request] = &service.received()[..] else { panic!("a hello and a request") };
    assert_eq!((&*hello.method, &*hello.path), ("POST", HELLO));
    assert_eq!(hello.body, r#"{"sys":{},"user":{"bind":"ann 100%25 %C3%B6"}}"#);
    assert_eq!(hello.header("content-type"), Some("application/json"));
    for name in ["wireplug-user", "wireplug-route", "wireplug-request"] {
        assert_eq!(hello.header(name), None, "{name}");
    }
    for name in ["wireplug-session", "wireplug-node", "wireplug-peer"] {
        assert!(hello.header(name).is_some_and(|value| Some(value) == request.header(name)), "{name}");
    }
    assert_eq!(request.header("wireplug-user"), Some("ann 100%25 %C3%B6"));
    assert_eq!(node.sessions().user("ann 100% ö").len(), 1);
    node.shutdown().await;
}

/// A token in the request that opens the WebSocket is what most services decide by.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_sees_the_token_of_the_upgrade() {
    log::init();
    let service = Service::start(Protocol::Http1, |request| async move {
        let token = request.header("wireplug-attribute-header-authorization");
        answer(if token == Some("Bearer of ann") { 200 } else { 401 }, "")
    })
    .await;
    let mut config = deciding(patient(&service.url("")));
    config.http.attributes = vec!["header:authorization".to_owned()];
    let rules = WebSocketConfig { headers: vec!["authorization".to_owned()], ..WebSocketConfig::default() };
    let mut listener = Listener::new("ws://127.0.0.1:0", CodecSource::pomelo(json!({})));
    listener.websocket = rules;
    let server = Server::new(app()).compile(server::setup().compile).services([("chat", config)]);
    let node = server.listener(listener).start().await.expect("it starts");
    for (token, code) in [("Bearer of ann", 200), ("Bearer of eve", 401)] {
        let mut upgrade = node.urls()[0].as_str().into_client_request().expect("a request");
        upgrade.headers_mut().insert("authorization", token.parse().expect("a value"));
        let raw = Raw::connect(&node.urls()[0].replace("ws", "tcp")).await;
        let mut socket = RawWebSocket::upgrade(raw, upgrade).await;
        socket.send(Message::binary(wireplug_tests::raw::hello())).await;
        let answered = socket.message().await.expect("an answer");
        let answered: Value = serde_json::from_slice(&answered[4..]).expect("JSON");
        assert_eq!(answered["code"], code, "{token}");
    }
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_status_but_200_refuses_and_binds_nothing() {
    let events = Arc::<Mutex<Vec<String>>>::default();
    let seen = Arc::clone(&events);
    let app = app().on_event(move |_, event| seen.lock().expect("no panic").push(format!("{event:?}")));
    let service = start().await;
    let node =
        node_with(app, SessionsPerUser::Many, [("chat", deciding(patient(&service.url("/chat"))))]).await;
    for status in [201_u16, 204, 403, 503] {
        assert_eq!(refused(&node, &json!({ "status": status, "bind": "ann" })).await, status);
    }
    until("four ends", || async { events.lock().expect("no panic").len() >= 4 }).await;
    let seen = events.lock().expect("no panic").clone();
    assert!(seen.iter().all(|event| event.starts_with("Closed(Protocol(")), "{seen:?}");
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_that_is_none_refuses_the_client() {
    let service = start().await;
    let node = node([("chatroom", deciding(patient(&service.url("/chat"))))]).await;
    for user in ["", "%20ann", "a%0Ab", "%FF", &"x".repeat(201)] {
        assert_eq!(refused(&node, &json!({ "bind": user })).await, 500, "{user:?}");
    }
    assert_eq!(node.sessions().users(), 0);
    let words = ["WARN", "`Wireplug-Bind` of a service is not", "service=\"chatroom\"", "name=\"a\\\\nb\""];
    until("the line", || async { log::lines(&words).len() == 1 }).await;
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_with_one_session_is_displaced() {
    let service = start().await;
    let services = [("chat", deciding(patient(&service.url("/chat"))))];
    let node = node_with(app(), SessionsPerUser::One, services).await;
    let (mut first, answer) = enter(&node, &json!({ "bind": "ann" })).await;
    assert_eq!(words(answer), Some(json!({ "welcome": true })));
    let (mut second, _) = enter(&node, &json!({ "bind": "ann" })).await;
    first.kicked("the user has another session now").await;
    assert_eq!(second.call("chat.a", &json!(1)).await, json!(1));
    assert_eq!(node.sessions().user("ann").len(), 1);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_answer_the_client_is_refused() {
    let (url, _socket) = nobody();
    let silent = Service::holding(Protocol::Http1, &Arc::new(Semaphore::new(0))).await;
    let redirects = Service::start(Protocol::Http1, |_| async { answer(302, "") }).await;
    for (config, status) in
        [(patient(&url), 503), (impatient(&silent.url("")), 504), (patient(&redirects.url("")), 502)]
    {
        let urls = config.url.clone().expect("it has some").all().to_vec();
        let node = node([("chat", deciding(config))]).await;
        assert_eq!(refused(&node, &json!({})).await, status);
        let status = format!("status={status}");
        let words = ["WARN", "a request to a service failed", &urls[0], "route=hello", &status];
        until("the line", || async { log::lines(&words).len() == 1 }).await;
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_count_hellos_as_requests() {
    let permits = Arc::new(Semaphore::new(0));
    let held = Service::holding(Protocol::Http1, &permits).await;
    let mut config = deciding(patient(&held.url("")));
    config.http.max_in_flight = 1;
    let node = node([("chat", config)]).await;
    let url = tcp(&node);
    let first = tokio::spawn(async move { Client::open(&url).await.handshake(None).await });
    held.until(1).await;
    assert_eq!(refused(&node, &json!({})).await, 503);
    permits.add_permits(1);
    first.await.expect("no panic");
    assert_eq!(held.received().len(), 1);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_that_fails_gets_no_hellos() {
    let silent = Service::holding(Protocol::Http1, &Arc::new(Semaphore::new(0))).await;
    let config = ServiceConfig { timeout: Duration::from_millis(100), ..deciding(patient(&silent.url(""))) };
    let http = HttpConfig { circuit_failures: 2, circuit_time: Duration::from_secs(3600), ..config.http };
    let node = node([("chat", ServiceConfig { http, ..config })]).await;
    let mut codes = Vec::new();
    for _ in 0..4 {
        codes.push(refused(&node, &json!({})).await);
    }
    assert_eq!((codes, silent.received().len()), (vec![504, 504, 503, 503], 2));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_protocol_without_a_hello_asks_nobody() {
    log::init();
    let service = start().await;
    let config = deciding(patient(&service.url("/chat")));
    let server = Server::new(app()).compile(server::setup().compile).services([("chat", config)]);
    let lines = CodecSource::native(Arc::new(Lines::default())).named("lines");
    let node = server.listen("tcp://127.0.0.1:0", lines).start().await.expect("it starts");
    let mut client = Raw::connect(&node.urls()[0]).await;
    client.send(b"1 chat.say hello\n").await;
    client.expect(b"1 200 hello\n").await;
    let paths: Vec<_> = service.received().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/chat/say"]);
    node.shutdown().await;
}

fn config(services: &Value) -> Config {
    let config = json!({
        "server": { "max-connections": 50 },
        "services": services,
        "codecs": { "pomelo": { "builtin": "pomelo" } },
        "listeners": [{ "url": "hybrid://127.0.0.1:0", "codec": "pomelo" }],
    });
    serde_json::from_value(config).expect("it is valid")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_changes_who_decides() {
    log::init();
    let strict = Service::start(Protocol::Http1, |_| async { answer(403, "") }).await;
    let service = start().await;
    let both = |strict_decides: bool, other_decides: bool| {
        config(&json!({
            "strict": { "url": strict.url(""), "hello": strict_decides },
            "chat": { "url": service.url("/chat"), "hello": other_decides },
        }))
    };
    let server = Server::new(app()).compile(server::setup().compile);
    let server = server.configured(&both(false, false), Path::new("")).expect("it is valid");
    let node = server.start().await.expect("it starts");
    assert_eq!(words(enter(&node, &json!({ "bind": "ann" })).await.1), None);
    node.reload(&both(true, false), Path::new("")).await.expect("it is applied");
    assert_eq!(refused(&node, &json!({ "bind": "ann" })).await, 403);
    let error = node.reload(&both(true, true), Path::new("")).await.expect_err("two cannot decide");
    let why =
        "services.strict.hello: only one service can answer the hellos of clients; see services.chat.hello";
    assert!(chain(&error).contains(why), "{error}");
    assert_eq!(refused(&node, &json!({})).await, 403, "nothing has changed");
    node.reload(&both(false, true), Path::new("")).await.expect("it is applied");
    let (mut ann, answer) = enter(&node, &json!({ "bind": "ann" })).await;
    assert_eq!(words(answer), Some(json!({ "welcome": true })));
    assert_eq!(node.sessions().user("ann").len(), 1);
    node.reload(&both(false, false), Path::new("")).await.expect("it is applied");
    assert_eq!(words(enter(&node, &json!({})).await.1), None);
    assert_eq!(ann.call("other.a", &json!(1)).await, code(404));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_one_can_decide() {
    log::init();
    let server = |app: App, services: Vec<&'static str>| {
        let service = |name| (name, deciding(ServiceConfig::at("http://127.0.0.1:1")));
        let server = Server::new(app).compile(server::setup().compile);
        let server = server.services(services.into_iter().map(service));
        server.listen("tcp://127.0.0.1:0", CodecSource::pomelo(json!({})))
    };
    let decides = || App::new().hello(|| async {});
    for (app, services, why) in [
        (App::new(), vec!["a", "b"], "the service b: it has `hello`, and so has the service a"),
        (decides(), vec!["a"], "the service a: it has `hello`, and this application answers hellos itself"),
    ] {
        let error = chain(&server(app, services).start().await.err().expect("it is refused"));
        assert!(error.contains(why), "{error}");
    }
    let problems = server(decides(), vec!["a"]).check().await.expect_err("it is refused");
    assert!(problems.to_string().contains("this application answers hellos itself"), "{problems}");
    // A reload is refused too.
    let server = Server::new(decides()).compile(server::setup().compile);
    let server = server.configured(&config(&json!({})), Path::new("")).expect("it is valid");
    let node = server.start().await.expect("it starts");
    let with_hello = config(&json!({ "a": { "url": "http://127.0.0.1:1", "hello": true } }));
    let error = node.reload(&with_hello, Path::new("")).await.expect_err("it is refused");
    assert!(chain(&error).contains("this application answers hellos itself"), "{error}");
    assert_eq!(words(enter(&node, &json!({})).await.1), None);
    node.shutdown().await;
}
