//! The one wasmtime engine of a process: how guests are compiled, where sandboxes live, and the clock that
//! bounds their calls.

use std::{thread, time::Duration};

use anyhow::{Context as _, bail};
use wasmtime::component::Component;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use super::cache::{Artifact, Cache, Key};
use super::limits::TABLE_ELEMENTS;

/// The epoch moves on once a tick. 1 ms: fine enough for a deadline of 10 ms, and a thousand wake-ups a
/// second cost nothing.
pub(super) const TICK: Duration = Duration::from_millis(1);

/// Core instances of a sandbox. A component from a compiler is one module, and two that link it to the
/// destructor of its session; one more is room for the next linker. What needs dozens is an interpreter.
const CORE_INSTANCES: u32 = 4;

/// Tables of a sandbox: the module's own, and that of the two that link it.
const TABLES: u32 = 2;

/// Where codecs are compiled and sandboxes live. Cheap to clone; one a process is enough.
#[derive(Clone)]
pub struct WasmEngine {
    pub(super) engine: Engine,
    cache: Option<Cache>,
}

impl WasmEngine {
    /// An engine with room for `sandboxes` at a time, each with at most `max_memory` bytes of linear memory.
    ///
    /// # Errors
    /// Where the address space for so many sandboxes is not to be had.
    pub fn new(sandboxes: u32, max_memory: usize) -> anyhow::Result<Self> {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(sandboxes)
            .total_core_instances(sandboxes.saturating_mul(CORE_INSTANCES))
            .total_memories(sandboxes)
            .total_tables(sandboxes.saturating_mul(TABLES))
            // A sandbox that took more than its share would leave others without.
            .max_core_instances_per_component(CORE_INSTANCES)
            .max_memories_per_component(1)
            .max_tables_per_component(TABLES)
            .max_memory_size(max_memory)
            .table_elements(TABLE_ELEMENTS)
            // An idle sandbox keeps no page that its guest did not write.
            .linear_memory_keep_resident(0)
            .table_keep_resident(0);
        let mut config = Config::new();
        config
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
            .cranelift_opt_level(OptLevel::Speed)
            .epoch_interruption(true)
            // Calls are synchronous; without this a call costs five times as much.
            .concurrency_support(false)
            // A trap ends its sandbox, and the cause is in its code: nobody reads the frames.
            .wasm_backtrace_max_frames(None);
        let engine = Engine::new(&config).map_err(anyhow::Error::msg).with_context(|| {
            format!(
                "no room for {sandboxes} sandboxes: each reserves 4 GiB of address space. \
                 Lower the number of connections, or raise the limit on virtual memory (ulimit -v) and vm.max_map_count"
            )
        })?;
        start_ticking(&engine)?;
        Ok(Self { engine, cache: None })
    }

    /// Keeps what it compiles here, and does not compile what is here.
    pub fn with_cache(mut self, cache: Cache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Compiles a component, unless it is in the cache.
    pub(super) fn compile(&self, wasm: &[u8]) -> anyhow::Result<Component> {
        if Engine::detect_precompiled(wasm).is_some() {
            bail!(
                "it is compiled already, to machine code that nobody can check: give the component that it was \
                 compiled from; `wireplug` keeps what it compiles itself"
            );
        }
        if !wasm.starts_with(b"\0asm") {
            bail!("it is not a WebAssembly file");
        }
        if wasm.get(4..8) == Some(&[1, 0, 0, 0]) {
            bail!(
                "it is a core module, not a component: link it with wasm-component-ld, or run `wasm-tools component new` on it"
            );
        }
        let Some(cache) = &self.cache else {
            return self.compile_anew(wasm)?.component(&self.engine).map_err(not_compiled);
        };
        let key = Key::new(wasm, &self.engine);
        if let Some(artifact) = cache.get(&key) {
            match artifact.component(&self.engine) {
                Ok(component) => return Ok(component),
                Err(error) => cache.discard(&key, &error),
            }
        }
        let artifact = self.compile_anew(wasm)?;
        let component = artifact.component(&self.engine).map_err(not_compiled)?;
        cache.put(&key, &artifact);
        Ok(component)
    }

    fn compile_anew(&self, wasm: &[u8]) -> anyhow::Result<Artifact> {
        Artifact::compile(&self.engine, wasm).map_err(not_compiled)
    }
}

fn not_compiled(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("it does not compile: {error:#}")
}

/// Moves the epoch on until the engine is gone. An OS thread, since a runtime's timer stands still while a
/// guest holds its thread.
fn start_ticking(engine: &Engine) -> anyhow::Result<()> {
    let engine = engine.weak();
    thread::Builder::new()
        .name("wireplug-epoch".into())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                thread::sleep(TICK);
            }
        })
        .context("cannot start the thread that bounds the time of codec calls")?;
    Ok(())
}
