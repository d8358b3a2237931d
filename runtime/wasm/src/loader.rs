//! Loads components: compiles them, checks them against the contract, and configures them.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tracing::debug;

use super::account::{Code, CodecAccount};
use super::artifact::Loaded;
use super::bounds::Footprint;
use super::compiler::Load;
use super::component::{Exports, LinkedComponent};
use super::describe::describe;
use super::direct::{DirectCodec, Shape};
use super::engine::{Compiled, Pool};
use super::limits::answer_bytes;
use super::sandbox::{Blueprint, Linked, Sandbox};
use super::snapshot::Readable;
use super::{CompileError, LoadError, WasmCodec, WasmEngine, imports};
use wireplug_core::codec::cpu::CpuAccount;
use wireplug_core::codec::{Abilities, CodecError, CodecLimits, Reason, ResolvedOptions, Secrets};

/// Loads components as codecs. Charges the sandboxes of all codecs that it loads to the account of
/// one codec slot.
#[derive(Clone)]
#[must_use]
pub struct WasmLoader {
    pub(super) engine: WasmEngine,
    /// The name of the codec, for reports about compilations.
    codec: Option<Arc<str>>,
    limits: CodecLimits,
    /// Whether imports of WASI are allowed, each as a trap.
    pub(super) allow_unused_wasi: bool,
    account: Arc<CodecAccount>,
    /// The account of the CPU time of all sandboxes.
    cpu: Arc<CpuAccount>,
}

impl WasmLoader {
    /// Creates a loader for sandboxes in `engine` with these limits.
    pub fn new(engine: &WasmEngine, limits: CodecLimits) -> Self {
        let cpu = Arc::new(CpuAccount::new("", &limits, engine.ticks.clone()));
        Self {
            engine: engine.clone(),
            codec: None,
            limits,
            allow_unused_wasi: false,
            account: Arc::default(),
            cpu,
        }
    }

    /// Sets the name of the codec. [`CompileJob`](crate::CompileJob) and log lines show it.
    pub fn named(self, codec: &str) -> Self {
        let cpu = Arc::new(CpuAccount::new(codec, &self.limits, self.engine.ticks.clone()));
        Self { cpu, codec: Some(codec.into()), ..self }
    }

    /// Charges the CPU time of the sandboxes to the account of another loader.
    pub fn charge_cpu_of(self, other: &Self) -> Self {
        Self { cpu: Arc::clone(&other.cpu), ..self }
    }

    /// Returns the account of the CPU time.
    pub fn cpu(&self) -> &Arc<CpuAccount> {
        &self.cpu
    }

    /// Returns the memory that is charged for all sandboxes and for the saved states of sessions
    /// that sleep, in bytes.
    pub fn memory(&self) -> usize {
        self.account.sandboxes()
    }

    /// Returns the memory that is charged for compiled code, in bytes.
    pub fn code(&self) -> usize {
        self.account.code()
    }

    /// Allows or refuses components that import `wasi:*`, as libraries do that never call these
    /// functions. A call of such an import is a trap.
    pub fn allow_unused_wasi(mut self, allow: bool) -> Self {
        self.allow_unused_wasi = allow;
        self
    }

    /// Compiles a component, checks it against the contract, and reads its description. Then opens
    /// a sandbox with `options`, so that wrong options are found now.
    ///
    /// # Errors
    /// Returns an error if `wasm` is not a component, is over a bound, does not compile
    /// ([`CompileError`] says why), fits no pool, imports something that is not allowed, was
    /// written to another version of the contract, describes itself wrongly, or refuses its
    /// options. The error says what is wrong and how to fix it.
    pub fn load(&self, wasm: &[u8], options: ResolvedOptions) -> Result<WasmCodec, LoadError> {
        let load = self.begin(wasm);
        let compiled = self.engine.compile(&load, wasm)?;
        let took = compiled.took;
        let bare = self.plan(wasm, &compiled)?;
        let description = describe(&bare.uncharged())?;
        let mut codec = WasmCodec {
            bare: Arc::new(bare),
            configured: None,
            description,
            options,
            compile_time: took,
            singly: None,
            is_patient: false,
        };
        codec.try_sandbox().map_err(LoadError::not_configured)?;
        if matches!(compiled.pool, Pool::Standard) {
            // Reading out the memory of an interpreter would take seconds, and an interpreter has
            // few sandboxes.
            let abilities = codec.bare.abilities;
            match self.configured(&load, wasm, compiled.footprint, &codec.options, abilities) {
                Ok(configured) => codec.configured = Some(Arc::new(configured)),
                Err(error) if is_stopped(&error) => return Err(CompileError::Stopped.into()),
                Err(error) => {
                    let (codec, error) = (&codec.description.name, format!("{error:#}"));
                    debug!(codec, error, "each of its sandboxes is configured");
                }
            }
        }
        Ok(codec)
    }

    /// Returns the size of the largest packet, in bytes.
    pub fn max_packet(&self) -> usize {
        self.limits.max_packet
    }

    /// Returns the limit of a sandbox's linear memory, in bytes.
    pub fn max_memory(&self) -> usize {
        self.limits.memory
    }

    /// Compiles a component, even if it is in the cache, and returns how long that took.
    ///
    /// # Errors
    /// Returns an error if the component does not compile.
    pub fn time_to_compile(&self, wasm: &[u8]) -> Result<Duration, CompileError> {
        self.engine.time_to_compile(&self.begin(wasm), wasm)
    }

