//! Components are loaded.

mod compiling;
mod inspect;
mod language;
mod large;
mod options;
mod snapshot;

use crate::codec::wasm::{WasmEngine, WasmLoader};
use crate::config::CodecLimits;

fn loader(engine: &WasmEngine) -> WasmLoader {
    WasmLoader::new(engine, CodecLimits::default())
}

fn engine() -> WasmEngine {
    WasmEngine::new(4, CodecLimits::default().memory).expect("room for few sandboxes")
}

/// The same component with so many core instances more, each with a memory of one page.
fn with_parts(component: &[u8], parts: u8) -> Vec<u8> {
    const CORE_MODULE: u8 = 1;
    const CORE_INSTANCE: u8 = 2;
    const WITH_MEMORY: &[u8] = b"\0asm\x01\0\0\0\x05\x03\x01\x00\x01";

    let mut modules = 0;
    let mut rest = &component[8..];
    while let [section, behind @ ..] = rest {
        let (mut length, mut shift) = (0, 0);
        let digits = behind.iter().take_while(|byte| **byte >= 0x80).count() + 1;
        for byte in &behind[..digits] {
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
        }
        modules += u8::from(*section == CORE_MODULE);
        rest = &behind[digits + length..];
    }
    let mut component = component.to_vec();
    component.extend([CORE_MODULE, WITH_MEMORY.len() as u8]);
    component.extend(WITH_MEMORY);
    for _ in 0..parts {
        // One instance, of this module, with no arguments.
        component.extend([CORE_INSTANCE, 4, 1, 0, modules, 0]);
    }
    component
}
