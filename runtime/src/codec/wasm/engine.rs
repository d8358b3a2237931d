//! The engines of a process: how guests are compiled, where sandboxes live, and the clock that bounds their
//! calls.
//!
//! There are two of the same compiler. Small codecs live in a pool, whose places are laid out beforehand, each
//! for one sandbox of a few parts. What does not fit there, as a rule an interpreter of dozens of parts, lives
//! outside of it, where memory is taken when it is wanted, in far fewer places.

use std::borrow::Cow;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use wasmtime::component::Component;
use wasmtime::{Config, Engine, EngineWeak, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use super::artifact::Artifact;
use super::cache::{Cache, Key};
use super::compiler::{Anew, Compiler, Load};
use super::compiling::{CompileObserver, Compiling};
use super::limits::TABLE_ELEMENTS;
use super::places::Places;
use crate::codec::cpu::{TICK, Ticks};

/// Core instances of a sandbox in the pool. A component from a compiler is one module, and two that link it to
/// the destructor of its session; one more is room for the next linker. What needs dozens is an interpreter.
const CORE_INSTANCES: u32 = 4;

/// Tables of a sandbox in the pool: the module's own, and that of the two that link it.
const TABLES: u32 = 2;

/// Where codecs are compiled and sandboxes live. Cheap to clone; one a process is enough.
#[derive(Clone)]
pub struct WasmEngine {
    pub(super) pooled: Engine,
    on_demand: Engine,
    places: Places,
    /// Moves on with the epochs.
    pub(super) ticks: Ticks,
    compiler: Compiler,
    cache: Option<Cache>,
    observer: Option<CompileObserver>,
    metered: bool,
}

/// A component that is compiled, for the engine that has room for it.
pub(super) struct Compiled {
    pub(super) component: Component,
    /// None: it lives in the pool.
    pub(super) outside: Option<Outside>,
    /// How long it took to compile; none: it was in the cache.
    pub(super) took: Option<Duration>,
}

/// Where a component lives that does not fit the pool.
pub(super) struct Outside {
    pub(super) places: Places,
    /// Why it does not fit.
    pub(super) reason: String,
}

impl WasmEngine {
    /// So many sandboxes may live outside of the pool unless [`on_demand`](Self::on_demand) says otherwise: with
    /// the 16 MiB that each may have, 4 GiB.
    pub const ON_DEMAND: usize = 256;

    /// An engine with room for `sandboxes` at a time in its pool, each with at most `max_memory` bytes of linear
    /// memory.
    ///
    /// # Errors
    /// Where the address space for so many sandboxes is not to be had.
    pub fn new(sandboxes: u32, max_memory: usize) -> anyhow::Result<Self> {
        Self::with_fuel(sandboxes, max_memory, false)
    }

    /// An engine that counts the fuel that guests burn, an instruction one unit or so: for those who measure. Its code is
    /// slower and is compiled for it alone.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn metered(sandboxes: u32, max_memory: usize) -> anyhow::Result<Self> {
        Self::with_fuel(sandboxes, max_memory, true)
    }

    fn with_fuel(sandboxes: u32, max_memory: usize, metered: bool) -> anyhow::Result<Self> {
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
        let pooled = Engine::new(compiler(metered).allocation_strategy(InstanceAllocationStrategy::Pooling(pool)))
            .map_err(anyhow::Error::msg)
            .with_context(|| {
                format!(
                    "no room for {sandboxes} sandboxes: each reserves 4 GiB of address space. Lower the number of \
                     connections, or raise the limit on virtual memory (ulimit -v) and vm.max_map_count"
                )
            })?;
        let on_demand =
            Engine::new(compiler(metered).allocation_strategy(InstanceAllocationStrategy::OnDemand))
                .map_err(anyhow::Error::msg)?;
        let ticks = Ticks::default();
        start_ticking(&pooled, &on_demand, ticks.clone())?;
        let places = Places::new(Self::ON_DEMAND);
        Ok(Self {
            pooled,
            on_demand,
            places,
            ticks,
            compiler: Compiler::in_process(),
            cache: None,
            observer: None,
            metered,
        })
    }

    /// Lets so many sandboxes live outside of the pool at a time.
    pub fn on_demand(mut self, sandboxes: usize) -> Self {
        self.places = Places::new(sandboxes);
        self
    }

    /// Compiles by this compiler, and not in this process.
    pub fn compiler(mut self, compiler: Compiler) -> Self {
        self.compiler = compiler;
        self
    }

    /// Keeps what it compiles here, and does not compile what is here.
    pub fn with_cache(mut self, cache: Cache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Tells of each component that is compiled: an interpreter takes seconds.
    pub fn observed(mut self, observer: CompileObserver) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Whether it counts fuel.
    pub(super) fn is_metered(&self) -> bool {
        self.metered
    }

    /// How long a component takes to compile, whether it is in the cache or not.
    pub(super) fn time_to_compile(&self, load: &Load<'_>, wasm: &[u8]) -> anyhow::Result<Duration> {
        self.compile_anew(load, wasm, false).map(|anew| anew.took)
    }

    /// What one load of a component for this codec needs to compile.
    pub(super) fn load(&self, codec: Option<Arc<str>>, wasm: &[u8]) -> Load<'_> {
        self.compiler.load(codec, wasm)
    }

    /// Compiles a component, unless it is in the cache.
    pub(super) fn compile(&self, load: &Load<'_>, wasm: &[u8]) -> anyhow::Result<Compiled> {
        if Engine::detect_precompiled(wasm).is_some() {
            bail!(
                "it is compiled already, to machine code that nobody can check: give the component that it was \
                 compiled from; wireplug keeps what it compiles itself"
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
        self.kept(load, wasm, || Ok(Cow::Borrowed(wasm)))
    }

    /// What is kept under a name of any length; else compiles the component that `make` makes.
    pub(super) fn kept<'a>(
        &self,
        load: &Load<'_>,
        name: &[u8],
        make: impl FnOnce() -> anyhow::Result<Cow<'a, [u8]>>,
    ) -> anyhow::Result<Compiled> {
        let Some(cache) = &self.cache else {
            return self.not_kept(load, make);
        };
        let key = Key::new(name, &self.pooled);
        if let Some(artifact) = cache.get(&key) {
            match self.place(&artifact) {
                Ok(compiled) => return Ok(compiled),
                Err(error) => cache.discard(&key, &error),
            }
        }
        let anew = self.compile_anew(load, &make()?, true)?;
        let compiled = self.place_anew(&anew)?;
        cache.put(&key, &anew.artifact);
        Ok(compiled)
    }

    /// Compiles the component that `make` makes, and keeps nothing of it on disk.
    pub(super) fn not_kept<'a>(
        &self,
        load: &Load<'_>,
        make: impl FnOnce() -> anyhow::Result<Cow<'a, [u8]>>,
    ) -> anyhow::Result<Compiled> {
        self.place_anew(&self.compile_anew(load, &make()?, false)?)
    }

    /// Compiles a component that is used once, outside of the pool and of its count.
    pub(super) fn compile_once(&self, load: &Load<'_>, wasm: &[u8]) -> anyhow::Result<Component> {
        self.compile_anew(load, wasm, self.cache.is_some())?
            .artifact
            .component(&self.on_demand)
            .map_err(not_compiled)
    }

    fn compile_anew(&self, load: &Load<'_>, wasm: &[u8], kept: bool) -> anyhow::Result<Anew> {
        load.wait()?;
        self.tell(Compiling::Begun { size: wasm.len(), kept });
        let begun = Instant::now();
        // What it gives is good for both engines: the compiler does not know where sandboxes live.
        let anew = load.compile(&self.pooled, self.metered, wasm);
        self.tell(Compiling::Ended { took: begun.elapsed() });
        Ok(anew?)
    }

    fn tell(&self, news: Compiling) {
        if let Some(observer) = &self.observer {
            observer.tell(news);
        }
    }

    fn place_anew(&self, Anew { artifact, took }: &Anew) -> anyhow::Result<Compiled> {
        let compiled = self.place(artifact).map_err(not_compiled)?;
        Ok(Compiled { took: Some(*took), ..compiled })
    }

    /// Puts a component where there is room for it.
    fn place(&self, artifact: &Artifact) -> wasmtime::Result<Compiled> {
        let unfit = match artifact.component(&self.pooled) {
            Ok(component) => return Ok(Compiled { component, outside: None, took: None }),
            Err(unfit) => unfit,
        };
        // What is no good at all fails here as well.
        let component = artifact.component(&self.on_demand)?;
        let outside = Outside { places: self.places.clone(), reason: format!("{unfit:#}") };
        Ok(Compiled { component, outside: Some(outside), took: None })
    }
}

