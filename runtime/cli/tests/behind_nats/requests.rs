//! How requests reach services, and which answers clients get.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use serde_json::json;
use wireplug::app::Json;
use wireplug::config::{ServiceConfig, SessionsPerUser};
use wireplug::{App, Session};
use wireplug_tests::nats::NatsServer;
use wireplug_tests::within;

use super::{address, ask, client, echo_headers, heard, node, node_with, serve, tcp};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_knows_who_asks() {
    let nats = NatsServer::start();
    let service = nats.client().await;
    serve(&service, "wireplug.requests.chat.>", echo_headers).await;
    let node = node(&nats).await;
    let mut ann = client(&node).await;
    let headers = ann.call("chat.any.who", &json!({})).await;
    let name = node.nodes().own_name().expect("it has a name");
    assert!(name.starts_with("test-"), "{name}");
    assert_eq!(headers["subject"], "wireplug.requests.chat.any.who");
    assert_eq!(headers["Wireplug-Route"], "chat.any.who");
    assert_eq!(headers["Wireplug-Node"], name);
    assert_eq!(headers["Wireplug-Session"], format!("{name}.1"));
    assert!(
        headers["Wireplug-Peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")),
        "{headers}"
    );
    assert!(headers.get("Wireplug-User").is_none());
    // Requests carry the user to whom the session has been bound.
    let session = address(&mut ann).await;
    assert_eq!(ask(&service, &format!("bind.session.{session}"), "ann w\u{f6}rld").await, None);
    assert_eq!(ann.call("chat.any.who", &json!({})).await["Wireplug-User"], "ann w\u{f6}rld");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_has_an_answer_or_a_clear_error() {
    let mut nats = NatsServer::start();
    let service = ServiceConfig { timeout: Duration::from_millis(300), ..ServiceConfig::default() };
    let app = App::new().route("chat.own.here", || async { Json("its own handler") });
    let node = node_with(&nats, app, SessionsPerUser::Many, service).await;
    let mut ann = client(&node).await;
    let code = |code: u16| json!({ "code": code });

    let begun = Instant::now();
    assert_eq!(ann.call("chat.any.nobody", &json!({})).await, code(503));
    assert!(begun.elapsed() < Duration::from_secs(5), "at once, not {:?}", begun.elapsed());
    assert_eq!(ann.call("chat.own.here", &json!({})).await, json!("its own handler"));
    assert_eq!(ann.call("other.any.route", &json!({})).await, code(404));

    let silent = nats.client().await;
    let mut asked = silent.subscribe("wireplug.requests.chat.slow.>").await.expect("a subscription");
    serve(&silent, "wireplug.requests.chat.fails.*", |request| match request.subject.as_str() {
        subject if subject.ends_with("teapot") => (418, json!({ "short": "and stout" }).to_string()),
        _ => (403, String::new()),
    })
    .await;
    assert_eq!(ann.call("chat.fails.teapot", &json!({})).await, json!({ "short": "and stout" }));
    assert_eq!(ann.call("chat.fails.empty", &json!({})).await, code(403));
    assert_eq!(ann.call("chat.slow.one", &json!({})).await, code(504));
    assert_eq!(within("the request", asked.next()).await.expect("it came").payload, "{}");
    // A notification has no reply subject.
    ann.notify("chat.slow.notified", "[1]").await;
    let notification = within("the notification", asked.next()).await.expect("it came");
    assert_eq!((notification.reply, &notification.payload[..]), (None, &b"[1]"[..]));

    // One request is in flight when NATS ends, and the other one is sent after that.
    let waits = ann.ask("chat.slow.two", "{}").await;
    within("the request", asked.next()).await.expect("it came");
    nats.kill();
    assert_eq!(ann.response(waits).await, br#"{"code":503}"#);
    assert_eq!(ann.call("chat.slow.three", &json!({})).await, code(503));
    assert_eq!(ann.call("chat.own.here", &json!({})).await, json!("its own handler"));
    nats.start_again();
    let back = nats.client().await;
    serve(&back, "wireplug.requests.chat.>", |_| (200, "[\"back\"]".to_owned())).await;
    let answered = async {
        while ann.call("chat.any.again", &json!({})).await != json!(["back"]) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("NATS to be used again", answered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_nats_does_not_take_is_answered_with_413() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("small-payloads.conf");
    fs::write(&file, "max_payload: 1KB\n").expect("the directory of tests can be written");
    let nats = NatsServer::with(&["-c", file.to_str().expect("a path of text")]);
    let service = nats.client().await;
    serve(&service, "wireplug.requests.chat.>", |request| (200, request.payload.len().to_string())).await;
    let node = node(&nats).await;
    let mut ann = client(&node).await;
    assert_eq!(ann.request("chat.any.size", "x".repeat(100)).await, b"100");
    assert_eq!(ann.request("chat.any.size", "x".repeat(2000)).await, br#"{"code":413}"#);
    // The error ends neither the client's connection nor the node's.
    assert_eq!(ann.request("chat.any.size", "x".repeat(101)).await, b"101");
    assert!(node.nodes().status().await[0].nats.as_ref().is_some_and(|nats| nats.connected));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_route_reaches_a_subject_that_is_not_its_own() {
    let nats = NatsServer::start();
    let node = node(&nats).await;
    let all = nats.client().await;
    let mut ann = client(&node).await;
    let mut requests = all.subscribe("wireplug.requests.>").await.expect("a subscription");
    let mut others = all.subscribe("wireplug.clients.>").await.expect("a subscription");
    heard(&all).await;
    let routes = [
        "chat",
        "chat.",
        "chat..x",
        "chat.*",
        "chat.>",
        "chat.a b",
        "chat.a\r\nPUB x 1\r\n",
        "chat.\u{2028}x",
        "chat.a\tb",
        ".chat.x",
        "*.x",
        "clients.kick.all",
    ];
    for route in routes {
        assert_eq!(ann.call(route, &json!({})).await, json!({ "code": 404 }), "{route:?}");
    }
    // The services received none of these routes: the first request that they get is this one.
    ann.notify("chat.the.end", "{}").await;
    let first = within("a request", requests.next()).await.expect("it came");
    assert_eq!(first.subject.as_str(), "wireplug.requests.chat.the.end");
    assert!(futures_util::FutureExt::now_or_never(others.next()).is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setting_chooses_the_instance() {
    let nats = NatsServer::start();
    let service = ServiceConfig { sticky: Some("instance".to_owned()), ..ServiceConfig::default() };
    let app = App::new().route("set.any.instance", |Json(to): Json<String>, session: Session| async move {
        session.set("instance", Some(to.as_str()).filter(|to| !to.is_empty()));
    });
    let node = node_with(&nats, app, SessionsPerUser::Many, service).await;
    let services = nats.client().await;
    serve(&services, "wireplug.requests.chat.>", |_| (200, r#""any""#.to_owned())).await;
    serve(&services, "wireplug.instances.b7.chat.>", |_| (200, r#""b7""#.to_owned())).await;
    let mut ann = client(&node).await;
    let mut answered = async |instance: &str| {
        ann.call("set.any.instance", &json!(instance)).await;
        ann.call("chat.any.hit", &json!({})).await
    };
    assert_eq!(answered("").await, json!("any"));
    assert_eq!(answered("b7").await, json!("b7"));
    assert_eq!(answered("b8").await, json!({ "code": 503 }));
    assert_eq!(answered("b7.chat.>").await, json!({ "code": 500 }));
    assert_eq!(answered("").await, json!("any"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_in_order_but_for_routes_that_need_not_be() {
    let nats = NatsServer::start();
    let concurrent = vec!["chat.any.quick".to_owned()];
    let service = ServiceConfig { concurrent_routes: concurrent, ..ServiceConfig::default() };
    let node = node_with(&nats, App::new(), SessionsPerUser::Many, service).await;
    let by_hand = nats.client().await;
    let mut requests = by_hand.subscribe("wireplug.requests.chat.>").await.expect("a subscription");
    heard(&by_hand).await;
    let mut ann = wireplug_tests::client::Client::connect(&tcp(&node)).await;
    let mut next = async || within("a request", requests.next()).await.expect("it came");
    let asked = [
        ann.ask("chat.any.slow", "1").await,
        ann.ask("chat.any.slow", "2").await,
        ann.ask("chat.any.quick", "3").await,
    ];
    let (first, quick) = (next().await, next().await);
    assert_eq!((&first.payload[..], &quick.payload[..]), (&b"1"[..], &b"3"[..]));
    let reply = async |to: async_nats::Message, body: &'static str| {
        by_hand.publish(to.reply.expect("a request"), body.into()).await.expect("it is connected");
    };
    reply(quick, "3").await;
    assert_eq!(ann.response(asked[2]).await, b"3");
    reply(first, "1").await;
    assert_eq!(ann.response(asked[0]).await, b"1");
    let second = next().await;
    assert_eq!(second.payload, "2");
    reply(second, "2").await;
    assert_eq!(ann.response(asked[1]).await, b"2");
}
