//! Malicious guests: each ends its own connection and nothing else.

mod addresses;
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
mod siege;
mod text;
mod trial;

use wireplug::codec::{MessageRef, Peer};
use wireplug::config::CodecLimits;
use wireplug_tests::hostile::Guest;
use wireplug_wasm::{WasmCodec, WasmEngine, WasmLoader};

/// Loads a guest's codec without a server.
fn load(guest: &Guest) -> WasmCodec {
    let limits = CodecLimits::default();
    let engine = WasmEngine::new(4, limits.memory).expect("room for few sandboxes");
    WasmLoader::new(&engine, limits).load(&guest.build(), "{}".into()).expect("the guest behaves at first")
}

fn peer() -> Peer {
    Peer { transport: "tcp".into(), address: "".into(), entropy: [7; 32], attributes: vec![] }
}

fn push(body: &str) -> MessageRef<'_> {
    MessageRef { id: None, route: "onChat", body: body.as_bytes(), status: 200 }
}
