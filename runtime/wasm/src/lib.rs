//! Wasm codecs: a component is compiled once, and each connection gets a sandbox of its own.
//!
//! Nothing real stands behind a guest: it has no imports. Any error from a call ends its sandbox
//! and its connection, and nothing else.

mod account;
mod artifact;
mod bindings;
mod bounds;
mod cache;
mod compiler;
mod compiling;
pub mod config;
mod describe;
mod engine;
mod error;
mod features;
mod imports;
mod inspect;
mod language;
mod limits;
pub mod places;
mod sandbox;
mod session;
mod snapshot;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tracing::debug;
use wasmtime::component::ResourceAny;

pub use cache::Cache;
pub use compiler::{CompileError, CompileJob, CompileState, Compiler, WorkerProgram, run_worker};
pub use compiling::{CompileObserver, Compiling};
pub use engine::{EngineSizes, WasmEngine};
pub use error::{CacheError, EngineError, LoadError};
pub use inspect::{Import, Inspection, Needs, Said, inspect};

/// The version of the contract that components are written to.
pub const CONTRACT_VERSION: &str = bindings::VERSION;

use self::account::{Code, CodecAccount};
use self::bindings::{EncodeShared, Exports, Functions, Opening};
use self::bounds::Footprint;
use self::compiler::Load;
use self::describe::describe;
use self::engine::{Compiled, Pool};
use self::limits::answer_bytes;
use self::sandbox::{Blueprint, Sandbox, classify};
use self::session::WasmSession;
use self::snapshot::Readable;
use wireplug_core::codec::CodecLimits;
use wireplug_core::codec::cpu::CpuAccount;
use wireplug_core::codec::{
    Abilities, Codec, CodecError, CodecSession, Description, MessageRef, Peer, Reason, ResolvedOptions,
    Secrets, Sharing, Violation,
};

/// How many times as long a call of a [patient](WasmCodec::patient) codec may take. A processor in
/// use is not so many times slower than another; what takes longer still has the wrong shape.
const PATIENCE: u32 = 5;

/// Loads components as codecs: those of one slot, whose sandboxes are charged to one account.
#[derive(Clone)]
#[must_use]
pub struct WasmLoader {
    engine: WasmEngine,
    /// Its name, for those who look at what compiles.
    codec: Option<Arc<str>>,
    limits: CodecLimits,
    /// Imports of WASI are let in, each a trap.
    allow_unused_wasi: bool,
    account: Arc<CodecAccount>,
    /// CPU time of all sandboxes.
    cpu: Arc<CpuAccount>,
}

impl WasmLoader {
    /// For sandboxes in `engine` with these limits.
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

    /// Names the codec that it loads: [`CompileJob`] and log lines show the name.
    pub fn named(self, codec: &str) -> Self {
        let cpu = Arc::new(CpuAccount::new(codec, &self.limits, self.engine.ticks.clone()));
        Self { cpu, codec: Some(codec.into()), ..self }
    }

    /// Charges the CPU time of its sandboxes to the account of another loader.
    pub fn charge_cpu_of(self, other: &Self) -> Self {
        Self { cpu: Arc::clone(&other.cpu), ..self }
    }

    /// The account of CPU time.
    pub fn cpu(&self) -> &Arc<CpuAccount> {
        &self.cpu
    }

    /// Lets in components that import `wasi:*`, as libraries do that never call it. There is
    /// nothing behind such an import: a call of it is a trap.
    pub fn allow_unused_wasi(mut self, allow: bool) -> Self {
        self.allow_unused_wasi = allow;
        self
    }

    /// Compiles a component, checks it against the contract, and asks it what it is; then opens a
    /// sandbox with `options`, so that wrong options are found now.
    ///
    /// # Errors
    /// Returns an error if `wasm` is not a component, is over a bound, does not compile
    /// ([`CompileError`] says why), fits no pool, imports what is not let in, was written to
    /// another version of the contract, describes itself wrongly, or refuses its options: with what
    /// is wrong and what to do.
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
            // An interpreter's memory would be read out for seconds, and its sandboxes are few.
            match self.configured(&load, wasm, compiled.footprint, &codec.options) {
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

    /// The largest packet, in bytes.
    pub fn max_packet(&self) -> usize {
        self.limits.max_packet
    }

    /// What a sandbox may have of linear memory, in bytes.
    pub fn max_memory(&self) -> usize {
        self.limits.memory
    }

    /// How long a component takes to compile, whether it is in the cache or not.
    ///
    /// # Errors
    /// Returns an error if the component does not compile.
    pub fn time_to_compile(&self, wasm: &[u8]) -> Result<Duration, CompileError> {
        self.engine.time_to_compile(&self.begin(wasm), wasm)
    }

    /// What one load of a component needs to compile.
    fn begin(&self, wasm: &[u8]) -> Load<'_> {
        self.engine.load(self.codec.clone(), wasm)
    }

