//! Ten thousand connections that come and go leave nothing behind.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use wireplug_tests::app::{self, ECHO};
use wireplug_tests::process::{alone, descriptors, resident};
use wireplug_tests::raw::{Raw, RawWebSocket, hello, request, response};
use wireplug_tests::server::{self, TestServer};
use wireplug_tests::within;

const MANY: u64 = 10_000;

/// The connections before the measurement, after which allocators, pools and threads have the
/// memory that they keep.
const WARM: u64 = 1_000;

/// The most bytes by which the process may grow after that: a tenth of a sandbox for each
/// connection.
const GROWTH: usize = 24 << 20;

#[test]
fn leave_nothing_behind() {
    alone("limits::many::in_a_process_of_their_own");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "counts what its process has: run by leave_nothing_behind"]
async fn in_a_process_of_their_own() {
    let server = Arc::new(server::pomelo(app::demo(), json!({})).await);
    come_and_go(&server, WARM).await;
    let before = (descriptors(), resident());
    come_and_go(&server, MANY).await;

    let stats = server.stats();
    assert_eq!((stats.connections_open, stats.connections_accepted), (0, WARM + MANY));
    assert_eq!(stats.closes.values().sum::<u64>(), WARM + MANY);
    // A client that drops its socket with unread bytes resets the connection.
    assert!(stats.closes.keys().all(|&cause| ["client-closed", "socket-error"].contains(&cause)), "{stats}");
    assert!(server.sessions().is_empty());
    let same = async {
        while descriptors() != before.0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within("descriptors to be closed", same).await;
    let growth = resident().saturating_sub(before.1);
    println!("{before:?}, grown by {growth}");
    assert!(growth < GROWTH, "{growth} bytes more than before");
}

async fn come_and_go(server: &Arc<TestServer>, count: u64) {
    let go = |n: u64| {
        let server = Arc::clone(server);
        async move {
            // The server notices the end of a client with a delay.
            server.until("room", |stats| stats.connections_open < 200).await;
            let raw = Raw::connect_from(&format!("127.0.0.{}", 1 + n % 200), &server.tcp()).await;
            one(raw, &server.ws(), n).await;
        }
    };
    stream::iter(0..count)
        .map(|n| tokio::spawn(go(n)))
        .buffer_unordered(32)
        .for_each(|done| async {
            done.expect("no panic");
        })
        .await;
    server.until("all gone", |stats| stats.connections_open == 0).await;
}

/// A client that ends at one of several points of a session.
async fn one(mut raw: Raw, ws: &str, n: u64) {
    match n % 6 {
        0 => {}
        1 => raw.send(&hello()).await,
        2 => drop(raw.shake_hands().await),
        3 => {
            raw = raw.shake_hands().await;
            raw.send(&request(1, ECHO, "[]")).await;
            raw.expect(&response(1, "[]")).await;
        }
        4 => {
            raw = raw.shake_hands().await;
            raw.send(&request(1, ECHO, vec![b'x'; 10_000])).await;
        }
        _ => {
            let mut socket = RawWebSocket::upgrade(raw, ws).await;
            socket.send(Message::binary(hello())).await;
        }
    }
}
