//! Loads a component for the commands for authors in the same way as a server does, with the same
//! cache of compiled components.

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
    /// Returns a loader with room for this many sandboxes, under the default limits of a server.
    pub(super) fn loader(&self, sandboxes: u32) -> anyhow::Result<WasmLoader> {
        self.with_limits(sandboxes, CodecLimits::default())
    }

    /// Returns a loader with room for this many sandboxes, under these limits.
    pub(super) fn with_limits(&self, sandboxes: u32, limits: CodecLimits) -> anyhow::Result<WasmLoader> {
        self.load_into(WasmEngine::new(sandboxes, limits.memory)?, limits)
    }

    /// Returns a loader to measure times and a loader to count fuel. Each has room for this many
    /// sandboxes, and neither ends a session for slow calls.
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
