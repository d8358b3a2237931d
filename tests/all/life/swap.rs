//! The three ways in which a swap treats live sessions, and what remains afterwards.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::sync::Semaphore;
use wireplug::App;
use wireplug::CodecSource;
use wireplug::app::Handler as _;
use wireplug::config::LiveSessions::{Close, Drain, Handoff};
use wireplug::config::{CodecLimits, SwapConfig};
use wireplug::slot::Role;
use wireplug_tests::app::{self, ECHO};
use wireplug_tests::client::Client;
use wireplug_tests::hostile::Guest;
use wireplug_tests::server::{self, Setup, TestServer};
use wireplug_tests::versions::POMELO;
use wireplug_tests::within;
use wireplug_wasm::{WasmEngine, WasmLoader};

use super::{generation, guest, pomelo, sessions_by_generation, slot, until, until_sessions};

/// The farewell to a client that a swap closes.
const FAREWELL: &str = "the server speaks another version of the protocol now; connect again";

const WAIT: &str = "slow.slowHandler.wait";

/// Returns the demo with a handler that adds a permit to the second semaphore when it begins, and
/// then waits for a permit of the first.
fn slow() -> (App, Arc<Semaphore>, Arc<Semaphore>) {
    let (permits, begun) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (opened, started) = (Arc::clone(&permits), Arc::clone(&begun));
    let app = app::demo().route(
        WAIT,
        (move |body: Bytes| {
            let (permits, begun) = (Arc::clone(&permits), Arc::clone(&begun));
            async move {
                begun.add_permits(1);
                permits.acquire().await?.forget();
                Ok(body)
            }
        })
        .concurrent(),
    );
    (app, opened, started)
}

/// Connects a client over TCP and one over WebSocket.
async fn two(server: &TestServer) -> [Client; 2] {
    [Client::connect(&server.tcp()).await, Client::connect(&server.ws()).await]
}

