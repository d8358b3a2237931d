//! What a service gets, and what the client gets of its response.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::Semaphore;
use wireplug::CodecSource;
use wireplug::config::ServiceConfig;
use wireplug::{Listener, Server};
use wireplug_tests::client::Client;
use wireplug_tests::{chain, log, server};

use super::service::{Protocol, answer};
use super::{Service, app, client, code, node, patient};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_body_and_the_status_go_to_the_client() {
    let service = Service::start(Protocol::Http1, |request| async move {
        match request.path.as_str() {
            "/v1/chat/chatHandler/send" => answer(200, request.body),
            "/v1/chat/refuses" => answer(403, &br#"{"why":"no"}"#[..]),
            "/v1/chat/fails" => answer(500, ""),
            "/v1/chat/nothing" => answer(204, ""),
            _ => answer(404, ""),
        }
    })
    .await;
    let node = node([("chat", patient(&service.url("/v1/chat/")))]).await;
    let mut ann = client(&node).await;
    assert_eq!(ann.call("chat.chatHandler.send", &json!({ "text": "hi" })).await, json!({ "text": "hi" }));
    assert_eq!(ann.call("chat.refuses", &json!({})).await, json!({ "why": "no" }));
    assert_eq!(ann.call("chat.fails", &json!({})).await, code(500));
    assert_eq!(ann.call("chat.nothing", &json!({})).await, code(204));
    assert_eq!(ann.call("chat.other", &json!({})).await, code(404));
    assert_eq!(ann.call("local.echo", &json!(1)).await, json!(1), "the application answers its own routes");
    assert_eq!(ann.call("chats.other", &json!({})).await, code(404));
    let received = service.received();
    assert_eq!(received.len(), 5);
    assert!(received.iter().all(|request| request.method == "POST"));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_that_is_no_path_reaches_nobody() {
    let service = Service::echo().await;
    let node = node([("chat", patient(&service.url("/chat")))]).await;
    let mut ann = client(&node).await;
    for route in ["chat", "chat.", "chat..a", "chat.../admin", "chat.a/b", "chat.a b"] {
        assert_eq!(ann.call(route, &json!({})).await, code(404), "{route}");
    }
    assert_eq!(ann.call("chat.a?b#c%2e", &json!(7)).await, json!(7));
    let paths: Vec<_> = service.received().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/chat/a%3Fb%23c%252e"]);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_say_whose_request_it_is() {
    let service = Service::echo().await;
    let mut config = patient(&service.url(""));
    config.http.attributes = ["header:x-device", "header:user-agent", "path"].map(str::to_owned).to_vec();
    let node = node([("chat", config)]).await;
    let mut ann = Client::connect(&node.urls()[0].replace("hybrid", "ws")).await;
    ann.call("chat.a.b", &json!({})).await;
    ann.call("local.bind", &json!("ann 100% ö")).await;
    ann.call("chat.a.b", &json!({})).await;
    ann.notify("chat.a.b", "{}").await;
    ann.call("local.echo", &json!({})).await;
    let [first, second, third] = &service.received()[..] else { panic!("three requests") };
    let name = first.header("wireplug-node").expect("a name").to_owned();
    assert_eq!(first.header("wireplug-session"), Some(&*format!("{name}.1")));
    assert_eq!(first.header("wireplug-user"), None);
    assert_eq!(first.header("wireplug-route"), Some("chat.a.b"));
    assert_eq!(first.header("content-type"), Some("application/json"));
    assert_eq!(first.header("content-length"), Some("2"));
    assert_eq!(first.header("host"), Some(&*service.address.to_string()));
    assert!(first.header("wireplug-peer").is_some_and(|peer| peer.starts_with("127.0.0.1:")));
    assert_eq!(first.header("wireplug-attribute-path"), Some("/"));
    assert_eq!(first.header("wireplug-attribute-header-x-device"), None, "the client has sent none");
    assert_eq!(second.header("wireplug-user"), Some("ann 100%25 %C3%B6"));
    let id = |request: &super::service::Received| request.header("wireplug-request").map(str::to_owned);
    assert!(id(first).is_some() && id(second).is_some() && id(first) != id(second));
    assert_eq!(id(third), None, "a notification has no id");
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_a_session_are_in_order() {
    let permits = Arc::new(Semaphore::new(0));
    let service = Service::holding(Protocol::Http1, &permits).await;
    let mut config = patient(&service.url(""));
    config.concurrent_routes = vec!["chat.free".to_owned()];
    let node = node([("chat", config)]).await;
    let mut ann = client(&node).await;
    let first = ann.ask("chat.waits", "1").await;
    let second = ann.ask("chat.waits", "2").await;
    let free = ann.ask("chat.free", "3").await;
    service.until(2).await;
    let bodies = |service: &Service| {
        let mut bodies: Vec<_> = service.received().into_iter().map(|request| request.body).collect();
        bodies.sort();
        bodies
    };
    assert_eq!(bodies(&service), ["1", "3"]);
    permits.add_permits(3);
    assert_eq!(ann.response(first).await, b"1");
    assert_eq!(ann.response(second).await, b"2");
    assert_eq!(ann.response(free).await, b"3");
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metrics_count_requests_in_flight() {
    let permits = Arc::new(Semaphore::new(0));
    let service = Service::holding(Protocol::Http1, &permits).await;
    let node = node([("chat", patient(&service.url("/a/")))]).await;
    let mut ann = client(&node).await;
    let asked = ann.ask("chat.a", "1").await;
    service.until(1).await;
    let text = node.metrics(wireplug::status::MetricsFormat::Prometheus);
    assert!(text.contains("wireplug_service_requests_in_flight{service=\"chat\"} 1\n"), "{text}");
    let used = format!("wireplug_service_url_used{{service=\"chat\",url=\"{}\"}} 1\n", service.url("/a"));
    assert!(text.contains(&used), "{text}");
    permits.add_permits(1);
    assert_eq!(ann.response(asked).await, b"1");
    node.shutdown().await;
}

#[tokio::test]
async fn what_cannot_be_a_service_is_refused_at_the_start() {
    log::init();
    for (name, config, why) in [
        (
            "chat",
            ServiceConfig::default(),
            "the service chat: it has no `url`, and this server does not use NATS",
        ),
        (
            "a.b",
            ServiceConfig::at("http://a"),
            "the service a.b: the name of a service has letters, digits, - and _",
        ),
        ("chat", ServiceConfig::at("ftp://a"), "it begins with http:// or https://"),
        ("chat", ServiceConfig::at("http://a/?x"), "it ends with its path"),
        ("chat", ServiceConfig::at(Vec::<String>::new()), "its list of URLs is empty"),
    ] {
        let listener = Listener::new("tcp://127.0.0.1:0", CodecSource::pomelo(json!({})));
        let server = Server::new(app()).compile(server::setup().compile).services([(name, config)]);
        let error = chain(&server.listener(listener).start().await.err().expect("it is refused"));
        assert!(error.contains(why), "{error}");
    }
}