    /// Checks a component, which was compiled from `wasm`, against the contract.
    fn plan(&self, wasm: &[u8], compiled: &Compiled) -> Result<Plan, LoadError> {
        let Compiled { component, pool, footprint, code, .. } = compiled;
        let linker = imports::link(wasm, component, self.allow_unused_wasi)?;
        let exports = Exports::find(component.engine(), component)?;
        let pre = linker
            .instantiate_pre(component)
            .map_err(|error| Reason::new(format!("{error:#}")))
            .map_err(|error| LoadError::Unusable(format!("it cannot be linked: {error}")))?;
        let tenant = match pool {
            Pool::Standard => None,
            Pool::Large { places, .. } => Some(self.account.tenant(places)),
        };
        let code = Arc::new(Code::charge(&self.account, *code, self.limits.total_memory)?);
        let host_bytes = usize::try_from(footprint.host_bytes).unwrap_or(usize::MAX);
        let metered = self.engine.is_metered();
        let (limits, cpu) = (self.limits, Arc::clone(&self.cpu));
        let blueprint = Blueprint { pre, limits, code, host_bytes, cpu, tenant, metered };
        Ok(Plan { blueprint, exports: Arc::new(exports) })
    }

    /// The component with its options set. It needs what the bare one does: its parts and their
    /// instances are the same, and only what its memory and its globals hold at first has changed.
    /// So it is not measured again. What it holds of secrets is kept in memory alone, and no digest
    /// of them is the name of a file.
    fn configured(
        &self,
        load: &Load<'_>,
        wasm: &[u8],
        footprint: Footprint,
        options: &ResolvedOptions,
    ) -> anyhow::Result<Plan> {
        let make = || -> anyhow::Result<_> {
            let readable = Readable::new(wasm)?;
            let once = self.engine.compile_once(load, &readable.component, footprint)?;
            let once = self.plan(wasm, &once)?.uncharged();
            let (mut sandbox, opening, _) = once.sandbox()?;
            let configured = sandbox.call(&opening.configure, (options.expose().to_owned(),))?;
            configured.map_err(|reason| refused(&reason, options.secrets()))?;
            sandbox.read_out(&self.limits);
            Ok(Cow::Owned(readable.snapshot(&mut sandbox)?))
        };
        let compiled = if options.secrets().is_empty() {
            let name = [b"configured\0", options.expose().as_bytes(), b"\0", wasm].concat();
            self.engine.kept(load, &name, footprint, make)?
        } else {
            self.engine.not_kept(load, footprint, make)?
        };
        let plan = self.plan(wasm, &compiled)?;
        // That it can be made, before a client waits for it.
        plan.uncharged().sandbox()?;
        Ok(plan)
    }
}

/// What sandboxes are made from, and where to find their functions.
struct Plan {
    blueprint: Blueprint,
    exports: Arc<Exports>,
}

impl Plan {
    /// The same, whose sandboxes charge their CPU time to nobody: what a codec's loading takes is
    /// not its sessions' fault.
    fn uncharged(&self) -> Self {
        let cpu = Arc::new(CpuAccount::unlimited(self.blueprint.cpu.ticks().clone()));
        Self { blueprint: Blueprint { cpu, ..self.blueprint.clone() }, exports: Arc::clone(&self.exports) }
    }

    fn sandbox(&self) -> Result<(Sandbox, Opening, Functions), CodecError> {
        let mut sandbox = Sandbox::new(&self.blueprint)?;
        let instance = sandbox.instance;
        let functions = self.exports.functions(&instance, sandbox.store());
        let (opening, functions) = functions.map_err(|error| classify(&error, sandbox.store().data()))?;
        Ok((sandbox, opening, functions))
    }
}

/// A codec loaded from a component.
pub struct WasmCodec {
    bare: Arc<Plan>,
    /// With its options set already; none: each sandbox is configured.
    configured: Option<Arc<Plan>>,
    description: Description,
    options: ResolvedOptions,
    /// How long it took to compile; none: it was in the cache.
    compile_time: Option<Duration>,
    singly: Option<Singly>,
    /// Its sessions may make as many slow calls as they like, and each call may take [`PATIENCE`]
    /// times as long.
    is_patient: bool,
}

