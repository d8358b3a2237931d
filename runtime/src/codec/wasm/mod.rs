//! Wasm codecs: a component is compiled once, and each connection gets a sandbox of its own.
//!
//! Nothing real stands behind a guest: it has no imports. Any error from a call ends its sandbox and its
//! connection, and nothing else.

mod artifact;
mod bindings;
mod cache;
mod compiler;
mod compiling;
mod describe;
mod engine;
mod imports;
mod inspect;
mod language;
mod limits;
mod places;
mod sandbox;
mod session;
mod snapshot;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tracing::debug;
use wasmtime::component::{Component, ResourceAny};

pub use cache::Cache;
pub use compiler::{CompileError, CompileJob, CompileState, Compiler, WorkerProgram, run_worker};
pub use compiling::{CompileObserver, Compiling};
pub use engine::WasmEngine;
pub use inspect::{Import, Inspection, Needs, Said, inspect};

/// The version of the contract that components are written to.
pub const CONTRACT_VERSION: &str = bindings::VERSION;

use self::bindings::{EncodeShared, Exports, Functions, Opening};
use self::compiler::Load;
use self::describe::describe;
use self::engine::{Compiled, Outside};
use self::limits::answer_bytes;
use self::places::Places;
use self::sandbox::{Blueprint, Sandbox, classify};
use self::session::WasmSession;
use self::snapshot::Readable;
use super::{Abilities, Codec, CodecError, CodecSession, Description, MessageRef, Peer, Reason, Violation};
use crate::config::CodecLimits;

/// The Pomelo codec, built from `guest-examples/pomelo`.
pub const POMELO: &[u8] = include_bytes!("../../../codecs/pomelo.wasm");

/// Loads components as codecs: those of one slot, whose sandboxes are charged to one account.
#[derive(Clone)]
pub struct WasmLoader {
    engine: WasmEngine,
    /// Its name, for those who look at what compiles.
    codec: Option<Arc<str>>,
    limits: CodecLimits,
    /// Imports of WASI are let in, each a trap.
    allow_unused_wasi: bool,
    /// Linear memory of all sandboxes, in bytes.
    charged: Arc<AtomicUsize>,
}

impl WasmLoader {
    /// For sandboxes in `engine` with these limits.
    pub fn new(engine: &WasmEngine, limits: CodecLimits) -> Self {
        Self {
            engine: engine.clone(),
            codec: None,
            limits,
            allow_unused_wasi: false,
            charged: Arc::default(),
        }
    }

    /// Says for which codec it loads: [`CompileJob`] shows the name.
    pub fn named(mut self, codec: &str) -> Self {
        self.codec = Some(codec.into());
        self
    }

    /// Lets in components that import `wasi:*`, as libraries do that never call it. There is nothing behind such an
    /// import: a call of it is a trap.
    pub fn allow_unused_wasi(mut self, allow: bool) -> Self {
        self.allow_unused_wasi = allow;
        self
    }

    /// Compiles a component, checks it against the contract, and asks it what it is; then opens a sandbox
    /// with `options`, a JSON object, so that wrong options are found now.
    ///
    /// # Errors
    /// Where `wasm` is not a component, does not compile ([`CompileError`] says why), imports what is not let in, was written to another version of the contract,
    /// describes itself wrongly, or refuses its options: with what is wrong and what to do.
    pub fn load(&self, wasm: &[u8], options: String) -> anyhow::Result<WasmCodec> {
        let load = self.begin(wasm);
        let Compiled { component, outside, took } = self.engine.compile(&load, wasm)?;
        let is_pooled = outside.is_none();
        let bare = self.plan(wasm, &component, outside)?;
        let description = describe(&bare).context("it does not describe itself")?;
        let mut codec = WasmCodec {
            bare: Arc::new(bare),
            configured: None,
            description,
            options,
            compile_time: took,
            shared: Mutex::default(),
            singly: None,
            is_patient: false,
        };
        codec.sandbox().map_err(not_configured)?;
        if is_pooled {
            // An interpreter's memory would be read out for seconds, and its sandboxes are few.
            match self.configured(&load, wasm, &codec.options) {
                Ok(configured) => codec.configured = Some(Arc::new(configured)),
                Err(error) if matches!(error.downcast_ref(), Some(CompileError::Stopped)) => {
                    return Err(error);
                }
                Err(error) => {
                    let (codec, error) = (&codec.description.name, format!("{error:#}"));
                    debug!(codec, error, "each of its sandboxes is configured");
                }
            }
        }
        Ok(codec)
    }

