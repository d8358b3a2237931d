//! Swaps that are refused: nothing changes, and the error says what is wrong and what to do.

use std::sync::Arc;

use futures_util::future::join;
use serde_json::json;
use wireplug::CodecSource;
use wireplug::codec::Digest;
use wireplug::config::CodecLimits;
use wireplug::config::LiveSessions::{self, Close, Drain, Handoff};
use wireplug::slot::SwapError;
use wireplug_core::codec::{Abilities, Codec, CodecError, CodecSession, Description, Instant, Peer};
use wireplug_tests::app::{self, ECHO};
use wireplug_tests::client::Client;
use wireplug_tests::hostile::{Framing, Guest};
use wireplug_tests::versions::POMELO;
use wireplug_tests::{chain, server, versions};
use wireplug_wasm::{WasmEngine, WasmLoader};

use super::guests::marked;
use super::{generation, guest, pomelo, pomelo_with, sessions_by_generation, slot};

/// Pomelo with a false description.
struct Disguised {
    codec: Arc<dyn Codec>,
    description: Description,
}

impl Codec for Disguised {
    fn description(&self) -> &Description {
        &self.description
    }

    fn abilities(&self) -> Abilities {
        self.codec.abilities()
    }

    fn open(&self, peer: Peer, now: Instant) -> Result<Box<dyn CodecSession>, CodecError> {
        self.codec.open(peer, now)
    }

    fn restore(&self, peer: Peer, state: &[u8], now: Instant) -> Result<Box<dyn CodecSession>, CodecError> {
        self.codec.restore(peer, state, now)
    }
}

fn disguised(disguise: impl FnOnce(&mut Description)) -> CodecSource {
    let engine = WasmEngine::new(4, 16 << 20).expect("room for few sandboxes");
    let codec = WasmLoader::new(&engine, CodecLimits::default()).load(POMELO, "{}".into());
    let codec = Arc::new(codec.expect("a good codec"));
    let mut description = codec.description().clone();
    disguise(&mut description);
    CodecSource::native(Arc::new(Disguised { codec, description }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_has_changed_then() {
    let server = server::serve(app::demo(), server::setup(), [pomelo(1)]).await;
    let slot = &slot(&server);
    let mut client = Client::connect(&server.tcp()).await;
    let bytes = |wasm: Vec<u8>| CodecSource::bytes("pomelo", wasm, json!({}));
    let missing = "/nowhere/codec.wasm";
    let refused: Vec<(CodecSource, Option<LiveSessions>, &[&str])> = vec![
        (bytes(b"#!/bin/sh".to_vec()), None, &["cannot load the codec pomelo", "not a WebAssembly file"]),
        (bytes(POMELO[..POMELO.len() / 2].to_vec()), None, &["it does not compile"]),
        (bytes(Guest::new("core").module()), None, &["a core module", "link it with wasm-component-ld"]),
        (
            bytes(Guest::new("newer").contract("0.3.0").build()),
            None,
            &["codec@0.3.0", "speaks version 0.2.0: rebuild it"],
        ),
        (
            bytes(Guest::new("importer").import("test:host/clock@1.0.0").build()),
            None,
            &["it imports test:host/clock"],
        ),
        (
            pomelo_with(2, json!({ "heartbeats": 3 })),
            None,
            &["unknown option `heartbeats`: allowed are dialect, heartbeat"],
        ),
        (pomelo_with(2, json!([])), None, &["options are a JSON object, and not []"]),
        (CodecSource::file(missing, json!({})), None, &["cannot read the codec /nowhere/codec.wasm"]),
        (
            disguised(|description| description.framing = None),
            None,
            &["hybrid://127.0.0.1", "has no framing for streams: listen on ws:// instead"],
        ),
        (
            disguised(|description| description.messages = None),
            Some(Close),
            &["hybrid://127.0.0.1", "refuses message transports: listen on tcp:// instead"],
        ),
        (
            disguised(|description| description.handshake = false),
            Some(Handoff),
            &["a handshake or not differs", "let them drain, or close them"],
        ),
        (
            guest(&Guest::new("lines")),
            Some(Handoff),
            &["the new codec does not export `handoff`; let them drain, or close them"],
        ),
        (guest(&marked("lines")), Some(Handoff), &["the framing differs", "let them drain"]),
        (
            guest(&marked("lengths").framing(Framing::Length)),
            Some(Handoff),
            &["differs between them, which a live client would not survive"],
        ),
    ];
    for (n, (source, sessions, texts)) in refused.into_iter().enumerate() {
        let error = slot.swap(&source, sessions).await.expect_err("it is refused");
        let error = chain(&error);
        for text in texts {
            assert!(error.contains(text), "{text} is not in: {error}");
        }
        assert_eq!((slot.status().current, sessions_by_generation(slot)), (1, vec![(1, 1)]), "{error}");
        assert_eq!(client.call(ECHO, &json!(n)).await, json!(n));
    }
    // A valid version is still accepted.
    assert_eq!(slot.swap(&pomelo(2), Some(Handoff)).await.expect("a good codec").moved, 1);
    assert_eq!(client.call(ECHO, &json!("moved")).await, json!("moved"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_a_slot_that_is_pinned_to_another_component() {
    let pin = Digest::of(&versions::pomelo(1));
    let server = server::serve(app::demo(), server::setup(), [pomelo(1).pinned(pin)]).await;
    let slot = &slot(&server);
    let mut client = Client::connect(&server.tcp()).await;
    let error = chain(&slot.swap(&pomelo(2), None).await.expect_err("another digest"));
    let other = Digest::of(&versions::pomelo(2));
    for text in [pin.to_string(), other.to_string(), "change `sha256` in the configuration".to_owned()] {
        assert!(error.contains(&text), "{error}");
    }
    assert_eq!(sessions_by_generation(slot), [(1, 1)]);
    // The same component with other options matches the pin. A native codec never does.
    assert!(slot.swap(&disguised(|_| {}), None).await.is_err());
    slot.swap(&pomelo_with(1, json!({ "dictionary": false })), Some(Handoff))
        .await
        .expect("its own component");
    assert_eq!(sessions_by_generation(slot), [(1, 0), (2, 1)]);
    assert_eq!(client.call(ECHO, &json!(1)).await, json!(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_at_the_same_time_the_later_one_wins() {
    let server = server::serve(app::demo(), server::setup(), [pomelo(1)]).await;
    let slot = &slot(&server);
    let mut client = Client::connect(&server.tcp()).await;
    let (two, three) = (pomelo(2), pomelo(3));
    let (one, other) = join(slot.swap(&two, Some(Handoff)), slot.swap(&three, Some(Handoff))).await;
    let current = || generation(slot, slot.status().current).sha256;
    assert_eq!(current(), Some(Digest::of(&versions::pomelo(3))));
    let other = other.expect("a good codec");
    match one {
        // The swaps usually take place one after the other.
        Ok(one) => assert_eq!((one.from, one.to, other.from, other.to), (1, 2, 2, 3)),
        // The later one was loaded first.
        Err(error) => {
            assert!(matches!(error, SwapError::Overtaken), "{error}");
            assert_eq!((other.from, other.to), (1, 2));
        }
    }
    assert_eq!((other.moved, other.staying), (1, 0));
    assert_eq!(client.call(ECHO, &json!(1)).await, json!(1));
    // A swap with `Drain` leaves the session on its generation.
    assert_eq!(slot.swap(&pomelo(4), Some(Drain)).await.expect("a good codec").staying, 1);
}
