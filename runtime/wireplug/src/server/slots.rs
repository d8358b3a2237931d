//! Creates the slots of a server that starts: one for each codec, even if several listeners use the
//! codec.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::StartError;
use crate::audit::AuditLog;
use crate::config::{CompileConfig, ServerConfig};
#[cfg(feature = "nats")]
use crate::slot::ObjectStores;
use crate::slot::{CodecSource, Slot, SlotResources};
use crate::trust::Trust;
use wireplug_wasm::places::Places;
use wireplug_wasm::{Cache, CompileObserver, Compiler, EngineSizes, WasmEngine};

/// Sandboxes in addition to those of connections. A session that moves has two sandboxes for a
/// moment, and each thread moves one session at a time.
const SPARE_SANDBOXES: u32 = 64;

/// Sandboxes of each codec that belong to no session: one in which a version is loaded, and one for
/// shared encodings in each version in use (the current one, the previous one and a candidate).
const SANDBOXES_PER_CODEC: u32 = 4;

/// Sandboxes for sessions that move and for shadows: the number of awake sessions divided by the
/// first value, and at least the second value.
const SWAP_HEADROOM: (u32, u32) = (10, 64);

/// Codecs that a reload may add.
const LATER_CODECS: u32 = 16;

/// A slot with its source.
struct Entry {
    source: CodecSource,
    slot: Slot,
    /// Whether the codec was named for its listener, as in a configuration.
    named: bool,
}

/// The slots that were loaded so far.
pub(super) struct Slots {
    resources: Arc<SlotResources>,
    loaded: Vec<Entry>,
    /// The largest number of slots for which there are sandboxes.
    most: usize,
    /// The linear memory that each sandbox may have, in bytes.
    memory: usize,
    /// Whether the last good version of a codec may take the place of a broken file.
    pub(super) falls_back: bool,
}

impl Slots {
    /// Creates an engine for at most `codecs` slots, in which each sandbox may have `memory` bytes
    /// of linear memory. No slot is loaded yet.
    pub(super) fn new(
        config: &ServerConfig,
        compile: &CompileConfig,
        codecs: usize,
        memory: usize,
        compiler: Compiler,
        on_compiling: Option<CompileObserver>,
        routes: Vec<Arc<str>>,
    ) -> Result<Self, StartError> {
        let awake = config.awake_limit();
        let headroom = (awake / SWAP_HEADROOM.0).max(SWAP_HEADROOM.1);
        // Each kind of use has sandboxes of its own, so that no codec can take the sandboxes of
        // another codec's sessions. The server counts awake sessions, the places below count
        // shadows, and the other sandboxes are limited for each codec.
        let others = u32::try_from(codecs)
            .unwrap_or(u32::MAX)
            .saturating_add(LATER_CODECS)
            .saturating_mul(SANDBOXES_PER_CODEC);
        let sandboxes = [headroom, SPARE_SANDBOXES, others].into_iter().fold(awake, u32::saturating_add);
        let sizes = EngineSizes::new(sandboxes, memory).large_sandboxes(config.large_sandboxes);
        let mut engine = WasmEngine::with_sizes(sizes)?.bounds(compile.bounds).compiler(compiler);
        if let Some(observer) = on_compiling {
            engine = engine.observed(observer);
        }
        if let Some(directory) = &compile.cache {
            engine = engine.with_cache(Cache::open(directory)?);
        }
        // Shadows have a limit of their own, so that a session that moves always finds a sandbox.
        let shadows = Places::new(headroom as usize, "shadows", "`max-awake` under [server]");
        let resources = Arc::new(SlotResources {
            engine,
            routes,
            shadows,
            audit: Arc::default(),
            trust: Mutex::default(),
            #[cfg(feature = "nats")]
            objects: std::sync::OnceLock::new(),
        });
        let most = codecs.saturating_add(LATER_CODECS as usize);
        Ok(Self { resources, loaded: Vec::new(), most, memory, falls_back: false })
    }

    /// Returns the slot of the codec that was named so for its listener, if there is one.
    pub(super) fn named(&self, name: &str) -> Option<&Slot> {
        self.loaded.iter().find(|entry| entry.named && entry.slot.name() == name).map(|entry| &entry.slot)
    }

    /// Returns how many slots were loaded.
    pub(super) fn len(&self) -> usize {
        self.loaded.len()
    }

    /// Forgets the slots that were loaded last, but for this number of slots.
    pub(super) fn truncate(&mut self, count: usize) {
        self.loaded.truncate(count);
    }

