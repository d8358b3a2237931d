//! A codec's life: slots, their generations, and how one generation replaces another.
//!
//! A [`Slot`] has a name and holds generations. A generation is one loaded version. New sessions
//! open on the current generation. A swap makes another generation current, and live sessions move
//! to it between two calls of their codec
//! ([`LiveSessions::Handoff`](crate::config::LiveSessions::Handoff)), stay until they end, or are
//! closed. A candidate can be tried first: in the shadow of live sessions, or as a canary with a
//! share of the new sessions. A generation that fails too often is rolled back.
//!
//! | file | its job |
//! |---|---|
//! | `error` | why a codec was not loaded, and why a slot was not changed |
//! | `source` | where a codec comes from, and the settings of its slot |
//! | `remote` | components in the network, and whether they can be fetched |
//! | `object` | components in object stores of NATS |
//! | `load` | from a file to a codec that is ready, or to an error |
//! | `admit` | from a loaded codec to a generation of the slot |
//! | `generation` | one loaded version: a codec that counts |
//! | `health` | its recent faults, and its circuit breaker |
//! | `addresses` | its faults by client address, and which addresses are refused |
//! | `policy` | what follows when a generation fails too often |
//! | `rolled_out` | what a rollout over all nodes needs of a slot |
//! | `audited` | the lines of the audit log |
//! | `assignments` | which generation each session is on, and where it is to go |
//! | `lease` | a session's lease on a generation |
//! | `sleeping` | the sleeping sessions of a generation |
//! | `changes` | which change comes before which |
//! | `swap` | the changes of a slot that people and programs request |
//! | `status` | the state of a slot, as people and programs see it |
//! | `watch` | a swap when the file changes |
//! | `poll` | a swap when the component in the network changes |
//! | `wire_format` | what a live client would notice of another codec |

mod addresses;
mod admit;
mod assignments;
mod audited;
mod changes;
mod error;
mod generation;
mod health;
mod lease;
mod load;
#[cfg(feature = "nats")]
mod object;
mod policy;
mod poll;
mod remote;
mod rolled_out;
mod sleeping;
mod source;
mod status;
mod swap;
mod sync;
mod watch;
mod wire_format;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tracing::{error, warn};

pub(crate) use self::admit::Replacement;
pub(crate) use self::assignments::{Ack, Directive};
pub use self::error::{SourceError, SourceFault, SwapError};
pub(crate) use self::generation::{Generation, Step};
pub(crate) use self::lease::Lease;
#[cfg(any(feature = "nats", feature = "oci"))]
pub(crate) use self::load::MAX_COMPONENT;
#[cfg(feature = "nats")]
pub(crate) use self::object::{BadObjectReference, ObjectReference, ObjectStores};
pub use self::remote::RemoteStatus;
#[cfg(any(feature = "nats", feature = "oci"))]
pub(crate) use self::remote::{Fetched, Remote};
pub(crate) use self::rolled_out::{Adopted, Counts, SlotNow};
pub use self::sleeping::SleepStatus;
pub(crate) use self::sleeping::{Asleep, SleepCause, WakeCause};
pub use self::source::CodecSource;
pub(crate) use self::source::Settings;
pub use self::status::{GenerationStatus, Role, SlotStatus};
pub use self::swap::{SwapReport, Trial};
pub(crate) use self::wire_format::WireFormat;

use self::addresses::AddressFaults;
use self::assignments::Assignments;
use self::changes::Changes;
use self::load::{LoadOptions, Loaded};
use self::remote::RemoteState;
use self::sync::lock;
use crate::audit::AuditLog;
use crate::codec::shadow::Comparison;
use crate::codec::{Carrier, Codec, CpuAccount, Digest, Options};
use crate::trust::Trust;
use wireplug_base::Chain;
use wireplug_connectors::SocketKinds;
use wireplug_wasm::places::{Places, Tenant};
use wireplug_wasm::{WasmEngine, WasmLoader};

/// A codec's name and its generations. Cheap to clone.
#[derive(Clone)]
pub struct Slot(Arc<SlotState>);

/// The resources that all slots of one server share.
pub(crate) struct SlotResources {
    pub(crate) engine: WasmEngine,
    /// The application's routes.
    pub(crate) routes: Vec<Arc<str>>,
    /// Places for the sandboxes of shadows.
    pub(crate) shadows: Places,
    /// The log of the changes.
    pub(crate) audit: Arc<AuditLog>,
    /// Whose codecs are loaded.
    pub(crate) trust: Mutex<Arc<Trust>>,
    /// The object stores of the server's NATS. Not set if the server has no NATS.
    #[cfg(feature = "nats")]
    pub(crate) objects: std::sync::OnceLock<Arc<dyn ObjectStores>>,
}

impl SlotResources {
    /// Returns whose codecs are loaded now.
    pub(crate) fn trust(&self) -> Arc<Trust> {
        Arc::clone(&lock(&self.trust))
    }

