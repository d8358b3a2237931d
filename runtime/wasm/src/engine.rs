//! The engines of a process: how guests are compiled, where sandboxes are allocated, and the clock
//! that bounds their calls.
//!
//! There are two engines with the same compiler. Each has a pool of places that are laid out in
//! advance, one place for one sandbox. The standard pool has many small places. A component that
//! does not fit there, usually an interpreter with dozens of core instances, uses the large pool,
//! which has fewer and larger places. A component that fits neither is refused: no sandbox exists
//! outside a pool.

use std::borrow::Cow;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use wasmtime::{Config, Engine, EngineWeak, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use super::artifact::{Artifact, Loaded};
use super::bounds::{self, Footprint};
use super::cache::{Cache, Key};
use super::compiler::{Anew, CompileError, Compiler, Load};
use super::compiling::{CompileObserver, Compiling};
use super::error::{EngineError, LoadError};
use super::features;
use super::limits::{LARGE, PoolLimits, STANDARD, TABLE_ELEMENTS};
use super::places::Places;
use super::trap;
use crate::config::ComponentBounds;
use wireplug_core::codec::cpu::{TICK, Ticks};
use wireplug_core::codec::{Digest, Reason};

/// The largest number of sandboxes at a time, and their size.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct EngineSizes {
    sandboxes: u32,
    large_sandboxes: u32,
    max_memory: usize,
    metered: bool,
}

impl EngineSizes {
    /// The default limit for sandboxes in the large pool, unless
    /// [`large_sandboxes`](Self::large_sandboxes) sets another one. With 16 MiB for each sandbox,
    /// these take 4 GiB.
    pub const LARGE_SANDBOXES: u32 = 256;

    /// Creates sizes for `sandboxes` in the standard pool. The large pool has room for the same
    /// number, but for at most [`LARGE_SANDBOXES`](Self::LARGE_SANDBOXES). Each linear memory may
    /// have `max_memory` bytes.
    pub fn new(sandboxes: u32, max_memory: usize) -> Self {
        Self { sandboxes, large_sandboxes: sandboxes.min(Self::LARGE_SANDBOXES), max_memory, metered: false }
    }

    /// Sets the number of sandboxes in the large pool.
    pub fn large_sandboxes(self, sandboxes: u32) -> Self {
        Self { large_sandboxes: sandboxes, ..self }
    }

    /// Counts the fuel that guests use, about one unit for each instruction. The code is slower,
    /// and is compiled separately for this engine.
    pub fn metered(self) -> Self {
        Self { metered: true, ..self }
    }
}

/// The place where codecs are compiled and sandboxes are allocated. Cheap to clone; one for each
/// process is enough.
#[derive(Clone)]
#[must_use]
pub struct WasmEngine {
    pub(super) standard: Engine,
    large: Engine,
    places: Places,
    /// Incremented together with the epochs.
    pub(super) ticks: Ticks,
    compiler: Compiler,
    bounds: ComponentBounds,
    cache: Option<Cache>,
    observer: Option<CompileObserver>,
    metered: bool,
}

/// A compiled component, or the core module of one, for the engine that has room for it.
pub(super) struct Compiled {
    pub(super) loaded: Loaded,
    pub(super) pool: Pool,
    /// The resources that a sandbox of the component needs.
    pub(super) footprint: Footprint,
    /// The size of the code, in bytes.
    pub(super) code: usize,
    /// How long the compilation took, or `None` if the component was in the cache.
    pub(super) took: Option<Duration>,
}

/// The pool in which the sandboxes of a component are allocated.
pub(super) enum Pool {
    Standard,
    Large {
        places: Places,
        /// Why the sandboxes do not fit the standard pool.
        reason: String,
    },
}

impl WasmEngine {
    /// Creates an engine of these [sizes](EngineSizes::new).
    ///
    /// # Errors
    /// Returns an error if there is not enough address space for this number of sandboxes.
    pub fn new(sandboxes: u32, max_memory: usize) -> Result<Self, EngineError> {
        Self::with_sizes(EngineSizes::new(sandboxes, max_memory))
    }

    /// Creates an engine that [counts fuel](EngineSizes::metered), for measurements.
    ///
    /// # Errors
    /// Returns an error if there is not enough address space for this number of sandboxes.
    pub fn metered(sandboxes: u32, max_memory: usize) -> Result<Self, EngineError> {
        Self::with_sizes(EngineSizes::new(sandboxes, max_memory).metered())
    }

