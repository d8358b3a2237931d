//! The sio codec answers as its vectors say.

use super::vectors;
use crate::codec::wasm::{WasmEngine, WasmLoader};
use crate::config::CodecLimits;

const SIO: &[u8] = include_bytes!("../../../../codecs/sio.wasm");
const VECTORS: &str = include_str!("../../../../codecs/sio.vectors");

#[test]
fn in_its_sandbox() {
    let engine = WasmEngine::new(4, 16 << 20).expect("room for few sandboxes");
    let vectors = vectors(VECTORS);
    let codec = WasmLoader::new(&engine, CodecLimits::default()).load(SIO, vectors.options().into());
    let codec = codec.expect("it is good");
    let mismatches: Vec<_> = vectors.replay(&codec).map(|mismatch| mismatch.to_string()).collect();
    assert!(mismatches.is_empty(), "{}", mismatches.join("\n"));
}