/// What of `batch` a codec's sessions do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Singly {
    /// `decode` is called for each packet.
    Decode,
    /// `encode` is called for each message.
    Encode,
    /// Both, as if it were not exported.
    Both,
}

impl WasmCodec {
    /// The memory that all sandboxes of its slot are charged for, in bytes: linear memory, tables,
    /// and what the host keeps for their instances. Their [code](Self::code) is not in it.
    pub fn memory(&self) -> usize {
        self.account().sandboxes()
    }

    /// The memory that the compiled code of its slot is charged for, in bytes. `total-memory`
    /// bounds it together with the memory of the sandboxes.
    pub fn code(&self) -> usize {
        self.account().code()
    }

    /// What the host keeps for the instances of each sandbox, in bytes. It is charged when a
    /// sandbox is made.
    pub fn instance_memory(&self) -> usize {
        self.bare.blueprint.host_bytes
    }

    fn account(&self) -> &CodecAccount {
        self.bare.blueprint.code.account()
    }

    /// The same compiled component with other options. Its sandboxes are charged to the same
    /// account.
    ///
    /// # Errors
    /// Returns an error if the codec refuses the options.
    pub fn with_options(&self, options: ResolvedOptions) -> Result<Self, LoadError> {
        let codec = Self { options, configured: None, ..self.again() };
        codec.try_sandbox().map_err(LoadError::not_configured)?;
        Ok(codec)
    }

    /// The same codec, whose sessions are asked one by one though it exports `batch`: for those who
    /// compare the two.
    pub fn singly(&self, singly: Singly) -> Self {
        Self { singly: Some(singly), ..self.again() }
    }

    /// The same codec, whose sessions nobody ends for slow calls, and whose calls may take
    /// five times as long: for those who ask in moments what a client asks in hours, and who tell
    /// what is slow from what has no end.
    pub fn patient(&self) -> Self {
        Self { is_patient: true, ..self.again() }
    }

    /// How long it took to compile; none where it was in the cache.
    pub fn compile_time(&self) -> Option<Duration> {
        self.compile_time
    }

    /// The same again, whose sandboxes are charged to the same account.
    fn again(&self) -> Self {
        Self {
            bare: Arc::clone(&self.bare),
            configured: self.configured.clone(),
            description: self.description.clone(),
            options: self.options.clone(),
            singly: self.singly,
            is_patient: self.is_patient,
            compile_time: self.compile_time,
        }
    }

    fn limits(&self) -> &CodecLimits {
        &self.bare.blueprint.limits
    }

    /// A new sandbox whose options are set.
    fn sandbox(&self) -> Result<(Sandbox, Opening, Functions), CodecError> {
        match &self.configured {
            Some(configured) => configured.sandbox(),
            None => self.configure(&self.bare),
        }
    }

    /// Makes a sandbox and sets its options, to see that it can be done.
    fn try_sandbox(&self) -> Result<(), CodecError> {
        self.configure(&self.bare.uncharged()).map(drop)
    }

    fn configure(&self, plan: &Plan) -> Result<(Sandbox, Opening, Functions), CodecError> {
        let (mut sandbox, opening, functions) = plan.sandbox()?;
        let configured = sandbox.call(&opening.configure, (self.options.expose().to_owned(),))?;
        configured.map_err(|reason| self.refused(&reason))?;
        Ok((sandbox, opening, functions))
    }

    /// The session that an opening call gave, from now on under the limits of one at work.
    fn session(
        &self,
        mut sandbox: Sandbox,
        mut functions: Functions,
        session: ResourceAny,
    ) -> Box<dyn CodecSession> {
        let mut limits = *self.limits();
        if self.is_patient {
            limits.slow_calls = u32::MAX;
            limits.call_cpu *= PATIENCE;
        }
        sandbox.opened(&limits);
        match self.singly {
            Some(Singly::Decode) => functions.decode_batch = None,
            Some(Singly::Encode) => functions.encode_batch = None,
            Some(Singly::Both) => (functions.decode_batch, functions.encode_batch) = (None, None),
            None => {}
        }
        let max_answer = answer_bytes(self.limits().max_packet);
        let secrets = self.options.secrets().clone();
        Box::new(WasmSession { sandbox, functions, session, max_answer, secrets })
    }

    /// What the codec said when it refused.
    fn refused(&self, reason: &str) -> CodecError {
        refused(reason, self.options.secrets())
    }

