//! Pushes that do not fit into a client's outbox, and how they are dropped.

use bytes::Bytes;
use serde_json::json;
use wireplug::app::Json;
use wireplug::config::{ClientLimits, Overflow, ServerConfig};
use wireplug::status::Stats;
use wireplug::{App, Session};
use wireplug_tests::app::{self, ECHO};
use wireplug_tests::client::Client;
use wireplug_tests::log;
use wireplug_tests::raw::{Raw, notification};
use wireplug_tests::server::{self, Setup};

use super::{LimitedServer, closed};

const PUSHES: u64 = 100;

/// A route that pushes [`PUSHES`] numbers of a given size before any push is written. It answers
/// how many were accepted.
const FLOOD: &str = "a.b.flood";

const ON_NUMBER: &str = "onNumber";

fn app() -> App {
    app::demo().route(FLOOD, |size: Json<usize>, session: Session| async move {
        let push = |n: u64| session.push(ON_NUMBER, &json!([n, "x".repeat(size.0)])).is_ok();
        Json((1..=PUSHES).filter(|&n| push(n)).count())
    })
}

async fn limited(overflow: Overflow, max_outbox: usize) -> LimitedServer {
    let ordinary = server::setup();
    let setup = Setup {
        server: ServerConfig { drain_timeout: std::time::Duration::from_secs(2), ..ordinary.server.clone() },
        client: ClientLimits { max_outbox, overflow, ..ordinary.client },
        ..ordinary
    };
    LimitedServer::open(app(), setup).await
}

/// Returns the numbers that a client receives, the number of accepted pushes, and the counts at the
/// end. Requests before and after the flood must be answered.
async fn flood(overflow: Overflow, max_outbox: usize) -> (Vec<u64>, u64, Stats) {
    let limited = limited(overflow, max_outbox).await;
    let mut client = Client::connect(&limited.ws()).await;
    let before = client.ask(ECHO, vec![b'1'; 3000]).await;
    let flood = client.ask(FLOOD, "1000").await;
    let behind = client.ask(ECHO, vec![b'1'; 3000]).await;
    assert_eq!(client.response(before).await.len(), 3000);
    let taken = client.response(flood).await;
    assert_eq!(client.response(behind).await.len(), 3000);
    let taken = serde_json::from_slice(&taken).expect("a number");
    // A last push that fits. When it has come, none of the earlier pushes is still underway.
    client.request(FLOOD, "0").await;
    let mut numbers = Vec::new();
    loop {
        let (route, number) = client.next_push().await;
        assert_eq!(route, ON_NUMBER);
        if number[1] == "" {
            break;
        }
        numbers.push(number[0].as_u64().expect("a number"));
    }
    drop(client);
    (numbers, taken, limited.end(&[("client-closed", 1)]).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_are_dropped() {
    let (numbers, taken, stats) = flood(Overflow::DropNewest, 32 << 10).await;
    let count = numbers.len() as u64;
    assert!((10..PUSHES / 2).contains(&count), "{count}");
    assert_eq!(numbers, (1..=count).collect::<Vec<_>>());
    assert_eq!(taken, count);
    assert_eq!(stats.drops, [("overflow", PUSHES - count)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_are_dropped() {
    let (numbers, taken, stats) = flood(Overflow::DropOldest, 32 << 10).await;
    let count = numbers.len() as u64;
    assert!((10..PUSHES / 2).contains(&count), "{count}");
    assert_eq!(numbers, (PUSHES - count + 1..=PUSHES).collect::<Vec<_>>());
    // Each push was accepted, and later dropped to make room.
    assert_eq!(taken, PUSHES);
    assert_eq!(stats.drops, [("overflow", PUSHES - count)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fits_is_not_dropped() {
    for overflow in [Overflow::DropNewest, Overflow::DropOldest, Overflow::Close] {
        let (numbers, taken, stats) = flood(overflow, 256 << 10).await;
        assert_eq!(numbers, (1..=PUSHES).collect::<Vec<_>>());
        assert_eq!((taken, stats.drops), (PUSHES, [].into()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connection_ends() {
    let limited = limited(Overflow::Close, 32 << 10).await;
    let mut raw = Raw::pomelo(&limited.tcp()).await;
    raw.send(&notification(FLOOD, "1000")).await;
    // The pushes that were accepted before are written.
    let mut count = 0;
    while raw.try_package().await.is_some() {
        count += 1;
    }
    assert!((10..PUSHES / 2).contains(&count), "{count}");
    closed(raw.address(), "overflow", "a push did not fit into the outbox").await;
    assert!(log::lines(&[&raw.address().to_string(), "panicked"]).is_empty());
    limited.end(&[("overflow", 1)]).await;
}

/// A push that could never fit drops no other push.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_too_large_makes_no_room() {
    let route = "a.b.large";
    let app = app().route(route, |session: Session| async move {
        let push = |size: usize| session.push(ON_NUMBER, &json!([size, "x".repeat(size)])).is_ok();
        let taken = [push(1000), push(40_000), push(1001)];
        Bytes::from(serde_json::to_vec(&taken).expect("booleans"))
    });
    let ordinary = server::setup();
    let client = ClientLimits { max_outbox: 32 << 10, overflow: Overflow::DropOldest, ..ordinary.client };
    let limited = LimitedServer::open(app, Setup { client, ..ordinary }).await;
    let mut client = Client::connect(&limited.tcp()).await;
    assert_eq!(client.request(route, "").await, b"[true,false,true]");
    assert_eq!(client.next_push().await.1[0], 1000);
    assert_eq!(client.next_push().await.1[0], 1001);
    drop(client);
    let stats = limited.end(&[("client-closed", 1)]).await;
    assert_eq!(stats.drops, [("overflow", 1)].into());
}
