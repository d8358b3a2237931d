//! Malicious guests: each ends its own connection and nothing else.

mod addresses;
mod both_ways;
mod bounds;
mod broadcast;
mod calls;
mod components;
mod cpu;
mod features;
mod handoff;
mod leaks;
mod limits;
mod load;
mod memory;
mod rules;
mod siege;
mod text;
mod traps;
mod trial;

use wireplug::config::CodecLimits;
use wireplug_core::codec::{Instant, MessageRef, Peer};
use wireplug_tests::hostile::Guest;
use wireplug_wasm::{WasmCodec, WasmEngine, WasmLoader};

/// Loads a guest's codec without a server.
fn load(guest: &Guest) -> WasmCodec {
    let limits = CodecLimits::default();
    let engine = WasmEngine::new(4, limits.memory).expect("room for few sandboxes");
    WasmLoader::new(&engine, limits).load(&guest.build(), "{}".into()).expect("the guest behaves at first")
}

fn peer() -> Peer {
    wireplug_tests::peer()
}

/// Returns the time of a call, in a session that opened at the usual time.
fn at(session_ms: u64) -> Instant {
    Instant::for_test(session_ms)
}

fn push(body: &str) -> MessageRef<'_> {
    MessageRef::notice("onChat", body.as_bytes())
}
