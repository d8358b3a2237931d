//! A codec whose component does not fit the standard pool works as it does there.

use crate::codec::wasm::{WasmEngine, WasmLoader};
use crate::codec::{Codec as _, Vectors};
use crate::config::CodecLimits;
use crate::slot::POMELO;

const VECTORS: &str = include_str!("../../../codecs/pomelo.vectors");

#[test]
fn it_answers_as_in_the_standard_pool() {
    let vectors = Vectors::parse(VECTORS).expect("they are good");
    let engine = WasmEngine::new(4, CodecLimits::default().memory).expect("room for few sandboxes");
    // More core instances and memories than a place of the standard pool has.
    for (parts, large) in [(0, false), (2, true), (3, true)] {
        let wasm = wireplug_tests::hostile::components::with_parts(POMELO, parts);
        let codec = WasmLoader::new(&engine, CodecLimits::default())
            .load(&wasm, vectors.options().into())
            .expect("there is room");
        assert_eq!(codec.max_sessions().is_some(), large, "{parts}");
        assert_eq!(vectors.replay(&codec).next(), None, "{parts}");
    }
}
