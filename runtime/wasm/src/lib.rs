//! Wasm codecs: a component is compiled once, and each connection has its own sandbox.
//!
//! A guest has no access to the system: it has no imports, or only imports that trap when they are
//! called. An error from a call ends the guest's sandbox and its connection, and affects nothing
//! else.

mod account;
mod artifact;
mod bounds;
mod broadcaster;
mod cache;
mod compiler;
mod compiling;
mod component;
pub mod config;
mod describe;
mod direct;
mod engine;
mod error;
mod features;
mod guest;
mod imports;
mod input;
mod inspect;
mod language;
mod limits;
mod loader;
pub mod places;
mod sandbox;
mod session;
pub mod signature;
mod singly;
mod snapshot;
#[cfg(test)]
mod tests;
mod trap;
mod types;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

pub use broadcaster::Broadcaster;
pub use cache::Cache;
pub use compiler::{CompileError, CompileJob, CompileState, Compiler, WorkerProgram, run_worker};
pub use compiling::{CompileObserver, Compiling};
pub use engine::{EngineSizes, WasmEngine};
pub use error::{CacheError, EngineError, LoadError};
pub use inspect::{Import, Inspection, Needs, Said, inspect};
pub use loader::WasmLoader;
pub use singly::Singly;

/// The version of the contract that components are written to.
pub const CONTRACT_VERSION: &str = component::VERSION;

use self::account::CodecAccount;
use self::limits::answer_bytes;
use self::loader::Plan;
use self::sandbox::Sandbox;
use self::session::WasmSession;
use wireplug_core::codec::CodecLimits;
use wireplug_core::codec::cpu::CpuAccount;
use wireplug_core::codec::{
    Abilities, Codec, CodecError, CodecSession, Description, Instant, MessageRef, Peer, Reason,
    ResolvedOptions, Secrets, Sharing, Violation,
};
use wireplug_core::framing::Packets;

/// The factor by which a call of a [patient](WasmCodec::patient) codec may take longer. Processors
/// in use differ by less than this factor in speed. A codec that takes even longer is too slow by
/// design.
const PATIENCE: u32 = 5;

/// A codec loaded from a component.
pub struct WasmCodec {
    bare: Arc<Plan>,
    /// The plan with the options already set. If `None`, each sandbox is configured when it is
    /// made.
    configured: Option<Arc<Plan>>,
    description: Description,
    options: ResolvedOptions,
    /// How long the compilation took, or `None` if the component was in the cache.
    compile_time: Option<Duration>,
    singly: Option<Singly>,
    /// Whether its sessions may make any number of slow calls, and each call may take [`PATIENCE`]
    /// times as long.
    is_patient: bool,
}

impl WasmCodec {
    /// Returns the memory that is charged for all sandboxes of its slot, in bytes: linear memory,
    /// tables, and the host's memory for their instances; and the saved states of sessions that
    /// sleep. Their [code](Self::code) is not included.
    pub fn memory(&self) -> usize {
        self.account().sandboxes()
    }

    /// Returns the memory that is charged for the compiled code of its slot, in bytes.
    /// `total-memory` bounds it together with the memory of the sandboxes.
    pub fn code(&self) -> usize {
        self.account().code()
    }

    /// Returns the host's memory for the instances of each sandbox, in bytes. It is charged when a
    /// sandbox is made.
    pub fn instance_memory(&self) -> usize {
        self.bare.blueprint.host_bytes
    }

    fn account(&self) -> &CodecAccount {
        self.bare.blueprint.code.account()
    }

    /// Returns the same compiled component with other options. Its sandboxes are charged to the
    /// same account.
    ///
    /// # Errors
    /// Returns an error if the codec refuses the options.
    pub fn with_options(&self, options: ResolvedOptions) -> Result<Self, LoadError> {
        let codec = Self { options, configured: None, ..self.again() };
        codec.try_sandbox().map_err(LoadError::not_configured)?;
        Ok(codec)
    }

    /// Returns the same codec, but its sessions get packets or messages one by one although it
    /// exports `batch`. It is for comparing the two.
    pub fn singly(&self, singly: Singly) -> Self {
        Self { singly: Some(singly), ..self.again() }
    }

    /// Returns the same codec, but its sessions do not end because of slow calls, and each call may
    /// take five times as long. It is for tools that make more calls in a moment than a client
    /// makes in hours, and that must tell a slow call from one that never ends.
    pub fn patient(&self) -> Self {
        Self { is_patient: true, ..self.again() }
    }

    /// Returns the same codec, but its sandboxes are called through the component API, which is the
    /// reference, even if they could be called directly. It is for comparing the two.
    pub fn component_calls(&self) -> Self {
        Self { configured: None, ..self.again() }
    }

    /// Returns how long the compilation took, or `None` if the component was in the cache.
    pub fn compile_time(&self) -> Option<Duration> {
        self.compile_time
    }

