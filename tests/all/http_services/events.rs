//! The events of sessions, for services that ask for them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore};
use wireplug::app::State;
use wireplug::config::{ServerConfig, ServiceConfig, ServiceEvent};
use wireplug::status::MetricsFormat;
use wireplug::upgrade::{Takeover, Upgrade};
use wireplug::{App, CodecSource, Config, RunningServer, Server};
use wireplug_tests::client::Client;
use wireplug_tests::{log, server, until, within};

use super::service::{Protocol, Received, answer};
use super::{Service, app, client, impatient, nobody, node, patient, patient_at};

const EVENTS: &str = "/chat/.wireplug/events";

/// Returns a service like `config` that asks for the events of sessions that begin and end.
fn feed(config: ServiceConfig) -> ServiceConfig {
    let events = vec![ServiceEvent::Opened, ServiceEvent::Moved, ServiceEvent::Bound, ServiceEvent::Closed];
    ServiceConfig { events, ..config }
}

/// Starts a service that refuses its first requests.
async fn refusing(first: usize) -> Service {
    let count = AtomicUsize::new(0);
    Service::start(Protocol::Http1, move |_| {
        let refuses = count.fetch_add(1, Ordering::SeqCst) < first;
        async move { answer(if refuses { 500 } else { 204 }, "") }
    })
    .await
}

fn events(request: &Received) -> Vec<Value> {
    serde_json::from_slice(&request.body).expect("an array")
}

/// Returns the events of each request, as number and name.
fn received(service: &Service) -> Vec<Vec<String>> {
    let short = |event: Value| format!("{} {}", event["number"], event["event"].as_str().expect("a name"));
    service.received().iter().map(|request| events(request).into_iter().map(short).collect()).collect()
}

async fn until_received(service: &Service, events: &[&[&str]]) {
    until(&format!("{events:?}"), || async { received(service) == events }).await;
}