    /// Creates an engine of these sizes.
    ///
    /// # Errors
    /// Returns an error if there is not enough address space for this number of sandboxes.
    pub fn with_sizes(sizes: EngineSizes) -> Result<Self, EngineError> {
        let EngineSizes { sandboxes, large_sandboxes, max_memory, metered } = sizes;
        let engine = |sandboxes, limits, no_room: &dyn Fn() -> String| {
            let pool = InstanceAllocationStrategy::Pooling(pool(sandboxes, max_memory, limits));
            Engine::new(compiler(metered).allocation_strategy(pool))
                .map_err(|error| EngineError::NoRoom { what: no_room(), source: error.to_string().into() })
        };
        let standard = engine(sandboxes, STANDARD, &|| {
            format!(
                "no room for {sandboxes} sandboxes: each reserves 4 GiB of address space. Lower `max-awake` under \
                 [server], or raise the limit on virtual memory (ulimit -v) and vm.max_map_count"
            )
        })?;
        let spare = u32::try_from(Places::spare()).unwrap_or(u32::MAX);
        let large = engine(large_sandboxes.saturating_add(spare), LARGE, &|| {
            format!(
                "no room for {large_sandboxes} large sandboxes: each reserves {} GiB of address space. Lower \
                 `large-sandboxes` under [server], or raise the limit on virtual memory (ulimit -v) and \
                 vm.max_map_count",
                4 * LARGE.memories
            )
        })?;
        let ticks = Ticks::default();
        start_ticking(&standard, &large, ticks.clone())?;
        let places = Places::new(
            large_sandboxes as usize,
            "sandboxes of the large pool",
            "`large-sandboxes` under [server]",
        );
        let bounds = ComponentBounds::default();
        Ok(Self {
            standard,
            large,
            places,
            bounds,
            ticks,
            compiler: Compiler::in_process(),
            cache: None,
            observer: None,
            metered,
        })
    }

    /// Sets the bounds of components. A component over a bound is refused before it is compiled.
    pub fn bounds(mut self, bounds: ComponentBounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// Sets the compiler. By default, components are compiled in this process.
    pub fn compiler(mut self, compiler: Compiler) -> Self {
        self.compiler = compiler;
        self
    }

    /// Sets the cache. Compiled components are stored there, and are not compiled again.
    pub fn with_cache(mut self, cache: Cache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Keeps a component that serves well in the cache, under a name of any text.
    pub fn set_last_good(&self, name: &str, wasm: &[u8]) {
        if let Some(cache) = &self.cache {
            cache.set_last_good(name, wasm);
        }
    }

    /// Makes a component that was kept before the one that serves well, if there is a cache and the
    /// component is still there.
    pub fn restore_last_good(&self, name: &str, component: Digest) {
        if let Some(cache) = &self.cache {
            cache.restore_last_good(name, component);
        }
    }

    /// Returns the component that was kept last under a name, if there is a cache and it is still
    /// there.
    pub fn last_good(&self, name: &str) -> Option<Bytes> {
        self.cache.as_ref()?.last_good(name)
    }

    /// Sets the observer, which gets a report of each compilation: an interpreter takes seconds.
    pub fn observed(mut self, observer: CompileObserver) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Returns whether the engine counts fuel.
    pub(super) fn is_metered(&self) -> bool {
        self.metered
    }

    /// Compiles a component, even if it is in the cache, and returns how long that took.
    pub(super) fn time_to_compile(&self, load: &Load<'_>, wasm: &[u8]) -> Result<Duration, CompileError> {
        self.compile_anew(load, wasm, false).map(|anew| anew.took)
    }

    /// Prepares one load of a component for this codec.
    pub(super) fn load(&self, codec: Option<Arc<str>>, wasm: &[u8]) -> Load<'_> {
        self.compiler.load(codec, wasm)
    }

    /// Compiles a component, unless it is in the cache.
    pub(super) fn compile(&self, load: &Load<'_>, wasm: &[u8]) -> Result<Compiled, LoadError> {
        if Engine::detect_precompiled(wasm).is_some() {
            return Err(LoadError::NotAComponent(
                "it is compiled already, to machine code that nobody can check: give the component that it was \
                 compiled from; wireplug keeps what it compiles itself",
            ));
        }
        if !wasm.starts_with(b"\0asm") {
            return Err(LoadError::NotAComponent("it is not a WebAssembly file"));
        }
        if wasm.get(4..8) == Some(&[1, 0, 0, 0]) {
            return Err(LoadError::NotAComponent(
                "it is a core module, not a component: link it with wasm-component-ld, or run `wasm-tools component \
                 new` on it",
            ));
        }
        let footprint = bounds::measure(wasm, &self.bounds)?;
        self.kept(load, wasm, footprint, || Ok(Cow::Borrowed(wasm)))
    }

    /// Returns what the cache holds under a name of any length. If it holds nothing, compiles the
    /// component, or the core module of one, that `make` returns. A sandbox of the component needs
    /// `footprint`.
    pub(super) fn kept<'a, E: From<LoadError>>(
        &self,
        load: &Load<'_>,
        name: &[u8],
        footprint: Footprint,
        make: impl FnOnce() -> Result<Cow<'a, [u8]>, E>,
    ) -> Result<Compiled, E> {
        let Some(cache) = &self.cache else {
            return self.not_kept(load, footprint, make);
        };
        let key = Key::new(name, &self.standard);
        if let Some(artifact) = cache.get(&key) {
            match self.place(&artifact, footprint) {
                Ok(compiled) => return Ok(compiled),
                Err(error) => cache.discard(&key, &error),
            }
        }
        let anew = self.compile_anew(load, &make()?, true).map_err(LoadError::from)?;
        let compiled = self.place_anew(&anew, footprint)?;
        cache.put(&key, &anew.artifact);
        Ok(compiled)
    }

