//! No operation of a node waits for NATS without a limit: neither its start, its end, a reload nor
//! a status request.
//!
//! Each operation has its own limit of a few seconds. The tests wait much longer than that, so that
//! a busy machine does not fail them.

use std::future::Future;
use std::time::{Duration, Instant};

use serde_json::json;
use wireplug::config::{NatsConfig, ServerConfig, ServiceConfig};
use wireplug::{App, CodecSource, RunningServer, Server};
use wireplug_tests::nats::NatsServer;
use wireplug_tests::running::Signal;
use wireplug_tests::until;

use super::{address, client, echo_headers, serve};

/// Longer than any of the operations takes, even on a busy machine.
const LONG: Duration = Duration::from_secs(15);

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let done = tokio::time::timeout(LONG, future).await;
    done.unwrap_or_else(|_| panic!("{what} takes more than {:?}", begun.elapsed()))
}

async fn start(url: &str) -> RunningServer {
    wireplug_tests::log::init();
    let config = ServerConfig {
        max_connections: 10,
        drain_timeout: Duration::from_secs(1),
        ..ServerConfig::default()
    };
    let server = Server::new(App::new())
        .config(config)
        .nats(NatsConfig::at(url))
        .services([("chat", ServiceConfig::default())])
        .listen("hybrid://127.0.0.1:0", CodecSource::pomelo(json!({})));
    soon("the start", server.start()).await.expect("it starts, with NATS or without")
}

/// Starts a server that accepts connections and sends nothing.
fn silent() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("nats://{}", listener.local_addr().expect("an address"));
    (listener, url)
}

/// Returns a URL at which no server listens.
fn closed() -> String {
    silent().1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_nats_a_node_starts_reloads_and_stops() {
    let (_listener, silent) = silent();
    for (url, why) in [(closed(), "Connection refused"), (silent, "timed out")] {
        let node = start(&url).await;
        soon("a reload", node.reload_codecs()).await;
        until("the reason to be known", || async {
            let status = soon("the status", node.nodes().status()).await;
            let nats = status[0].nats.as_ref().expect("it has one");
            assert!(!nats.connected);
            nats.problem.as_ref().is_some_and(|problem| problem.contains(why))
        })
        .await;
        let mut ann = client(&node).await;
        assert_eq!(soon("an answer", ann.call("chat.any.x", &json!({}))).await, json!({ "code": 503 }));
        soon("the end", node.shutdown()).await;
    }
}

/// A paused server keeps its connections open and does not read, so the bytes for it pile up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_nats_is_paused_a_node_answers_reloads_and_stops() {
    let nats = NatsServer::start();
    let service = nats.client().await;
    serve(&service, "wireplug.requests.chat.>", echo_headers).await;
    let (node, other) = (start(&nats.url()).await, start(&nats.url()).await);
    let mut ann = client(&node).await;
    address(&mut ann).await;
    nats.signal(Signal::STOP);
    // More than the sockets and all queues hold.
    let body = "x".repeat(64 << 10);
    for node in [&node, &other] {
        for _ in 0..400 {
            node.sessions().user("somebody elsewhere").push("onChat", &body).expect("it is JSON");
        }
    }
    soon("the status", node.nodes().status()).await;
    soon("a reload", node.reload_codecs()).await;
    soon("the end", other.shutdown()).await;
    let answer = soon("an answer", ann.call("chat.any.x", &json!({}))).await;
    assert!([json!({ "code": 503 }), json!({ "code": 504 })].contains(&answer), "{answer}");
    let gone = || async { node.nodes().problem().is_some() };
    until("it to be seen that NATS says nothing", gone).await;
    soon("the status", node.nodes().status()).await;
    nats.signal(Signal::CONT);
    until("NATS to be used again", || async { node.nodes().problem().is_none() }).await;
    soon("the end", node.shutdown()).await;
}