    /// The largest packet, in bytes.
    pub(crate) fn max_packet(&self) -> usize {
        self.limits.max_packet
    }

    /// What a sandbox may have of linear memory, in bytes.
    pub(crate) fn max_memory(&self) -> usize {
        self.limits.memory
    }

    /// How long a component takes to compile, whether it is in the cache or not.
    pub(crate) fn time_to_compile(&self, wasm: &[u8]) -> anyhow::Result<Duration> {
        self.engine.time_to_compile(&self.begin(wasm), wasm)
    }

    /// What one load of a component needs to compile.
    fn begin(&self, wasm: &[u8]) -> Load<'_> {
        self.engine.load(self.codec.clone(), wasm)
    }

    /// Checks a component, which was compiled from `wasm`, against the contract.
    fn plan(&self, wasm: &[u8], component: &Component, outside: Option<Outside>) -> anyhow::Result<Plan> {
        let linker = imports::link(wasm, component, self.allow_unused_wasi)?;
        let exports = Exports::find(component.engine(), component)?;
        let pre = linker.instantiate_pre(component).map_err(|error| anyhow::anyhow!("{error:#}"))?;
        let places = outside.map(|outside| outside.places);
        let (limits, charged) = (self.limits, Arc::clone(&self.charged));
        let metered = self.engine.is_metered();
        Ok(Plan { blueprint: Blueprint { pre, limits, charged, places, metered }, exports })
    }

    /// The component with its options set.
    fn configured(&self, load: &Load<'_>, wasm: &[u8], options: &str) -> anyhow::Result<Plan> {
        let name = [b"configured\0", options.as_bytes(), b"\0", wasm].concat();
        let compiled = self.engine.kept(load, &name, || {
            let readable = Readable::new(wasm)?;
            let once = self.plan(wasm, &self.engine.compile_once(load, &readable.component)?, None)?;
            let (mut sandbox, opening, _) = once.sandbox()?;
            sandbox.call(&opening.configure, (options.to_owned(),))?.map_err(refused)?;
            sandbox.read_out(&self.limits);
            Ok(Cow::Owned(readable.snapshot(&mut sandbox)?))
        })?;
        let plan = self.plan(wasm, &compiled.component, compiled.outside)?;
        // That it can be made, before a client waits for it.
        plan.sandbox()?;
        Ok(plan)
    }
}

/// What sandboxes are made from, and where to find their functions.
struct Plan {
    blueprint: Blueprint,
    exports: Exports,
}

impl Plan {
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
    options: String,
    /// How long it took to compile; none: it was in the cache.
    compile_time: Option<Duration>,
    /// Where shared encodings run; made at the first, and again after a fault.
    shared: Mutex<Option<Shared>>,
    singly: Option<Singly>,
    /// Its sessions may make as many slow calls as they like.
    is_patient: bool,
}

/// What of `batch` a codec's sessions do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::codec) enum Singly {
    /// `decode` is called for each packet.
    Decode,
    /// `encode` is called for each message.
    Encode,
    /// Both, as if it were not exported.
    Both,
}

/// A sandbox of the runtime's own, without a session.
struct Shared {
    sandbox: Sandbox,
    encode: EncodeShared,
}

impl WasmCodec {
    /// The linear memory of all sandboxes of its slot, in bytes.
    pub fn memory(&self) -> usize {
        self.bare.blueprint.charged.load(Ordering::Relaxed)
    }

    /// The same compiled component with other options. Its sandboxes are charged to the same account.
    ///
    /// # Errors
    /// Where it refuses them.
    pub fn with_options(&self, options: String) -> anyhow::Result<Self> {
        let codec = Self { options, configured: None, ..self.again() };
        codec.sandbox().map_err(not_configured)?;
        Ok(codec)
    }

    /// The same codec, whose sessions are asked one by one though it exports `batch`: for those who compare the two.
    pub(super) fn singly(&self, singly: Singly) -> Self {
        Self { singly: Some(singly), ..self.again() }
    }

