//! Heartbeats.

use std::time::{Duration, Instant};

use serde_json::json;
use wireplug_tests::app::{self, ECHO};
use wireplug_tests::log;
use wireplug_tests::raw::{ACK, HEARTBEAT, Raw, hello, package, request, response};
use wireplug_tests::server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_heartbeat_is_answered_at_once() {
    let server = server::pomelo(app::demo(), json!({ "heartbeat": 1000 })).await;
    let mut client = Raw::connect(&server.tcp()).await;
    client.send(&hello()).await;
    client.package().await;
    client.send(&package(ACK, "")).await;
    // The server's own heartbeat comes first.
    client.expect(&package(HEARTBEAT, "")).await;
    for id in 1..10 {
        client.send(&[package(HEARTBEAT, ""), request(id, ECHO, "[]")].concat()).await;
        client.expect(&[package(HEARTBEAT, ""), response(id, "[]")].concat()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_client_is_given_up() {
    let server = server::pomelo(app::demo(), json!({ "heartbeat": 0.2, "timeout": 0.5 })).await;
    let mut client = Raw::connect(&server.tcp()).await;
    client.send(&hello()).await;
    client.package().await;
    let acknowledged = Instant::now();
    client.send(&package(ACK, "")).await;
    client.expect(&package(HEARTBEAT, "")).await;
    assert_eq!(client.rest().await, b"");
    // The server's clock counts whole milliseconds.
    assert!(acknowledged.elapsed() >= Duration::from_millis(498), "{:?}", acknowledged.elapsed());
    let line = log::closing_line(client.address()).await;
    assert!(line.contains("cause=\"protocol\""), "{line}");
    assert!(line.contains("no sign of life from the client for 0.5 s"), "{line}");
}