    /// Prepares one load of a component.
    pub(super) fn begin(&self, wasm: &[u8]) -> Load<'_> {
        self.engine.load(self.codec.clone(), wasm)
    }

    /// Checks a component that was compiled from `wasm` against the contract.
    pub(super) fn plan(&self, wasm: &[u8], compiled: &Compiled) -> Result<Plan, LoadError> {
        let Loaded::Component(component) = &compiled.loaded else {
            return Err(LoadError::Unusable("its compiled code is not that of a component".into()));
        };
        let linker = imports::link(wasm, component, self.allow_unused_wasi)?;
        let exports = Exports::find(component.engine(), component)?;
        let pre = linker.instantiate_pre(component).map_err(|error| not_linked(&error))?;
        let abilities = exports.abilities();
        self.plan_of(Arc::new(LinkedComponent { pre, exports }), abilities, compiled)
    }

    /// Links the core module of a component of this shape, to be called directly.
    fn plan_directly(
        &self,
        shape: &Shape,
        abilities: Abilities,
        compiled: &Compiled,
    ) -> Result<Plan, LoadError> {
        let Loaded::Module(module) = &compiled.loaded else {
            return Err(LoadError::Unusable("its compiled code is not that of a core module".into()));
        };
        let linked = DirectCodec::link(module, shape, answer_bytes(self.limits.max_packet));
        self.plan_of(Arc::new(linked.map_err(|error| not_linked(&error))?), abilities, compiled)
    }

    fn plan_of(
        &self,
        linked: Arc<dyn Linked>,
        abilities: Abilities,
        compiled: &Compiled,
    ) -> Result<Plan, LoadError> {
        let Compiled { pool, footprint, code, .. } = compiled;
        let tenant = match pool {
            Pool::Standard => None,
            Pool::Large { places, .. } => Some(self.account.tenant(places)),
        };
        let code = Arc::new(Code::charge(&self.account, *code, self.limits.total_memory)?);
        let host_bytes = usize::try_from(footprint.host_bytes).unwrap_or(usize::MAX);
        let metered = self.engine.is_metered();
        let (limits, cpu) = (self.limits, Arc::clone(&self.cpu));
        let blueprint = Blueprint { linked, limits, code, host_bytes, cpu, tenant, metered };
        Ok(Plan { blueprint, abilities })
    }

    /// Returns the component with its options set, called directly if it has the shape for that. It
    /// has the footprint of the component without options, because only the initial content of its
    /// memory and globals has changed. So it is not measured again. If its memory contains secrets,
    /// it is never stored on disk, and no digest of them becomes the name of a file.
    fn configured(
        &self,
        load: &Load<'_>,
        wasm: &[u8],
        footprint: Footprint,
        options: &ResolvedOptions,
        abilities: Abilities,
    ) -> anyhow::Result<Plan> {
        let shape = Shape::of(wasm);
        let make = || -> anyhow::Result<_> {
            let readable = Readable::new(wasm)?;
            let once = self.engine.compile_once(load, &readable.component, footprint)?;
            let once = self.plan(wasm, &once)?.uncharged();
            let mut sandbox = once.sandbox(options.secrets())?;
            sandbox.configure(options)?;
            sandbox.read_out(&self.limits);
            let mut snapshot = readable.snapshot(&mut sandbox)?;
            if shape.is_ok() {
                let module = Shape::of(&snapshot)?.module;
                snapshot.truncate(module.end);
                snapshot.drain(..module.start);
            }
            Ok(Cow::Owned(snapshot))
        };
        let compiled = if options.secrets().is_empty() {
            let what: &[u8] = if shape.is_ok() { b"configured module\0" } else { b"configured\0" };
            let name = [what, options.expose().as_bytes(), b"\0", wasm].concat();
            self.engine.kept(load, &name, footprint, make)?
        } else {
            self.engine.not_kept(load, footprint, make)?
        };
        let plan = match &shape {
            Ok(shape) => self.plan_directly(shape, abilities, &compiled)?,
            Err(_) => self.plan(wasm, &compiled)?,
        };
        // Checks that a sandbox can be made, before a client waits for it.
        plan.uncharged().sandbox(options.secrets())?;
        Ok(plan)
    }
}

/// Returns the error for code that cannot be linked.
fn not_linked(error: &wasmtime::Error) -> LoadError {
    let error = Reason::new(format!("{error:#}"));
    LoadError::Unusable(format!("it cannot be linked: {error}"))
}

/// The parts from which sandboxes are made.
pub(super) struct Plan {
    pub(super) blueprint: Blueprint,
    pub(super) abilities: Abilities,
}

impl Plan {
    /// Returns the same plan, but its sandboxes charge their CPU time to no codec: the time to load
    /// a codec must not count against its sessions.
    pub(super) fn uncharged(&self) -> Self {
        let cpu = Arc::new(CpuAccount::unlimited(self.blueprint.cpu.ticks().clone()));
        Self { blueprint: Blueprint { cpu, ..self.blueprint.clone() }, abilities: self.abilities }
    }

    /// Makes a sandbox. The guest may know these `secrets`.
    pub(super) fn sandbox(&self, secrets: &Secrets) -> Result<Sandbox, CodecError> {
        Sandbox::new(&self.blueprint, secrets)
    }
}

/// Returns whether the error is that the server stopped while a component compiled.
fn is_stopped(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(LoadError::Compile(CompileError::Stopped)))
}