    /// Compiles the component, or the core module of one, that `make` returns. Stores nothing on
    /// disk.
    pub(super) fn not_kept<'a, E: From<LoadError>>(
        &self,
        load: &Load<'_>,
        footprint: Footprint,
        make: impl FnOnce() -> Result<Cow<'a, [u8]>, E>,
    ) -> Result<Compiled, E> {
        let anew = self.compile_anew(load, &make()?, false).map_err(LoadError::from)?;
        Ok(self.place_anew(&anew, footprint)?)
    }

    /// Compiles a component that is used once.
    pub(super) fn compile_once(
        &self,
        load: &Load<'_>,
        wasm: &[u8],
        footprint: Footprint,
    ) -> Result<Compiled, LoadError> {
        self.place_anew(&self.compile_anew(load, wasm, self.cache.is_some())?, footprint)
    }

    fn compile_anew(&self, load: &Load<'_>, wasm: &[u8], kept: bool) -> Result<Anew, CompileError> {
        load.wait()?;
        self.tell(Compiling::Begun { size: wasm.len(), kept });
        let begun = Instant::now();
        // Both engines can use the result, because compiled code does not depend on the pool.
        let anew = load.compile(&self.standard, self.metered, wasm);
        self.tell(Compiling::Ended { took: begun.elapsed() });
        anew
    }

    fn tell(&self, news: Compiling) {
        if let Some(observer) = &self.observer {
            observer.tell(news);
        }
    }

    fn place_anew(
        &self,
        Anew { artifact, took }: &Anew,
        footprint: Footprint,
    ) -> Result<Compiled, LoadError> {
        let compiled = self.place(artifact, footprint)?;
        Ok(Compiled { took: Some(*took), ..compiled })
    }

    /// Loads a component into the engine that has room for it.
    ///
    /// # Errors
    /// Returns an error if neither pool has room for a sandbox of it, or if the artifact cannot be
    /// used.
    fn place(&self, artifact: &Artifact, footprint: Footprint) -> Result<Compiled, LoadError> {
        let compiled = |loaded, pool| Compiled { loaded, pool, footprint, code: artifact.size(), took: None };
        let unfit = match artifact.load(&self.standard) {
            Ok(loaded) => return Ok(compiled(loaded, Pool::Standard)),
            Err(unfit) => unfit,
        };
        // An artifact that no engine can use fails here too.
        match artifact.load(&self.large) {
            Ok(loaded) => {
                let reason = Reason::new(format!("{unfit:#}")).to_string();
                Ok(compiled(loaded, Pool::Large { places: self.places.clone(), reason }))
            }
            // An error about room names the limits of one pool. If both errors are the same, the
            // cause is another one.
            Err(error) if error.to_string() == unfit.to_string() => {
                let error = Reason::new(format!("{error:#}"));
                Err(LoadError::Unusable(format!("its compiled code cannot be used: {error}")))
            }
            Err(unfit) => Err(LoadError::NoRoom(format!(
                "no pool has room for a sandbox of it: {}. One may have at most {} core instances, {} memories and {} \
                 tables: build it from fewer modules",
                Reason::new(format!("{unfit:#}")),
                LARGE.core_instances,
                LARGE.memories,
                LARGE.tables
            ))),
        }
    }
}

