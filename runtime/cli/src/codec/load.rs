//! How the commands for authors load a component: as a server would, and with what it has compiled
//! already.

use wireplug::config::CodecLimits;
use wireplug_wasm::{Cache, WasmEngine, WasmLoader};

use crate::{cache, compile, progress};

#[derive(clap::Args)]
pub(super) struct Loading {
    /// Let in a component that imports `wasi:*`, as libraries do that never call it: a call is a
    /// trap.
    #[arg(long)]
    pub(super) allow_unused_wasi: bool,
}

impl Loading {
    /// With room for so many sandboxes, under the limits that a server has by default.
    pub(super) fn loader(&self, sandboxes: u32) -> anyhow::Result<WasmLoader> {
        self.with_limits(sandboxes, CodecLimits::default())
    }

    /// The same under other limits.
    pub(super) fn with_limits(&self, sandboxes: u32, limits: CodecLimits) -> anyhow::Result<WasmLoader> {
        self.load_into(WasmEngine::new(sandboxes, limits.memory)?, limits)
    }

    /// One to take times with and one to count fuel with, each with room for so many sandboxes.
    /// Nobody ends a session for its slow calls.
    pub(super) fn to_measure(&self, sandboxes: u32) -> anyhow::Result<(WasmLoader, WasmLoader)> {
        let limits = CodecLimits { slow_calls: u32::MAX, ..CodecLimits::default() };
        Ok((
            self.load_into(WasmEngine::new(sandboxes, limits.memory)?, limits)?,
            self.load_into(WasmEngine::metered(sandboxes, limits.memory)?, limits)?,
        ))
    }

    fn load_into(&self, engine: WasmEngine, limits: CodecLimits) -> anyhow::Result<WasmLoader> {
        let mut engine = engine.compiler(compile::compiler()).observed(progress::shown(true));
        if let Some(directory) = cache::directory() {
            engine = engine.with_cache(Cache::open(directory)?);
        }
        Ok(WasmLoader::new(&engine, limits).allow_unused_wasi(self.allow_unused_wasi))
    }
}
