//! Tests that the codecs in the binary give the answers in their vectors.

use wireplug_core::codec::{Codec as _, CodecLimits};
use wireplug_core::vectors::Vectors;
use wireplug_wasm::{Singly, WasmCodec, WasmEngine, WasmLoader};

use crate::bench::NOTHING;

pub(crate) const POMELO: &[u8] = include_bytes!("../../wireplug/codecs/pomelo.wasm");
pub(crate) const POMELO_VECTORS: &str = include_str!("../../wireplug/codecs/pomelo.vectors");
const PITAYA_VECTORS: &str = include_str!("../../wireplug/codecs/pitaya.vectors");
pub(crate) const SIO: &[u8] = include_bytes!("../../wireplug/codecs/sio.wasm");
pub(crate) const SIO_VECTORS: &str = include_str!("../../wireplug/codecs/sio.vectors");
const NOTHING_VECTORS: &str = include_str!("../nothing.vectors");

/// Loads a codec with the options of its vectors.
fn load(wasm: &[u8], vectors: &Vectors) -> WasmCodec {
    let limits = CodecLimits::default();
    let engine = WasmEngine::new(4, limits.memory).expect("there is room for few sandboxes");
    let codec = WasmLoader::new(&engine, limits).load(wasm, vectors.options().into());
    codec.expect("the codec is good")
}

fn parse(vectors: &str) -> Vectors {
    Vectors::parse(vectors).expect("the vectors are well-formed")
}

fn assert_passes(codec: &WasmCodec, vectors: &Vectors) {
    let mismatches: Vec<_> = vectors.replay(codec).map(|mismatch| mismatch.to_string()).collect();
    assert!(mismatches.is_empty(), "{}", mismatches.join("\n"));
}

#[test]
fn pomelo_and_sio_pass_their_vectors() {
    for (wasm, vectors) in [(POMELO, POMELO_VECTORS), (POMELO, PITAYA_VECTORS), (SIO, SIO_VECTORS)] {
        let vectors = parse(vectors);
        assert_passes(&load(wasm, &vectors), &vectors);
    }
}

#[test]
fn the_codec_that_does_nothing_passes_its_vectors() {
    let vectors = parse(NOTHING_VECTORS);
    let codec = load(NOTHING, &vectors);
    for codec in [&codec, &codec.singly(Singly::Both)] {
        assert_passes(codec, &vectors);
    }
}

/// A codec in the large pool gives the same answers as in the standard pool.
#[test]
fn pomelo_passes_its_vectors_in_the_large_pool() {
    let vectors = parse(POMELO_VECTORS);
    // With 2 or 3 further parts, the component needs more core instances and memories than a place
    // of the standard pool has.
    for (parts, large) in [(0, false), (2, true), (3, true)] {
        let wasm = wireplug_tests::hostile::components::with_parts(POMELO, parts);
        let codec = load(&wasm, &vectors);
        assert_eq!(codec.max_sessions().is_some(), large, "{parts}");
        assert_passes(&codec, &vectors);
    }
}
