//! Tests of loading components.

mod compiling;
mod input;
mod inspect;
mod language;
mod large;
mod options;
mod snapshot;

use crate::{WasmEngine, WasmLoader};
use wireplug_core::codec::CodecLimits;

/// Real components.
pub(crate) const POMELO: &[u8] = include_bytes!("../../../wireplug/codecs/pomelo.wasm");
const NOTHING: &[u8] = include_bytes!("../../../codec-tools/nothing.wasm");

fn loader(engine: &WasmEngine) -> WasmLoader {
    WasmLoader::new(engine, CodecLimits::default())
}

fn engine() -> WasmEngine {
    WasmEngine::new(4, CodecLimits::default().memory).expect("room for few sandboxes")
}