    /// The same codec, whose sessions nobody ends for slow calls: for those who ask in moments what a client asks in hours.
    pub(super) fn patient(&self) -> Self {
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
            shared: Mutex::default(),
        }
    }

    fn limits(&self) -> &CodecLimits {
        &self.bare.blueprint.limits
    }

    /// A new sandbox whose options are set.
    fn sandbox(&self) -> Result<(Sandbox, Opening, Functions), CodecError> {
        if let Some(configured) = &self.configured {
            return configured.sandbox();
        }
        let (mut sandbox, opening, functions) = self.bare.sandbox()?;
        sandbox.call(&opening.configure, (self.options.clone(),))?.map_err(refused)?;
        Ok((sandbox, opening, functions))
    }

    /// The session that an opening call gave, from now on under the limits of one at work.
    fn session(
        &self,
        mut sandbox: Sandbox,
        mut functions: Functions,
        session: ResourceAny,
    ) -> Box<dyn CodecSession> {
        let slow_calls = if self.is_patient { u32::MAX } else { self.limits().slow_calls };
        sandbox.opened(&CodecLimits { slow_calls, ..*self.limits() });
        match self.singly {
            Some(Singly::Decode) => functions.decode_batch = None,
            Some(Singly::Encode) => functions.encode_batch = None,
            Some(Singly::Both) => (functions.decode_batch, functions.encode_batch) = (None, None),
            None => {}
        }
        let max_answer = answer_bytes(self.limits().max_packet);
        Box::new(WasmSession { sandbox, functions, session, max_answer })
    }

    fn shared(&self) -> Result<Shared, CodecError> {
        let (mut sandbox, opening, _) = self.sandbox()?;
        sandbox.opened(self.limits());
        let encode = opening.encode_shared.ok_or(Violation::MissingAbility("shared encoding"))?;
        Ok(Shared { sandbox, encode })
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

    fn open(&self, peer: Peer) -> Result<Box<dyn CodecSession>, CodecError> {
        // The last tenth is for the sessions that are at work.
        let total = self.limits().total_memory;
        if self.memory() > total / 10 * 9 {
            return Err(CodecError::Exhausted(Reason::new(format!(
                "nine tenths of {total} bytes are in use"
            ))));
        }
        self.bare.blueprint.places.iter().try_for_each(Places::admit)?;
        let (mut sandbox, opening, functions) = self.sandbox()?;
        let session = sandbox.call(&opening.open, (peer.into(), 0))?.map_err(refused)?;
        Ok(self.session(sandbox, functions, session))
    }

    fn restore(&self, peer: Peer, state: &[u8], now_ms: u64) -> Result<Box<dyn CodecSession>, CodecError> {
        let (mut sandbox, opening, functions) = self.sandbox()?;
        let restore = opening.restore.ok_or(Violation::MissingAbility("restore"))?;
        let session = sandbox.call(&restore, (peer.into(), state.to_vec(), now_ms))?.map_err(refused)?;
        Ok(self.session(sandbox, functions, session))
    }

    fn encode_shared(&self, class: u32, message: MessageRef<'_>) -> Result<Option<Vec<u8>>, CodecError> {
        if message.body.len() > self.limits().max_packet {
            // No packet can hold it, and an answer of that size would be a fault.
            return Err(CodecError::Refused(Reason::new("the body is larger than the largest packet")));
        }
        let mut place = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken out for the call: after an error it is dropped, and the next call makes another.
        let mut shared = match place.take() {
            Some(shared) => shared,
            None => self.shared()?,
        };
        let encoded = shared.sandbox.call(&shared.encode, (class, message.into()))?;
        // It knows nothing of a session, so that a new one does as well.
        if !shared.sandbox.is_nearly_full() {
            *place = Some(shared);
        }
        encoded.map_err(refused)
    }
}

/// What fuel is left to a session of a [metered](WasmEngine::metered) engine; none in any other.
pub(crate) fn fuel_left(session: &dyn CodecSession) -> Option<u64> {
    (session as &dyn Any).downcast_ref::<WasmSession>()?.sandbox.fuel_left()
}

/// Why no sandbox could be made of a component with its options.
fn not_configured(error: CodecError) -> anyhow::Error {
    match error {
        CodecError::Refused(reason) => anyhow!("it refuses its options: {reason}"),
        error => anyhow!(error).context("it cannot take its options"),
    }
}

fn refused(reason: String) -> CodecError {
    CodecError::Refused(Reason::new(reason))
}
