//! The codec that does nothing answers as its vectors say.

use super::vectors;
use crate::codec::bench::NOTHING;
use crate::codec::wasm::{Singly, WasmEngine, WasmLoader};
use crate::config::CodecLimits;

const VECTORS: &str = include_str!("../../../../codecs/nothing.vectors");

#[test]
fn in_its_sandbox() {
    let engine = WasmEngine::new(4, 16 << 20).expect("room for few sandboxes");
    let vectors = vectors(VECTORS);
    let codec =
        WasmLoader::new(&engine, CodecLimits::default()).load(NOTHING, "{}".into()).expect("it is good");
    for codec in [&codec, &codec.singly(Singly::Both)] {
        let mismatches: Vec<_> = vectors.replay(codec).map(|mismatch| mismatch.to_string()).collect();
        assert!(mismatches.is_empty(), "{}", mismatches.join("\n"));
    }
}
