//! Which load compiles next: a few at once, some wait, and more are refused.
//!
//! Loads start in the order in which they came, with one exception: if there are two or more
//! places, one codec never takes all of them. So a component that compiles for minutes delays only
//! its own codec.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::CompileError;
use crate::config::CompileConfig;
use wireplug_core::codec::Digest;

/// A load that compiles or waits to compile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct CompileJob {
    /// The name of the codec, or `None` if it is not known.
    pub codec: Option<String>,
    /// The SHA-256 of the component.
    pub sha256: Digest,
    /// The size of the component, in bytes.
    pub size: usize,
    /// Whether the load waits or compiles.
    pub state: CompileState,
    /// When the load entered this state, in seconds since 1970.
    pub since: u64,
    /// How long the load has been in this state, in milliseconds.
    pub for_ms: u64,
}

/// The state of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CompileState {
    /// The load waits for its turn.
    Waiting,
    /// The load compiles.
    Running,
}

/// The loads of one compiler.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<QueueState>,
    /// Notified when a load has started or left, or the queue was stopped.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct QueueState {
    next_id: u64,
    /// The loads, in the order in which they came.
    entries: Vec<Entry>,
    stopped: bool,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    codec: Option<Arc<str>>,
    component: Digest,
    size: usize,
    state: CompileState,
    since: (SystemTime, Instant),
}

/// The place of a load that may compile. Dropping it frees the place.
#[derive(Debug)]
pub(super) struct Place {
    queue: Arc<Queue>,
    id: u64,
}

impl Queue {
    /// Waits until a load may compile.
    ///
    /// # Errors
    /// Returns an error if too many loads wait already, or the queue was stopped.
    pub(super) fn enter(
        self: &Arc<Self>,
        limits: &CompileConfig,
        codec: Option<Arc<str>>,
        component: Digest,
        size: usize,
    ) -> Result<Place, CompileError> {
        let (jobs, max_waiting) = (limits.jobs as usize, limits.waiting as usize);
        let mut state = self.lock();
        let id = state.next_id;
        state.next_id += 1;
        let waiting = state.entries.iter().filter(|entry| entry.is_waiting()).count();
        let since = (SystemTime::now(), Instant::now());
        state.entries.push(Entry { id, codec, component, size, state: CompileState::Waiting, since });
        // From here on, dropping the place removes the entry, whatever the outcome is.
        let place = Place { queue: Arc::clone(self), id };
        let mut refused = None;
        loop {
            if state.stopped {
                refused = Some(CompileError::Stopped);
            } else if state.next(jobs) == Some(id) {
                state.start(id);
                // The next load may have a place too.
                self.changed.notify_all();
            } else if waiting >= max_waiting {
                refused = Some(CompileError::QueueFull(waiting));
            } else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            // Dropping the place takes the lock.
            drop(state);
            return match refused {
                Some(error) => Err(error),
                None => Ok(place),
            };
        }
    }

    pub(super) fn jobs(&self) -> Vec<CompileJob> {
        self.lock().entries.iter().map(CompileJob::from).collect()
    }

    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueState {
    /// Returns the id of the load that may start now, if there is one.
    fn next(&self, jobs: usize) -> Option<u64> {
        let running = || self.entries.iter().filter(|entry| !entry.is_waiting());
        if running().count() >= jobs {
            return None;
        }
        let leaves_a_place = |entry: &&Entry| {
            let Some(codec) = &entry.codec else { return true };
            let of_codec = running().filter(|other| other.codec.as_ref() == Some(codec)).count();
            of_codec < jobs.saturating_sub(1).max(1)
        };
        self.entries.iter().filter(|entry| entry.is_waiting()).find(leaves_a_place).map(|entry| entry.id)
    }

    fn start(&mut self, id: u64) {
        for entry in self.entries.iter_mut().filter(|entry| entry.id == id) {
            entry.state = CompileState::Running;
            entry.since = (SystemTime::now(), Instant::now());
        }
    }
}

impl Entry {
    fn is_waiting(&self) -> bool {
        self.state == CompileState::Waiting
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.queue.lock().entries.retain(|entry| entry.id != self.id);
        self.queue.changed.notify_all();
    }
}

impl From<&Entry> for CompileJob {
    fn from(entry: &Entry) -> Self {
        let (since, begun) = entry.since;
        Self {
            codec: entry.codec.as_deref().map(str::to_owned),
            sha256: entry.component,
            size: entry.size,
            state: entry.state,
            since: since.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            for_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}