/// How all engines compile, in this process and in a worker.
pub(super) fn compiler(metered: bool) -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(metered)
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        // Calls are synchronous; without this a call costs five times as much.
        .concurrency_support(false)
        // A trap ends its sandbox, and the cause is in its code: nobody reads the frames.
        .wasm_backtrace_max_frames(None);
    config
}

fn not_compiled(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("it does not compile: {error:#}")
}

/// Moves the epochs and the ticks on until the engines are gone. An OS thread, since a runtime's timer
/// stands still while a guest holds its thread.
fn start_ticking(pooled: &Engine, on_demand: &Engine, ticks: Ticks) -> anyhow::Result<()> {
    let engines = [pooled.weak(), on_demand.weak()];
    // Whoever holds one of the engines has sandboxes in it.
    let tick =
        move || engines.iter().filter_map(EngineWeak::upgrade).map(|engine| engine.increment_epoch()).count();
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).context("the operating system has no random numbers")?;
    thread::Builder::new()
        .name("wireplug-epoch".into())
        .spawn(move || {
            let mut jitter = Jitter(u64::from_ne_bytes(seed) | 1);
            while tick() > 0 {
                ticks.advance();
                thread::sleep(jitter.period());
            }
        })
        .context("cannot start the thread that bounds the time of codec calls")?;
    Ok(())
}

/// Periods of three to five quarters of a tick, one tick on average. With a fixed period, calls that a timer
/// starts would run in step with it, and never or always have a tick fall into them.
struct Jitter(u64);

impl Jitter {
    fn period(&mut self) -> Duration {
        // xorshift64: a guest cannot see the ticks, so that nobody gains by a guess.
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
