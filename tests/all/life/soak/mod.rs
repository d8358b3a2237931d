//! Swaps under load, again and again: what is sent is numbered, and not one number may be missing,
//! doubled or out of order. `cargo xtask soak NAME` runs each in a process of its own, where it
//! prints its figures.

mod drain;
mod failing;
mod handoff;
mod lines;
mod player;
mod some;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use wireplug::App;
use wireplug::app::Error;
use wireplug::config::{CodecLimits, ServerConfig};
use wireplug::session::Message;
use wireplug::{CodecSource, Session};
use wireplug_tests::app::GUEST;
use wireplug_tests::server::{self, Setup};
use wireplug_tests::soak_time;
use wireplug_tests::versions::POMELO;
use wireplug_wasm::{WasmEngine, WasmLoader};

/// Between the begins of two swaps. One that takes longer is followed by the next at once.
const EVERY: Duration = Duration::from_millis(100);

/// Answers a request with its own body.
const NUMBER: &str = "soak.soakHandler.number";

/// What it pushes besides, before the answer.
const ON_NUMBER: &str = "onNumber";

/// What all get.
const ON_ALL: &str = "onAll";

/// How often a soak swaps: as long as it lasts, and `least` times anyway.
fn swaps(least: u64) -> u64 {
    let swaps = soak_time().as_millis() / EVERY.as_millis();
    least.max(u64::try_from(swaps).expect("no soak lasts for ever"))
}

/// Pushes a number and answers with it, for Pomelo and for guests.
fn app() -> App {
    let number = |body: Bytes, session: Session| async move {
        session.send(Message::push(ON_NUMBER, body.clone()))?;
        Ok::<_, Error>(body)
    };
    let line = |body: Bytes, session: Session| async move {
        session.send(Message::push(GUEST, [b"push ", &body[..]].concat()))?;
        Ok::<_, Error>(body)
    };
    App::new().route(NUMBER, number).route(GUEST, line).push_route(ON_ALL)
}

fn setup() -> Setup {
    Setup {
        server: ServerConfig { max_connections: 1000, ..ServerConfig::default() },
        url: "tcp://127.0.0.1:0",
        ..server::setup()
    }
}

/// Two versions of a component that are loaded already, so that to swap them costs no compiler.
fn two(sessions: u32, one: &[u8], other: &[u8]) -> [CodecSource; 2] {
    let limits = CodecLimits { call_wall: Duration::from_secs(20), ..CodecLimits::default() };
    let engine = WasmEngine::new(2 * sessions, limits.memory).expect("room for the sandboxes");
    [one, other].map(|wasm| {
        let options = r#"{"dictionary":false}"#.to_owned();
        let codec = WasmLoader::new(&engine, limits).load(wasm, options.into()).expect("a good codec");
        CodecSource::native(Arc::new(codec)).named("soak")
    })
}

fn two_pomelos(sessions: u32) -> [CodecSource; 2] {
    two(sessions, POMELO, &wireplug_tests::versions::pomelo(2))
}

/// In MiB, for people.
fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
