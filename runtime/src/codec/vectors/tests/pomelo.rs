//! The Pomelo codec, in its sandbox and without one, answers as its vectors say.

use super::vectors;
use crate::codec::Codec;
use crate::codec::native::NativePomelo;
use crate::codec::wasm::{WasmEngine, WasmLoader};
use crate::config::CodecLimits;
use crate::slot::POMELO;

const VECTORS: &str = include_str!("../../../../codecs/pomelo.vectors");

fn assert_passes(codec: &dyn Codec) {
    let vectors = vectors(VECTORS);
    let mismatches: Vec<_> = vectors.replay(codec).map(|mismatch| mismatch.to_string()).collect();
    assert!(mismatches.is_empty(), "{}", mismatches.join("\n"));
}

#[test]
fn without_a_sandbox() {
    let vectors = vectors(VECTORS);
    assert_passes(&NativePomelo::new(vectors.options()).expect("its options are good"));
}

#[test]
fn in_its_sandbox() {
    let engine = WasmEngine::new(2, 16 << 20).expect("room for few sandboxes");
    let codec =
        WasmLoader::new(&engine, CodecLimits::default()).load(POMELO, "{}".into()).expect("it is good");
    let codec = codec.with_options(vectors(VECTORS).options().into()).expect("its options are good");
    assert_passes(&codec);
}
