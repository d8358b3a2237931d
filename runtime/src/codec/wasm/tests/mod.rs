//! Components are loaded.

mod options;

use crate::codec::wasm::{WasmEngine, WasmLoader};
use crate::config::CodecLimits;

fn loader(engine: &WasmEngine) -> WasmLoader {
    WasmLoader::new(engine, CodecLimits::default())
}

fn engine() -> WasmEngine {
    WasmEngine::new(4, CodecLimits::default().memory).expect("room for few sandboxes")
}