/// Returns a pool for this number of sandboxes.
fn pool(sandboxes: u32, max_memory: usize, limits: PoolLimits) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(sandboxes)
        .total_core_instances(sandboxes.saturating_mul(limits.core_instances))
        .total_memories(sandboxes.saturating_mul(limits.memories))
        .total_tables(sandboxes.saturating_mul(limits.tables))
        // A sandbox that took more than its share would leave too little for others.
        .max_core_instances_per_component(limits.core_instances)
        .max_memories_per_component(limits.memories)
        .max_memories_per_module(limits.memories_per_module)
        .max_tables_per_component(limits.tables)
        .max_tables_per_module(limits.tables)
        .max_core_instance_size(limits.core_instance_bytes)
        .max_component_instance_size(limits.instance_bytes)
        .max_memory_size(max_memory)
        .table_elements(TABLE_ELEMENTS)
        // An idle sandbox keeps only the pages that its guest has written.
        .linear_memory_keep_resident(0)
        .table_keep_resident(0);
    pool
}

/// Returns the compiler settings of all engines, in this process and in a worker.
pub(super) fn compiler(metered: bool) -> Config {
    let mut config = Config::new();
    features::configure(&mut config);
    config
        .consume_fuel(metered)
        .cranelift_opt_level(OptLevel::Speed)
        // This makes results the same on every machine: processors differ in which NaN an operation
        // returns.
        .cranelift_nan_canonicalization(true)
        .epoch_interruption(true)
        // Calls are synchronous. With this support, a call would cost five times as much.
        .concurrency_support(false)
        // What a trap leaves behind: see `trap.rs`.
        .wasm_backtrace_max_frames(NonZeroUsize::new(trap::FRAMES))
        .coredump_on_trap(true);
    config
}

/// Increments the epochs and the ticks until the engines are gone. This is an OS thread, because
/// the timer of an async runtime stands still while a guest occupies the timer's thread.
fn start_ticking(standard: &Engine, large: &Engine, ticks: Ticks) -> Result<(), EngineError> {
    let engines = [standard.weak(), large.weak()];
    // Each engine that still exists may have sandboxes.
    let tick =
        move || engines.iter().filter_map(EngineWeak::upgrade).map(|engine| engine.increment_epoch()).count();
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(|error| EngineError::System {
        what: "the operating system has no random numbers",
        source: io::Error::other(error),
    })?;
    thread::Builder::new()
        .name("wireplug-epoch".into())
        .spawn(move || {
            let mut jitter = Jitter(u64::from_ne_bytes(seed) | 1);
            while tick() > 0 {
                ticks.advance();
                thread::sleep(jitter.period());
            }
        })
        .map_err(|source| EngineError::System {
            what: "cannot start the thread that bounds the time of codec calls",
            source,
        })?;
    Ok(())
}

/// Generates periods of three to five quarters of a tick, one tick on average. With a fixed
/// period, calls that a timer starts would run in step with the ticks, and a tick would occur
/// during all of them or during none.
struct Jitter(u64);

impl Jitter {
    fn period(&mut self) -> Duration {
        // xorshift64 is enough: a guest cannot see the ticks, so predicting them gives no
        // advantage.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let quarter = TICK / 4;
        quarter * 3 + quarter * 2 * (self.0 >> 56) as u32 / 255
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_jittered_around_one_tick() {
        let mut jitter = Jitter(1);
        let periods: Vec<Duration> = (0..10_000).map(|_| jitter.period()).collect();
        assert!(periods.iter().all(|period| (TICK / 4 * 3..=TICK / 4 * 5).contains(period)));
        let mean = periods.iter().sum::<Duration>() / 10_000;
        assert!(mean.abs_diff(TICK) < TICK / 50, "{mean:?}");
    }
}
