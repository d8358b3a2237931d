//! Deadlines while the runtime itself holds back reading: a client must not time out because the
//! runtime did not read it.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::sleep;
use wireplug::App;
use wireplug::config::ClientLimits;
use wireplug_tests::app;
use wireplug_tests::raw::{ACK, Raw, hello, notification, package, request, response};

use super::{LimitedServer, closed, limits, ordinary};

const SLOW: &str = "a.b.slow";

/// How long the handler of [`SLOW`] takes.
const WORK: Duration = Duration::from_millis(1500);

/// Shorter than [`WORK`].
const TIMEOUT: Duration = Duration::from_secs(1);

fn app() -> App {
    app::demo().route(SLOW, || sleep(WORK))
}

/// Three slow requests run one at a time, and the client sends no heartbeat. Session time stands
/// still while a request runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_wait_for_requests_over_max_in_flight() {
    let options = json!({ "heartbeat": 0.5, "timeout": TIMEOUT.as_secs_f64() });
    let setup = limits(ClientLimits { max_in_flight: 1, ..ordinary() });
    let limited = LimitedServer::with_options(app(), setup, options).await;
    // The session time of the neighbour does not stand still.
    let cause = "no sign of life from the client for 1 s";
    let start = Instant::now();
    let mut raw = Raw::connect(&limited.tcp()).await;
    raw.send(&hello()).await;
    raw.package().await;
    let asked = (1..=3).flat_map(|id| request(id, SLOW, ""));
    raw.send(&package(ACK, "").into_iter().chain(asked).collect::<Vec<_>>()).await;
    raw.expect(&package(3, "")).await;
    for id in 1..=3 {
        raw.expect(&response(id, "{}")).await;
    }
    assert!(start.elapsed() >= 3 * WORK);
    // The client is read again, and sends nothing.
    raw.rest().await;
    assert!(start.elapsed() >= 3 * WORK + TIMEOUT - Duration::from_millis(50), "{:?}", start.elapsed());
    closed(raw.address(), "protocol", cause).await;
    drop(limited.neighbour);
    limited.server.until("all gone", |stats| stats.connections_open == 0).await;
    assert!(limited.server.sessions().is_empty());
}

/// With room for more requests, the client is read, so its session time runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_do_not_wait_for_requests_below_max_in_flight() {
    let options = json!({ "heartbeat": 0.5, "timeout": TIMEOUT.as_secs_f64() });
    let never = app::demo().route(SLOW, std::future::pending::<()>);
    let setup = limits(ClientLimits { max_in_flight: 2, ..ordinary() });
    let limited = LimitedServer::with_options(never, setup, options).await;
    let mut raw = Raw::connect(&limited.tcp()).await;
    raw.send(&hello()).await;
    raw.package().await;
    raw.send(&[package(ACK, ""), request(1, SLOW, "")].concat()).await;
    assert_eq!(raw.rest().await, package(3, ""));
    closed(raw.address(), "protocol", "no sign of life from the client for 1 s").await;
}

/// A slow notification takes longer than the idle timeout. The client's time starts when it is read
/// again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_not_read_has_not_been_idle() {
    let client = ClientLimits { idle_timeout: TIMEOUT, max_in_flight: 1, ..ordinary() };
    let limited = LimitedServer::open(app(), limits(client)).await;
    let mut raw = Raw::pomelo(&limited.tcp()).await;
    let start = Instant::now();
    raw.send(&notification(SLOW, "")).await;
    assert_eq!(raw.rest().await, b"");
    assert!(start.elapsed() >= WORK + TIMEOUT, "{:?}", start.elapsed());
    closed(raw.address(), "idle-timeout", "").await;
    limited.end(&[("idle-timeout", 1)]).await;
}

/// The rate holds the client back in the same way: it is twenty packets over its rate of ten a
/// second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_owes_has_not_been_idle() {
    let client = ClientLimits { idle_timeout: TIMEOUT, packets_per_second: 10, ..ordinary() };
    let limited = LimitedServer::open(app(), limits(client)).await;
    let start = Instant::now();
    let mut raw = Raw::pomelo(&limited.tcp()).await;
    raw.send(&notification(app::ECHO, "[]").repeat(28)).await;
    assert_eq!(raw.rest().await, b"");
    assert!(start.elapsed() >= 2 * TIMEOUT + TIMEOUT, "{:?}", start.elapsed());
    closed(raw.address(), "idle-timeout", "").await;
    limited.end(&[("idle-timeout", 1)]).await;
}

/// The time for an incomplete packet starts again when the client is read again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_not_read_has_its_time_for_a_packet() {
    let client = ClientLimits { packet_timeout: TIMEOUT, max_in_flight: 1, ..ordinary() };
    let limited = LimitedServer::open(app(), limits(client)).await;
    let mut raw = Raw::pomelo(&limited.tcp()).await;
    let echo = request(2, app::ECHO, "[2]");
    let start = Instant::now();
    raw.send(&[&request(1, SLOW, "")[..], &echo[..9]].concat()).await;
    raw.expect(&response(1, "{}")).await;
    raw.send(&echo[9..]).await;
    raw.expect(&response(2, "[2]")).await;
    raw.send(&[&request(3, SLOW, "")[..], &echo[..9]].concat()).await;
    raw.expect(&response(3, "{}")).await;
    assert_eq!(raw.rest().await, b"");
    assert!(start.elapsed() >= 2 * WORK + TIMEOUT, "{:?}", start.elapsed());
    closed(raw.address(), "packet-timeout", "").await;
    limited.end(&[("packet-timeout", 1)]).await;
}