    /// Returns a copy whose sandboxes are charged to the same account.
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

    /// Makes a sandbox with its options set.
    fn sandbox(&self) -> Result<Sandbox, CodecError> {
        match &self.configured {
            Some(configured) => configured.sandbox(self.options.secrets()),
            None => self.configure(&self.bare),
        }
    }

    /// Makes a sandbox and sets its options, to check that this works.
    fn try_sandbox(&self) -> Result<(), CodecError> {
        self.configure(&self.bare.uncharged()).map(drop)
    }

    fn configure(&self, plan: &Plan) -> Result<Sandbox, CodecError> {
        let mut sandbox = plan.sandbox(self.options.secrets())?;
        sandbox.configure(&self.options)?;
        Ok(sandbox)
    }

    /// Creates the session that an opening call has opened. From now on, the limits of an open
    /// session apply.
    fn session(&self, mut sandbox: Sandbox) -> Box<dyn CodecSession> {
        let mut limits = *self.limits();
        if self.is_patient {
            limits.slow_calls = u32::MAX;
            limits.call_cpu *= PATIENCE;
        }
        sandbox.opened(&limits);
        let abilities = self.bare.abilities;
        let singly = |one| matches!(self.singly, Some(singly) if singly == one || singly == Singly::Both);
        Box::new(WasmSession {
            sandbox,
            abilities,
            decodes_batches: abilities.batch && !singly(Singly::Decode),
            encodes_batches: abilities.batch && !singly(Singly::Encode),
            max_answer: answer_bytes(self.limits().max_packet),
        })
    }

    /// Makes a new instance that encodes pushes for many sessions, without a session of its own.
    /// The runtime makes one for each encoding, so that no state passes from one audience to
    /// another.
    pub fn broadcaster(&self) -> Result<Broadcaster, CodecError> {
        if !self.bare.abilities.broadcast {
            return Err(Violation::MissingAbility("shared encoding").into());
        }
        let mut sandbox = self.sandbox()?;
        sandbox.opened(self.limits());
        Ok(Broadcaster { sandbox, max_packet: self.limits().max_packet })
    }
}

impl Codec for WasmCodec {
    fn description(&self) -> &Description {
        &self.description
    }

    fn abilities(&self) -> Abilities {
        let abilities = self.bare.abilities;
        Abilities { batch: abilities.batch && self.singly != Some(Singly::Both), ..abilities }
    }

    fn secrets(&self) -> Secrets {
        self.options.secrets().clone()
    }

    fn open(&self, peer: Peer, now: Instant) -> Result<Box<dyn CodecSession>, CodecError> {
        // The last tenth is reserved for the existing sessions.
        let total = self.limits().total_memory;
        if self.account().total() > total / 10 * 9 {
            return Err(CodecError::Exhausted(Reason::new(format!(
                "nine tenths of {total} bytes are in use"
            ))));
        }
        self.bare.blueprint.tenant.iter().try_for_each(|tenant| tenant.admit())?;
        let mut sandbox = self.sandbox()?;
        let opened = sandbox.call(|guest, store| guest.open(store, peer, now))?;
        opened.map_err(|reason| sandbox.refused(&reason))?;
        Ok(self.session(sandbox))
    }

    fn restore(&self, peer: Peer, state: &[u8], now: Instant) -> Result<Box<dyn CodecSession>, CodecError> {
        if !self.bare.abilities.handoff {
            return Err(Violation::MissingAbility("restore").into());
        }
        let mut sandbox = self.sandbox()?;
        let restored = sandbox.call(|guest, store| guest.restore(store, peer, state, now))?;
        restored.map_err(|reason| sandbox.refused(&reason))?;
        Ok(self.session(sandbox))
    }

    fn charge_state(&self, bytes: usize) {
        self.account().charge_state(bytes);
    }

    fn release_state(&self, bytes: usize) {
        self.account().give_back(bytes);
    }

    fn encode_shared(&self, class: u32, message: MessageRef<'_>) -> Result<Packets, CodecError> {
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
        // An instance that must be configured costs far more than an instance from a snapshot.
        let factor = if self.configured.is_some() { 1 } else { UNCONFIGURED };
        Sharing {
            min_receivers: (min_broadcast as usize).saturating_mul(factor),
            max_classes: broadcast_classes as usize,
        }
    }
}

/// The factor for the smallest number of receivers of a class if instances of the codec cannot be
/// made from a snapshot.
const UNCONFIGURED: usize = 16;

/// Returns the fuel that is left to a session of a [metered](WasmEngine::metered) engine, or `None`
/// for any other session.
pub fn fuel_left(session: &dyn CodecSession) -> Option<u64> {
    (session as &dyn Any).downcast_ref::<WasmSession>()?.sandbox.fuel_left()
}