    /// A new instance in which pushes are encoded for many, without a session. The runtime makes
    /// one for each encoding, so that nothing can pass from one audience to another.
    pub fn broadcaster(&self) -> Result<Broadcaster, CodecError> {
        let (mut sandbox, opening, _) = self.sandbox()?;
        let encode = opening.encode_shared.ok_or(Violation::MissingAbility("shared encoding"))?;
        sandbox.opened(self.limits());
        let (max_packet, secrets) = (self.limits().max_packet, self.options.secrets().clone());
        Ok(Broadcaster { sandbox, encode, max_packet, secrets })
    }
}

impl Codec for WasmCodec {
    fn description(&self) -> &Description {
        &self.description
    }

    fn abilities(&self) -> Abilities {
        let abilities = self.bare.exports.abilities();
        Abilities { batch: abilities.batch && self.singly != Some(Singly::Both), ..abilities }
    }

    fn secrets(&self) -> Secrets {
        self.options.secrets().clone()
    }

    fn open(&self, peer: Peer) -> Result<Box<dyn CodecSession>, CodecError> {
        // The last tenth is for the sessions that are at work.
        let total = self.limits().total_memory;
        if self.account().total() > total / 10 * 9 {
            return Err(CodecError::Exhausted(Reason::new(format!(
                "nine tenths of {total} bytes are in use"
            ))));
        }
        self.bare.blueprint.tenant.iter().try_for_each(|tenant| tenant.admit())?;
        let (mut sandbox, opening, functions) = self.sandbox()?;
        let opened = sandbox.call(&opening.open, (peer.into(), 0))?;
        let session = opened.map_err(|reason| self.refused(&reason))?;
        Ok(self.session(sandbox, functions, session))
    }

    fn restore(&self, peer: Peer, state: &[u8], now_ms: u64) -> Result<Box<dyn CodecSession>, CodecError> {
        let (mut sandbox, opening, functions) = self.sandbox()?;
        let restore = opening.restore.ok_or(Violation::MissingAbility("restore"))?;
        let restored = sandbox.call(&restore, (peer.into(), state.to_vec(), now_ms))?;
        let session = restored.map_err(|reason| self.refused(&reason))?;
        Ok(self.session(sandbox, functions, session))
    }

    fn encode_shared(&self, class: u32, message: MessageRef<'_>) -> Result<Option<Vec<u8>>, CodecError> {
        self.broadcaster()?.encode(class, message)
    }

    fn cpu_account(&self) -> Option<&Arc<CpuAccount>> {
        Some(&self.bare.blueprint.cpu)
    }

    fn max_sessions(&self) -> Option<usize> {
        self.bare.blueprint.tenant.as_ref().map(|tenant| tenant.most())
    }

    fn sharing(&self) -> Sharing {
        let &CodecLimits { min_broadcast, broadcast_classes, .. } = self.limits();
        // An instance that must be configured costs far more than one that is as its snapshot.
        let factor = if self.configured.is_some() { 1 } else { UNCONFIGURED };
        Sharing {
            min_receivers: (min_broadcast as usize).saturating_mul(factor),
            max_classes: broadcast_classes as usize,
        }
    }
}

/// A class must have so many times the receivers where an instance of the codec cannot be made from
/// a snapshot.
const UNCONFIGURED: usize = 16;

/// An instance that encodes for many.
pub struct Broadcaster {
    sandbox: Sandbox,
    encode: EncodeShared,
    max_packet: usize,
    /// What its reasons must not repeat.
    secrets: Secrets,
}

impl Broadcaster {
    /// The packet of a push for all sessions of a class.
    pub fn encode(&mut self, class: u32, message: MessageRef<'_>) -> Result<Option<Vec<u8>>, CodecError> {
        if message.body.len() > self.max_packet {
            // No packet can hold it, and an answer of that size would be a fault.
            return Err(CodecError::Refused(Reason::new("the body is larger than the largest packet")));
        }
        let encoded = self.sandbox.call(&self.encode, (class, message.into()))?;
        encoded.map_err(|reason| refused(&reason, &self.secrets))
    }
}

/// What fuel is left to a session of a [metered](WasmEngine::metered) engine; none in any other.
pub fn fuel_left(session: &dyn CodecSession) -> Option<u64> {
    (session as &dyn Any).downcast_ref::<WasmSession>()?.sandbox.fuel_left()
}

/// Whether the server stopped while a component compiled.
fn is_stopped(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(LoadError::Compile(CompileError::Stopped)))
}

fn refused(reason: &str, secrets: &Secrets) -> CodecError {
    CodecError::Refused(Reason::new(secrets.redact(reason.as_bytes())))
}
