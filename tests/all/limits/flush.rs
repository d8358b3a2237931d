//! Messages that are held back for an interval and sent together.

use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;
use wireplug::config::ClientLimits;
use wireplug::session::Message as Push;
use wireplug_tests::app::{self, ECHO};
use wireplug_tests::client::Client;
use wireplug_tests::raw::{ACK, HEARTBEAT, Raw, RawWebSocket, hello, package, request, response};
use wireplug_tests::{server, within};

use super::{LimitedServer, limits, ordinary};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushes_gather() {
    const INTERVAL: Duration = Duration::from_secs(2);
    let client = ClientLimits { flush_interval: INTERVAL, ..ordinary() };
    let limited = LimitedServer::open(app::demo(), limits(client)).await;
    let mut tcp = Raw::pomelo(&limited.tcp()).await;
    let mut ws = RawWebSocket::pomelo(&limited.ws()).await;
    let all = async {
        while limited.server.sessions().len() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within("all established", all).await;
    for round in 0..2 {
        let push = |n: usize| Push::push("onAny", format!("[{round},{n}]"));
        let wanted =
            |n: usize| package(4, [b"\x06\x05onAny".to_vec(), format!("[{round},{n}]").into()].concat());
        let start = Instant::now();
        for n in 10..30 {
            assert_eq!(limited.server.sessions().all().send(&push(n)), 3);
        }
        // Nothing arrives before the interval is over, and then everything arrives at once.
        let mut stream = tcp.into_stream();
        let mut got = vec![0; 64 << 10];
        let count = within("pushes", stream.read(&mut got)).await.expect("the connection lives");
        assert!(start.elapsed() >= INTERVAL, "{:?}", start.elapsed());
        assert_eq!(got[..count], (10..30).flat_map(wanted).collect::<Vec<_>>());
        tcp = Raw::from_stream(stream);
        for n in 10..30 {
            assert_eq!(ws.message().await.expect("a push"), wanted(n));
        }
    }
    drop((tcp, ws));
    let stats = limited.end(&[("client-closed", 2)]).await;
    assert_eq!(stats.drops, [].into());
}

/// Without an interval, nothing waits. With one, replies of the codec do not wait, and at the end
/// nothing waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_do_not_wait() {
    let client = ClientLimits { flush_interval: Duration::from_secs(3600), ..ordinary() };
    let setup = limits(client);
    let options = serde_json::json!({ "heartbeat": 1000 });
    let server = server::with_neighbours(app::demo(), setup, options).await;
    let mut neighbour = Client::connect(&server.tcp_of(1)).await;
    assert_eq!(neighbour.request(ECHO, "[]").await, b"[]");

    let mut raw = Raw::connect(&server.tcp()).await;
    raw.send(&hello()).await;
    raw.package().await;
    raw.send(&[package(ACK, ""), request(1, ECHO, "[1]"), request(2, ECHO, "[2]")].concat()).await;
    raw.expect(&package(HEARTBEAT, "")).await;
    for _ in 0..3 {
        raw.send(&package(HEARTBEAT, "")).await;
        raw.expect(&package(HEARTBEAT, "")).await;
    }
    // The responses still wait.
    let shutdown = tokio::spawn(server.shutdown());
    raw.expect(&[response(1, "[1]"), response(2, "[2]")].concat()).await;
    assert_eq!(raw.package().await.0, 5);
    drop((raw, neighbour));
    let stats = shutdown.await.expect("no panic");
    assert_eq!(stats.closes, [("shutdown", 2)].into());
}

/// When the waiting bytes reach the high-water mark, they are sent before the end of the interval.
/// Otherwise the interval would limit the throughput.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_high_water_mark_nothing_waits_for_the_interval() {
    // Far longer than any test waits.
    let client =
        ClientLimits { flush_interval: Duration::from_secs(3600), high_water: 8 << 10, ..ordinary() };
    let limited = LimitedServer::open(app::demo(), limits(client)).await;
    let mut raw = Raw::pomelo(&limited.tcp()).await;
    let body = vec![b'x'; 1000];
    let asked: Vec<u8> = (1..=50).flat_map(|id| request(id, ECHO, &body)).collect();
    raw.send(&asked).await;
    // The bytes that reach the mark are sent at once, several times. The rest waits.
    for id in 1..=40 {
        raw.expect(&response(id, &body)).await;
    }
    drop(raw);
    limited.server.until("its end", |stats| stats.connections_open == 1).await;
}