async fn greet(clients: &mut [Client]) {
    for client in clients {
        assert_eq!(client.call(ECHO, &json!("hello")).await, json!("hello"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handoff_carries_sessions_and_requests_in_flight() {
    let (app, permits, begun) = slow();
    let server = server::serve(app, server::setup(), [pomelo(1)]).await;
    let slot = &slot(&server);
    let mut clients = two(&server).await;
    let mut asked = Vec::new();
    for client in &mut clients {
        asked.push([client.ask(WAIT, "[1]").await, client.ask(WAIT, "[2]").await]);
    }
    drop(within("handlers at work", begun.acquire_many(4)).await);

    let report = slot.swap(&pomelo(2), Some(Handoff)).await.expect("equal codecs");
    assert_eq!((report.from, report.to, report.sessions), (1, 2, Handoff));
    assert_eq!((report.moved, report.staying, report.rolled_back), (2, 0, false));
    assert!(report.reasons.is_empty() && report.longest_move_us > 0, "{report:?}");
    assert_eq!(sessions_by_generation(slot), [(1, 0), (2, 2)]);
    assert_eq!((generation(slot, 2).moved_in, generation(slot, 2).opened), (2, 0));

    greet(&mut clients).await;
    permits.add_permits(4);
    for (client, [one, two]) in clients.iter_mut().zip(asked) {
        assert_eq!(client.response(one).await, b"[1]");
        assert_eq!(client.response(two).await, b"[2]");
    }
    // Both generations have counted their packets.
    until(slot, "all to be counted", |status| {
        status.generations.last().is_some_and(|newest| newest.packets_out == 6)
    })
    .await;
    assert_eq!((generation(slot, 1).opened, generation(slot, 1).moved_in), (2, 0));
    let counted = |number| (generation(slot, number).packets_in, generation(slot, number).packets_out);
    // The first generation read two handshakes of two packets each and four requests, and sent two
    // answers to handshakes. The second one sent the rest.
    assert_eq!((counted(1), counted(2)), ((8, 2), (2, 6)));
    drop(clients);
    server.until_closed("client-closed", 2).await;
    assert_eq!(server.stats().drops, [].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drain_lets_sessions_end_where_they_are() {
    let server = server::serve(app::demo(), server::setup(), [pomelo(1)]).await;
    let slot = &slot(&server);
    let mut clients = two(&server).await;
    let report = slot.swap(&pomelo(2), Some(Drain)).await.expect("a good codec");
    assert_eq!((report.sessions, report.moved, report.staying), (Drain, 0, 2));
    assert_eq!(sessions_by_generation(slot), [(1, 2), (2, 0)]);
    assert_eq!(generation(slot, 1).role, Role::Previous);

    // New sessions open on the new generation at once.
    let mut new = two(&server).await;
    assert_eq!(sessions_by_generation(slot), [(1, 2), (2, 2)]);
    greet(&mut clients).await;
    greet(&mut new).await;
    server.until("all counted", |stats| stats.messages_in == 4).await;
    assert_eq!((generation(slot, 1).packets_in, generation(slot, 2).packets_in), (6, 6));

    // A later handoff moves the sessions on the previous generation, and not those that drain.
    let report = slot.swap(&pomelo(3), Some(Handoff)).await.expect("a good codec");
    assert_eq!((report.moved, report.staying), (2, 2));
    assert_eq!(sessions_by_generation(slot), [(1, 2), (2, 0), (3, 2)]);
    assert_eq!(generation(slot, 1).role, Role::Leaving);
    greet(&mut clients).await;
    drop(clients);
    // A generation without sessions is freed, unless a rollback would need it.
    until_sessions(slot, &[(2, 0), (3, 2)]).await;
    greet(&mut new).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn close_answers_says_farewell_and_closes() {
    let (app, permits, begun) = slow();
    let server = server::serve(app, server::setup(), [pomelo(1)]).await;
    let slot = &slot(&server);
    let mut clients = two(&server).await;
    let mut asked = Vec::new();
    for client in &mut clients {
        asked.push(client.ask(WAIT, "[1]").await);
    }
    drop(within("handlers at work", begun.acquire_many(2)).await);
    let report = slot.swap(&pomelo(2), Some(Close)).await.expect("a good codec");
    assert_eq!((report.sessions, report.moved), (Close, 0));
    let mut new = two(&server).await;
    permits.add_permits(2);
    for (client, id) in clients.iter_mut().zip(asked) {
        assert_eq!(client.response(id).await, b"[1]");
        client.kicked(FAREWELL).await;
    }
    assert_eq!(server.until_closed("replaced", 2).await.closes, [("replaced", 2)].into());
    greet(&mut new).await;
    assert_eq!(sessions_by_generation(slot), [(1, 0), (2, 2)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_still_drains_when_the_time_is_over_is_closed_with_a_farewell() {
    let swap = SwapConfig { drain_timeout: Duration::from_millis(500), ..SwapConfig::default() };
    let server = server::serve(app::demo(), Setup { swap, ..server::setup() }, [pomelo(1)]).await;
    let mut clients = two(&server).await;
    slot(&server).swap(&pomelo(2), Some(Drain)).await.expect("a good codec");
    let mut new = two(&server).await;
    for client in &mut clients {
        client.kicked(FAREWELL).await;
    }
    assert_eq!(server.until_closed("replaced", 2).await.closes, [("replaced", 2)].into());
    greet(&mut new).await;
}

/// The time to drain counts from the last swap, although the generation was replaced once before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_left_again_drains_anew() {
    const LIMIT: Duration = Duration::from_secs(4);
    let swap = SwapConfig { drain_timeout: LIMIT, ..SwapConfig::default() };
    let server = server::serve(app::demo(), Setup { swap, ..server::setup() }, [pomelo(1)]).await;
    let slot = &slot(&server);
    let mut client = Client::connect(&server.tcp()).await;
    slot.swap(&pomelo(2), Some(Drain)).await.expect("a good codec");
    slot.roll_back().await.expect("there is one before");
    assert_eq!(sessions_by_generation(slot), [(1, 1)]);
    tokio::time::sleep(LIMIT / 2).await;
    let left = std::time::Instant::now();
    slot.swap(&pomelo(3), Some(Drain)).await.expect("a good codec");
    client.kicked(FAREWELL).await;
    assert!(left.elapsed() >= LIMIT, "closed after {:?}", left.elapsed());
}

/// If the swap does not say what to do with sessions, they are moved if both versions allow that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_becomes_of_sessions_where_nobody_says_it() {
    let server = server::serve(app::with_guests(), server::setup(), [pomelo(1)]).await;
    let slot = &slot(&server);
    let mut clients = two(&server).await;
    assert_eq!(slot.swap(&pomelo(2), None).await.expect("a good codec").sessions, Handoff);
    assert_eq!(slot.swap(&guest(&Guest::new("lines")), None).await.expect("a good codec").sessions, Drain);
    assert_eq!(sessions_by_generation(slot), [(2, 2), (3, 0)]);
    greet(&mut clients).await;
    let mut lines = wireplug_tests::raw::Raw::connect(&server.tcp()).await;
    super::echo(&mut lines, "another protocol").await;

    let swap = SwapConfig { sessions: Some(Close), ..SwapConfig::default() };
    let server = server::serve(app::demo(), Setup { swap, ..server::setup() }, [pomelo(1)]).await;
    let [mut tcp, mut ws] = two(&server).await;
    assert_eq!(super::slot(&server).swap(&pomelo(2), None).await.expect("a good codec").sessions, Close);
    tcp.kicked(FAREWELL).await;
    ws.kicked(FAREWELL).await;
}

/// Frees compiled code, sandboxes and everything else that belongs to a generation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_needs_is_given_back() {
    let limits = CodecLimits::default();
    let engine = WasmEngine::new(16, limits.memory).expect("room for few sandboxes");
    let load = || {
        let loader = WasmLoader::new(&engine, limits);
        Arc::new(loader.load(POMELO, "{}".into()).expect("a good codec"))
    };
    let (codecs, weak): (Vec<_>, Vec<_>) = (0..3)
        .map(|_| load())
        .map(|codec| (CodecSource::native(codec.clone()), Arc::downgrade(&codec)))
        .unzip();
    // The slot keeps its own source for a reload, so the swaps replace all of these codecs.
    let server = server::serve(app::demo(), server::setup(), [pomelo(0)]).await;
    let slot = &slot(&server);
    slot.swap(&codecs[0], Some(Drain)).await.expect("a good codec");
    let mut clients = two(&server).await;
    // The handle that the application keeps of a closed session must not keep its codec.
    let kept = server.sessions().get(wireplug::session::SessionId(1)).expect("the first client");
    for codec in &codecs[1..] {
        slot.swap(codec, Some(Drain)).await.expect("a good codec");
    }
    drop(codecs);
    let memory = |number: usize| weak[number].upgrade().map(|codec| codec.memory());
    assert!(memory(0).is_some_and(|bytes| bytes > 0), "two sessions are on it");
    assert_eq!(memory(1), Some(0), "no session is on it, and it is held for a rollback");
    greet(&mut clients).await;
    drop(clients);
    until_sessions(slot, &[(3, 0), (4, 0)]).await;
    within("the connections to be dropped", async {
        while memory(0).is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(kept.is_closed());
    slot.swap(&pomelo(1), Some(Drain)).await.expect("a good codec");
    assert_eq!(memory(1), None);
    assert!(memory(2).is_some(), "held for a rollback");
}
