//! A server accepts as many clients as it promises, and refuses further ones.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use wireplug::config::{CodecLimits, ServerConfig};
use wireplug_core::codec::{Codec, CodecError, Instant};
use wireplug_tests::app::{self, ECHO};
use wireplug_tests::client::Client;
use wireplug_tests::hostile::Guest;
use wireplug_tests::process::{self, alone};
use wireplug_tests::raw::Raw;
use wireplug_tests::server::{self, Setup};
use wireplug_tests::versions::POMELO;
use wireplug_tests::{log, until};
use wireplug_wasm::{WasmEngine, WasmLoader};

#[test]
fn an_engine_has_room_for_as_many_as_it_says() {
    const ROOM: usize = 30;
    let engine = WasmEngine::new(ROOM as u32, 16 << 20).expect("room for few sandboxes");
    for wasm in [POMELO.to_vec(), Guest::new("guest").build()] {
        let codec =
            WasmLoader::new(&engine, CodecLimits::default()).load(&wasm, "{}".into()).expect("a good codec");
        let open = || codec.open(wireplug_tests::peer(), Instant::for_test(0));
        let sessions: Vec<_> = std::iter::from_fn(|| open().ok()).take(ROOM + 1).collect();
        assert_eq!(sessions.len(), ROOM);
        assert!(matches!(open(), Err(CodecError::Exhausted(_))));
        drop(sessions);
        assert_eq!(codec.memory(), 0);
        assert!(open().is_ok(), "what is free again is used again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_has_room_for_as_many_as_it_says() {
    let setup =
        Setup { server: ServerConfig { max_connections: 50, ..ServerConfig::default() }, ..server::setup() };
    let server = server::pomelo_with(app::demo(), setup).await;
    let url = server.tcp();
    let connect = |n: u32| {
        let url = &url;
        async move {
            let mut client = Client::connect(url).await;
            assert_eq!(client.call(ECHO, &json!(n)).await, json!(n));
            client
        }
    };
    let mut clients = join_all((0..50).map(connect)).await;
    assert_eq!(server.stats().closes, [].into());

    // A further client finds the server full.
    let mut more = Raw::connect(&url).await;
    let line = log::closing_line(more.address()).await;
    assert!(line.contains("cause=\"server-full\""), "{line}");
    assert_eq!(more.rest().await, b"");
    for client in &mut clients {
        assert_eq!(client.request(ECHO, "[]").await, b"[]");
    }

    // When a client leaves, another can connect.
    drop(clients.pop());
    server.until("one gone", |stats| stats.connections_open < 50).await;
    assert_eq!(Client::connect(&url).await.request(ECHO, "[]").await, b"[]");
}

/// Clients that have not sent anything yet are counted too, so one address cannot take every place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_cannot_take_every_place() {
    let mut setup = server::setup();
    (setup.server.max_connections, setup.access.max_per_address) = (4, 2);
    let server = server::pomelo_with(app::demo(), setup).await;
    let url = server.tcp();
    let silent = join_all((0..8).map(|_| Raw::connect(&url))).await;
    server.until_closed("address-full", 6).await;
    assert_eq!(server.stats().connections_open, 2);
    drop(silent);
    server.until("all gone", |stats| stats.connections_open == 0).await;
    assert_eq!(Client::connect(&server.ws()).await.request(ECHO, "[]").await, b"[]");
}

#[test]
fn short_of_memory() {
    alone("capacity::newcomers_are_refused_and_those_for_whom_most_waits_are_closed");
}

/// Alone in its process, because the budget is that of the process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "`short_of_memory` runs it in a process of its own"]
async fn newcomers_are_refused_and_those_for_whom_most_waits_are_closed() {
    const ROOM: usize = 256 << 20;
    let mut setup = server::setup();
    setup.server.max_connections = 50;
    setup.server.max_memory = Some(process::resident() + ROOM);
    setup.client.write_timeout = Duration::ZERO;
    let server = server::pomelo_with(app::demo().push_route("large"), setup).await;
    let (url, mut honest) = (server.tcp(), Client::connect(&server.tcp()).await);
    // This client reads nothing.
    let mut greedy = Raw::pomelo(&url).await;
    server.until("both", |stats| stats.connections_open == 2).await;
    until("much that waits", || async {
        let (port, body) = (port(&greedy), "x".repeat(32 << 10));
        let greedy = server.sessions().matching(|session| session.client().address.ends_with(&port));
        greedy.push("large", &body).expect("it is JSON");
        server.stats().drops.contains_key("overflow")
    })
    .await;

    let filled = vec![1_u8; 2 * ROOM];
    let line = log::closing_line(greedy.address()).await;
    assert!(line.contains("cause=\"short-of-memory\""), "{line}");
    let refused = Raw::connect(&url).await;
    let line = log::closing_line(refused.address()).await;
    assert!(line.contains("cause=\"server-full\""), "{line}");
    assert_eq!(honest.request(ECHO, "[]").await, b"[]");
    assert_eq!(log::lines(&["WARN", "short of memory: no client is accepted"]).len(), 1);

    assert_eq!(filled.last(), Some(&1));
    drop(filled);
    until("memory again", || async { !log::lines(&["there is memory again"]).is_empty() }).await;
    assert_eq!(Client::connect(&url).await.request(ECHO, "[]").await, b"[]");
    greedy.rest().await;
}

/// Returns the port of a client.
fn port(client: &Raw) -> String {
    format!(":{}", client.address().port())
}