    /// Forgets a slot, so that another one may have its name.
    pub(super) fn forget(&mut self, slot: &Slot) {
        self.loaded.retain(|entry| !entry.slot.is(slot));
    }

    /// Returns the slot of a codec, and loads the codec if it has no slot yet. If the codec was not
    /// `named` for its listener and its name is taken, the slot gets a free name.
    ///
    /// `trust` says whose codec it may be.
    pub(super) async fn of(
        &mut self,
        source: CodecSource,
        named: bool,
        trust: &Arc<Trust>,
    ) -> Result<Slot, StartError> {
        if let Some(entry) = self.loaded.iter().find(|entry| entry.source.is_same(&source)) {
            return Ok(entry.slot.clone());
        }
        if self.loaded.len() >= self.most {
            return Err(StartError::TooManyCodecs { most: self.most });
        }
        let name = source.settings.name.clone();
        if source.settings.limits.memory > self.memory {
            return Err(StartError::Memory { codec: name, most: self.memory });
        }
        let is_taken = |name: &str| self.loaded.iter().any(|entry| entry.slot.name() == name);
        if named && is_taken(&name) {
            return Err(StartError::SameName(name));
        }
        let mut names = [name.clone()].into_iter().chain((2..).map(|number| format!("{name}-{number}")));
        let free = names.find(|name| !is_taken(name)).expect("one more than there are slots");
        // The source is stored unchanged, so that `is_same` recognises it.
        let resources = Arc::clone(&self.resources);
        let renamed = resources.source(source.clone().named(&free))?;
        let fetched = renamed.fetched().await;
        // The load runs on a thread that may block for seconds, so that the start can be cancelled
        // meanwhile.
        let (trust, falls_back) = (Arc::clone(trust), self.falls_back);
        let loading = spawn_blocking(move || Slot::load(&renamed, fetched, resources, &trust, falls_back));
        let slot = loading.await.map_err(|error| StartError::Panicked(error.into()))??;
        self.loaded.push(Entry { source, slot: slot.clone(), named });
        Ok(slot)
    }

    /// Returns the slots, in the order in which listeners named them first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Slot> {
        self.loaded.iter().map(|entry| &entry.slot)
    }

    /// Returns whose codecs are loaded now.
    pub(super) fn trust(&self) -> Arc<Trust> {
        self.resources.trust()
    }

    /// Sets whose codecs are loaded from now on. Codecs that run go on.
    pub(super) fn set_trust(&self, trust: Arc<Trust>) {
        *self.resources.trust.lock().unwrap_or_else(PoisonError::into_inner) = trust;
    }

    /// Sets the object stores in which codecs may be, once.
    #[cfg(feature = "nats")]
    pub(super) fn set_objects(&self, objects: Arc<dyn ObjectStores>) {
        let _ = self.resources.objects.set(objects);
    }

    /// Returns the log in which all slots write their lines.
    pub(super) fn audit(&self) -> &Arc<AuditLog> {
        &self.resources.audit
    }
}

/// The slots of a running server, in the order in which they were added.
#[derive(Default)]
pub(crate) struct SlotList(Mutex<Vec<Listed>>);

struct Listed {
    slot: Slot,
    /// Ends the watch of the slot's file.
    watch: CancellationToken,
    /// Whether no listener uses the slot any more. It stays in the list while it has sessions.
    retired: bool,
}

impl SlotList {
    /// Returns the slots that listeners use, and behind them those that only have sessions still.
    /// One of these may have the name of another one.
    pub(crate) fn all(&self) -> Vec<Slot> {
        let mut list = self.lock();
        list.retain(|listed| !listed.retired || listed.slot.sessions() > 0);
        list.sort_by_key(|listed| listed.retired);
        list.iter().map(|listed| listed.slot.clone()).collect()
    }

    /// Adds a slot, and watches its file if the slot's settings want that.
    pub(super) fn add(&self, slot: &Slot, stop: &CancellationToken, tasks: &TaskTracker) {
        let watch = stop.child_token();
        if slot.settings().swap.watch {
            tasks.spawn(slot.clone().watch(slot.digest(), watch.clone()));
        }
        self.lock().push(Listed { slot: slot.clone(), watch, retired: false });
    }

    /// Ends the watch of a slot's file, and lists the slot only as long as it has sessions.
    pub(super) fn retire(&self, slot: &Slot) {
        for listed in self.lock().iter_mut().filter(|listed| listed.slot.is(slot)) {
            listed.watch.cancel();
            listed.retired = true;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Listed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