async fn until_metric(node: &RunningServer, line: &str) {
    until(line, || async { node.metrics(MetricsFormat::Prometheus).contains(&format!("\n{line}\n")) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_learns_of_the_life_of_a_session() {
    let service = Service::echo().await;
    let mut config = feed(patient(&service.url("/chat")));
    config.http.content_type = "text/plain".to_owned();
    config.http.attributes = vec!["path".to_owned()];
    let node = node([("chat", config)]).await;
    let mut ann = Client::connect(&node.urls()[0].replace("hybrid", "ws")).await;
    ann.call("local.bind", &json!("ann")).await;
    drop(ann);
    let all = || service.received().iter().flat_map(events).collect::<Vec<_>>();
    until("three events", || async { all().len() == 3 }).await;
    let requests = service.received();
    let name = requests[0].header("wireplug-node").expect("a name").to_owned();
    for request in &requests {
        assert_eq!((&*request.method, &*request.path), ("POST", EVENTS));
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.header("wireplug-session"), None);
    }
    let peer = all()[0]["peer"].clone();
    assert!(peer.as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")), "{peer}");
    let mut expected = json!([
        { "number": 1, "event": "opened" },
        { "number": 2, "event": "bound", "user": "ann" },
        { "number": 3, "event": "closed", "user": "ann", "reason": "client-closed" },
    ]);
    for (event, got) in expected.as_array_mut().expect("a list").iter_mut().zip(all()) {
        event["session"] = format!("{name}.1").into();
        event["node"] = name.clone().into();
        event["peer"] = peer.clone();
        event["attributes"] = json!({ "path": "/" });
        event["time"] = got["time"].clone();
        assert!(got["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{got}");
        assert_eq!(*event, got);
    }
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_service_refuses_is_sent_again() {
    let service = refusing(2).await;
    let node = node([("chat", feed(patient(&service.url(""))))]).await;
    let _ann = client(&node).await;
    until_received(&service, &[&["1 opened"], &["1 opened"], &["1 opened"]]).await;
    let _bob = client(&node).await;
    until_received(&service, &[&["1 opened"], &["1 opened"], &["1 opened"], &["2 opened"]]).await;
    let words = ["WARN", "they are sent again", &service.url(""), "it answered with the status 500"];
    assert_eq!(log::lines(&words).len(), 1);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_url_gets_what_one_refuses() {
    let (bad, good) = (refusing(usize::MAX).await, refusing(0).await);
    let node = node([("chat", feed(patient_at(&[&bad.url(""), &good.url("")])))]).await;
    let mut clients = Vec::new();
    for number in 1..=4 {
        clients.push(client(&node).await);
        let opened = format!("{number} opened");
        until("the event", || async { received(&good).last().is_some_and(|last| *last == [&*opened]) }).await;
    }
    let numbers: Vec<_> = received(&good).concat();
    assert_eq!(numbers, ["1 opened", "2 opened", "3 opened", "4 opened"]);
    assert!(!received(&bad).is_empty());
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_wait_for_a_service_that_is_not_there_yet() {
    let (url, socket) = nobody();
    let node = node([("chat", feed(patient(&url)))]).await;
    let _ann = client(&node).await;
    let words = ["WARN", "they are sent again", &url, "Connection refused"];
    until("the line", || async { log::lines(&words).len() == 1 }).await;
    let _bob = client(&node).await;
    let listener = socket.listen(16).expect("it is bound");
    let service = Service::at(listener, Protocol::Http1, |_| async { answer(200, "") });
    until_received(&service, &[&["1 opened"], &["2 opened"]]).await;
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_sent_again_after_a_time_out() {
    let count = AtomicUsize::new(0);
    let service = Service::start(Protocol::Http1, move |_| {
        let hangs = count.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            answer(200, "")
        }
    })
    .await;
    let node = node([("chat", feed(impatient(&service.url(""))))]).await;
    let _ann = client(&node).await;
    until_received(&service, &[&["1 opened"], &["1 opened"]]).await;
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_always_refused_is_dropped_at_last() {
    let service = Service::start(Protocol::Http1, |request| async move {
        // It cannot use the first event.
        let refuses = events(&request).iter().any(|event| event["number"] == 1);
        answer(if refuses { 422 } else { 200 }, "")
    })
    .await;
    let mut config = feed(patient(&service.url("")));
    config.http.events_retry = Duration::from_millis(50);
    let node = node([("refused", config)]).await;
    let _ann = client(&node).await;
    until_metric(&node, "wireplug_service_events_dropped_total{service=\"refused\",reason=\"refused\"} 1")
        .await;
    let words = ["WARN", "they are dropped", "service=\"refused\"", "the status 422", "events=1"];
    until("the line", || async { log::lines(&words).len() == 1 }).await;
    let _bob = client(&node).await;
    until("the next", || async { received(&service).last().is_some_and(|last| *last == ["2 opened"]) }).await;
    assert!(received(&service).len() >= 3, "the first was tried more than once");
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_is_counted() {
    let permits = Arc::new(Semaphore::new(0));
    let service = Service::holding(Protocol::Http1, &permits).await;
    let mut config = feed(patient(&service.url("")));
    config.http.max_events = 2;
    let node = node([("full", config)]).await;
    let mut clients = vec![client(&node).await];
    service.until(1).await;
    for _ in 0..3 {
        clients.push(client(&node).await);
    }
    until_metric(&node, "wireplug_service_events_dropped_total{service=\"full\",reason=\"full\"} 2").await;
    until_metric(&node, "wireplug_service_events_queued{service=\"full\"} 2").await;
    let words = ["WARN", "`http.max-events` wait for it", "service=\"full\"", "max_events=2"];
    assert_eq!(log::lines(&words).len(), 1);
    permits.add_permits(100);
    until_metric(&node, "wireplug_service_events_queued{service=\"full\"} 0").await;
    clients.push(client(&node).await);
    until_received(&service, &[&["1 opened"], &["2 opened"], &["5 opened"]]).await;
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
async fn a_reload_loses_no_event() {
    log::init();
    let (old, new) = (refusing(usize::MAX).await, refusing(0).await);
    let at = |service: &Service, events: &[&str]| {
        config(&json!({ "chat": { "url": service.url(""), "events": events } }))
    };
    let server = Server::new(app()).compile(server::setup().compile);
    let server = server.configured(&at(&old, &["opened"]), Path::new("")).expect("it is valid");
    let node = server.start().await.expect("it starts");
    let ann = client(&node).await;
    until("a try", || async { !received(&old).is_empty() }).await;
    let _bob = client(&node).await;
    node.reload(&at(&new, &["opened", "closed"]), Path::new("")).await.expect("it is applied");
    until_received(&new, &[&["1 opened"], &["2 opened"]]).await;
    drop(ann);
    until_received(&new, &[&["1 opened"], &["2 opened"], &["3 closed"]]).await;
    // Without events, nothing more comes.
    node.reload(&at(&new, &[]), Path::new("")).await.expect("it is applied");
    let mut eve = client(&node).await;
    eve.call("local.echo", &json!(1)).await;
    node.reload(&at(&new, &["opened"]), Path::new("")).await.expect("it is applied");
    let _dan = client(&node).await;
    until_received(&new, &[&["1 opened"], &["2 opened"], &["3 closed"], &["4 opened"]]).await;
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_the_server_is_an_event_too() {
    let service = refusing(3).await;
    let node = node([("chat", feed(patient(&service.url(""))))]).await;
    let _ann = client(&node).await;
    service.until(1).await;
    node.shutdown().await;
    let all = received(&service);
    assert_eq!(all[..4], [["1 opened"], ["1 opened"], ["1 opened"], ["1 opened"]]);
    assert_eq!(all[4..], [["2 closed"]]);
    assert_eq!(events(&service.received()[4])[0]["reason"], "shutdown");
}

// === an upgrade ===

/// The name of the test that is the new process.
const NEW: &str = "http_services::events::in_the_new_process";

/// Starts a server that an upgrade can replace. Its clients can ask for its `end`.
async fn replaceable(url: &str, end: &Arc<Notify>, takeover: Option<Takeover>) -> RunningServer {
    log::init();
    let app = App::with_state(Arc::clone(end))
        .route("local.echo", |body: bytes::Bytes| async move { body })
        .route("local.end", |State(end): State<Arc<Notify>>| async move { end.notify_one() });
    let mut server = Server::new(app)
        .config(ServerConfig { max_connections: 100, ..ServerConfig::default() })
        .services([("chat", feed(patient(url)))])
        .listen("tcp://127.0.0.1:0", CodecSource::pomelo(json!({})));
    if let Some(takeover) = takeover {
        server = server.inherit_sockets(takeover.sockets()).taking_over(takeover);
    }
    server.start().await.expect("it starts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_process_of_an_upgrade_sends_its_own_events() {
    let permits = Arc::new(Semaphore::new(0));
    let service = Service::holding(Protocol::Http1, &permits).await;
    let old = replaceable(&service.url(""), &Arc::default(), None).await;
    let mut ann = client(&old).await;
    ann.call("local.echo", &json!(1)).await;
    service.until(1).await;
    // Its event waits behind the first one.
    let mut bob = client(&old).await;
    bob.call("local.echo", &json!(1)).await;
    let program = std::env::current_exe().expect("a running program has a path");
    let url = service.url("");
    // The test finds the URL among its arguments. As the name of a test it matches none.
    let upgrade = ["--exact", NEW, &url, "--include-ignored", "--nocapture"]
        .into_iter()
        .fold(Upgrade::to(program), |upgrade, argument| upgrade.argument(argument));
    let report = old.upgrade(upgrade).await.expect("it is upgraded");
    assert_eq!((report.moved, report.stayed.len()), (2, 0), "{report:?}");
    permits.add_permits(1000);
    within("the end of the old server", old.drain_rest()).await;
    old.shutdown().await;
    let of = |event: &str| {
        let all: Vec<Value> = service.received().iter().flat_map(events).collect();
        let mut these: Vec<_> = all.into_iter().filter(|one| one["event"] == event).collect();
        these.sort_by_key(|event| event["number"].as_u64());
        these
    };
    let opened = of("opened");
    assert_eq!(opened.len(), 2, "the old process sends what waits before it ends");
    until("both sessions to have moved", || async { of("moved").len() == 2 }).await;
    let moved = of("moved");
    assert_eq!((&moved[0]["number"], &moved[1]["number"]), (&json!(1), &json!(2)));
    assert_ne!(moved[0]["node"], opened[0]["node"]);
    assert_eq!(ann.call("local.echo", &json!(1)).await, json!(1));
    bob.request("local.end", "{}").await;
    bob.closed().await;
    until("both ends", || async { of("closed").len() == 2 }).await;
    assert!(of("closed").iter().all(|event| event["node"] == moved[0]["node"]), "{:?}", of("closed"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it is the new process of the test above"]
async fn in_the_new_process() {
    let takeover = Takeover::from_stdin().await.expect("the test above has started it");
    let url = std::env::args().find(|argument| argument.starts_with("http://")).expect("the URL");
    let end = Arc::default();
    let server = replaceable(&url, &end, Some(takeover)).await;
    end.notified().await;
    server.shutdown().await;
}
