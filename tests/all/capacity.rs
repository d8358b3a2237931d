//! A server accepts as many clients as it promises, and refuses further ones.

use futures_util::future::join_all;
use serde_json::json;
use wireplug::config::{CodecLimits, ServerConfig};
use wireplug_core::codec::{Codec, CodecError, Instant};
use wireplug_tests::app::{self, ECHO};
use wireplug_tests::client::Client;
use wireplug_tests::hostile::Guest;
use wireplug_tests::log;
use wireplug_tests::raw::Raw;
use wireplug_tests::server::{self, Setup};
use wireplug_tests::versions::POMELO;
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