    /// Returns a source for a slot of this server: if its component is in an object store, it is
    /// that of the server's NATS.
    ///
    /// # Errors
    /// Returns an error if the server has no NATS, and the source needs one.
    pub(crate) fn source(&self, source: CodecSource) -> Result<CodecSource, SourceError> {
        #[cfg(feature = "nats")]
        let source = source.in_stores(self.objects.get().map(|objects| &**objects))?;
        Ok(source)
    }
}

pub(crate) struct SlotState {
    settings: Settings,
    resources: Arc<SlotResources>,
    loader: WasmLoader,
    assignments: Assignments<Generation>,
    /// The next generation's number.
    next: AtomicU64,
    /// The URL of each listener, the kinds of its sockets, and whether their messages are
    /// datagrams. Each generation must fit all of them.
    listeners: Mutex<Vec<(String, SocketKinds, bool)>>,
    /// The slot's share of the places for shadows.
    shadows: Arc<Tenant>,
    /// How the results of the candidate in the shadow compare.
    comparison: Mutex<Option<Arc<Comparison>>>,
    /// The slot's own source, which a reload reads, and whose pin holds for all sources. A source
    /// that is swapped in does not replace it.
    own: Mutex<CodecSource>,
    /// What is known about the source, if it is in the network.
    remote: Mutex<RemoteState>,
    /// Components that were rolled back, with their options.
    rejected: Mutex<Vec<(Digest, LoadOptions)>>,
    /// The faults of the current generation by client address.
    addresses: AddressFaults,
    /// Notified when a session has acknowledged a directive, or ended.
    acked: Notify,
    /// Held while sessions are driven to where they belong.
    driving: tokio::sync::Mutex<()>,
    /// Held while the last good version is kept on disk.
    keeping: Mutex<()>,
    /// The order of the changes of roles. No load delays a change.
    changes: Changes,
    /// Kept, since a fault may be found on a thread outside the tokio runtime.
    runtime: Handle,
}

impl Slot {
    /// Loads a source as the first generation. This compiles the component, so it must be called on
    /// a thread that may block for seconds.
    ///
    /// `fetched` is the source after its component was [fetched](CodecSource::fetched), or why it
    /// was not. `trust` says whose codecs are loaded.
    ///
    /// With `falls_back`, keeps a component from a file or the network. If the component is refused
    /// or cannot be fetched, loads the last one that was kept, and logs an error.
    ///
    /// # Errors
    /// Returns an error if the codec is refused, with what is wrong and what to do.
    pub(crate) fn load(
        source: &CodecSource,
        fetched: Result<CodecSource, SourceError>,
        resources: Arc<SlotResources>,
        trust: &Trust,
        falls_back: bool,
    ) -> Result<Self, SourceError> {
        let settings = source.settings.clone();
        let loader = settings.loader(&resources.engine);
        let options = LoadOptions::resolve(source, &resources.routes)?;
        let load = |source: &CodecSource| {
            load::read(source)?.load(&loader, options.clone(), settings.pin, trust, &settings.overrides)
        };
        let remote = RemoteState::first(&fetched);
        let mut loaded = match fetched.and_then(|fetched| load(&fetched)) {
            Ok(loaded) => loaded,
            Err(refused) => {
                let kept = source.last_good(&resources.engine).filter(|_| falls_back);
                let loaded = match kept.map(|kept| load(&kept)) {
                    Some(Ok(loaded)) => loaded,
                    // The reason is that of the source.
                    Some(Err(too)) => {
                        let error = Chain::of(&too).to_string();
                        warn!(slot = settings.name, error, "the last good version is refused too");
                        return Err(refused);
                    }
                    None => return Err(refused),
                };
                let error = Chain::of(&refused).to_string();
                let sha256 = loaded.component.map(|component| component.digest.to_string());
                match source.remote() {
                    None => error!(
                        slot = settings.name,
                        sha256,
                        error,
                        "the codec's file is refused, and THE LAST GOOD VERSION SERVES: mend the file"
                    ),
                    Some(_) => error!(
                        slot = settings.name,
                        sha256,
                        error,
                        "the codec cannot be had, and THE LAST GOOD VERSION SERVES from the cache"
                    ),
                }
                loaded
            }
        };
        if let (Some(file), Some(name)) = (loaded.file.take(), source.name_of_last_good())
            && falls_back
        {
            resources.engine.set_last_good(&name, &file);
        }
        Ok(Self(Arc::new_cyclic(|slot| {
            let first = Generation::new(1, loaded, settings.faults, slot.clone());
            SlotState {
                own: Mutex::new(source.clone()),
                settings,
                shadows: Arc::new(resources.shadows.join()),
                resources,
                loader,
                assignments: Assignments::new(1, Arc::new(first)),
                next: AtomicU64::new(2),
                listeners: Mutex::default(),
                comparison: Mutex::default(),
                remote: Mutex::new(remote),
                rejected: Mutex::default(),
                addresses: AddressFaults::default(),
                acked: Notify::new(),
                driving: tokio::sync::Mutex::default(),
                keeping: Mutex::default(),
                changes: Changes::default(),
                runtime: Handle::current(),
            }
        })))
    }

    /// Returns whether this is the same slot, and not only one of the same name.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Returns the slot's name.
    pub fn name(&self) -> &str {
        &self.0.settings.name
    }

    /// Returns the options of the current generation as they were given, without the application's
    /// routes. Secrets are references, which are read again wherever the options are used.
    pub fn options(&self) -> Options {
        self.current().options.given.clone()
    }

    /// Returns the digest of the current generation's component, or `None` if it is native.
    pub(crate) fn digest(&self) -> Option<Digest> {
        self.current().component.map(|component| component.digest)
    }

    /// Warns if the current generation would not be loaded any more.
    pub(crate) fn warn_if_untrusted(&self, trust: &Trust) {
        trust.warn_of_running(self.name(), &self.current().signers);
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Returns the account of CPU time. All generations share one account, unless an embedder
    /// loaded the current one itself.
    pub(crate) fn cpu(&self) -> Arc<CpuAccount> {
        Arc::clone(self.current().cpu_account().unwrap_or(self.0.loader.cpu()))
    }

    /// Returns all generations that are held.
    #[cfg(feature = "metrics")]
    pub(crate) fn generations(&self) -> Vec<Arc<Generation>> {
        self.0.assignments.list().into_iter().map(|listed| listed.generation).collect()
    }

    /// Returns the memory that is charged for sandboxes with saved states, and for code, in bytes.
    #[cfg(feature = "metrics")]
    pub(crate) fn memory(&self) -> [usize; 2] {
        [self.0.loader.memory(), self.0.loader.code()]
    }

    /// Returns the generation on which new sessions open.
    pub(crate) fn current(&self) -> Arc<Generation> {
        self.0.assignments.current()
    }

    /// Returns how many sessions are on any generation.
    pub(crate) fn sessions(&self) -> usize {
        self.0.assignments.list().iter().map(|listed| listed.sessions).sum()
    }

    /// Returns whether idle sessions of the current codec sleep.
    pub(crate) fn sleeps(&self) -> bool {
        let current = self.current();
        current.sleep_after(&self.0.settings.limits).is_some()
    }

    /// Returns whether the current codec can let TLS begin in the middle of a stream.
    pub(crate) fn can_start_tls(&self) -> bool {
        self.current().abilities().tls_upgrade
    }

    /// Checks whether the current generation fits a listener.
    ///
    /// # Errors
    /// Returns an error if the listener's sockets cannot carry its packets.
    pub(crate) fn check_fit(&self, url: &str, kinds: SocketKinds, datagrams: bool) -> Result<(), String> {
        check_fit(url, kinds, datagrams, &*self.current())
    }

    /// Adds a listener if the current generation fits it. Later generations must fit it too.
    pub(crate) fn add_listener(
        &self,
        url: String,
        kinds: SocketKinds,
        datagrams: bool,
    ) -> Result<(), String> {
        check_fit(&url, kinds, datagrams, &*self.current())?;
        lock(&self.0.listeners).push((url, kinds, datagrams));
        Ok(())
    }

    /// Removes a listener, which later generations need not fit.
    pub(crate) fn remove_listener(&self, url: &str) {
        let mut listeners = lock(&self.0.listeners);
        if let Some(at) = listeners.iter().position(|(other, _, _)| other == url) {
            listeners.remove(at);
        }
    }
}

impl SlotState {
    /// Makes a generation with the next number. It has no role yet.
    fn generation(self: &Arc<Self>, loaded: Loaded) -> Arc<Generation> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Arc::new(Generation::new(number, loaded, self.settings.faults, Arc::downgrade(self)))
    }
}

/// Checks whether a listener's sockets can carry a codec's packets.
fn check_fit(url: &str, kinds: SocketKinds, datagrams: bool, codec: &dyn Codec) -> Result<(), String> {
    let name = &codec.description().name;
    if kinds.stream && codec.layout(Carrier::Bytes).is_none() {
        return Err(format!(
            "{url}: the codec {name} has no framing for streams: listen on ws:// instead, or say in its description how \
             packets are framed"
        ));
    }
    if kinds.messages && codec.layout(Carrier::Messages).is_none() {
        return Err(format!("{url}: the codec {name} refuses message transports: listen on tcp:// instead"));
    }
    if datagrams && codec.layout(Carrier::Datagrams).is_none() {
        return Err(format!(
            "{url}: packets of the codec {name} run across messages, and a datagram may be lost: listen on tcp:// instead"
        ));
    }
    Ok(())
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("name", &self.name()).finish_non_exhaustive()
    }
}
