//! What the task of a connection publishes about its session, for operators.
//!
//! Only the task writes, once a turn at most, and only what has changed. So a count costs a load
//! and a store, and no atomic operation that other threads could delay.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::Tally;
use wireplug_connectors::Traffic;

/// Where a session comes from.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    /// The URL of the listener.
    #[cfg_attr(not(feature = "control"), allow(dead_code, reason = "only the control API shows it"))]
    pub(crate) listener: String,
    /// The name of the codec slot.
    pub(crate) codec: String,
}

/// The counts and the state of a session, as the last turn of its task left them.
#[derive(Debug)]
pub(crate) struct Vitals {
    origin: Arc<Origin>,
    /// When the session opened, in running time.
    opened: Instant,
    /// How long after the opening something last came or went, in milliseconds.
    active_ms: AtomicU64,
    generation: AtomicU64,
    is_asleep: AtomicBool,
    packets_in: AtomicU64,
    packets_out: AtomicU64,
    messages_in: AtomicU64,
    messages_out: AtomicU64,
    rejected: AtomicU64,
    refused: AtomicU64,
    overflowed: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    in_flight: AtomicUsize,
    codec_ns: AtomicU64,
}

/// A copy of the counts.
#[cfg_attr(not(feature = "control"), allow(dead_code, reason = "only the control API shows counts"))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct VitalCounts {
    pub(crate) packets_in: u64,
    pub(crate) packets_out: u64,
    pub(crate) messages_in: u64,
    pub(crate) messages_out: u64,
    pub(crate) rejected: u64,
    pub(crate) refused: u64,
    pub(crate) overflowed: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) in_flight: usize,
    pub(crate) codec_time: Duration,
}

/// The counts of a session on its way to another process.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct SavedVitals {
    age: Duration,
    active_ms: u64,
    counts: [u64; 10],
}

impl Vitals {
    /// Returns what another process needs to go on counting, at `now` in running time.
    pub(crate) fn save(&self, now: Instant) -> SavedVitals {
        let counts = self.counters().map(|counter| counter.load(Ordering::Relaxed));
        let active_ms = self.active_ms.load(Ordering::Relaxed);
        SavedVitals { age: self.since_opening(now), active_ms, counts }
    }

    /// Goes on with the counts of another process, at `now` in running time.
    pub(crate) fn resume(origin: Arc<Origin>, saved: &SavedVitals, now: Instant) -> Self {
        // Instants cannot be earlier than the start of the machine, and no session is.
        let vitals = Self::new(origin, now.checked_sub(saved.age).unwrap_or(now));
        vitals.active_ms.store(saved.active_ms, Ordering::Relaxed);
        vitals.counters().into_iter().zip(saved.counts).for_each(|(counter, count)| add(counter, count));
        vitals
    }

    fn counters(&self) -> [&AtomicU64; 10] {
        [
            &self.packets_in,
            &self.packets_out,
            &self.messages_in,
            &self.messages_out,
            &self.rejected,
            &self.refused,
            &self.overflowed,
            &self.bytes_in,
            &self.bytes_out,
            &self.codec_ns,
        ]
    }

    /// Returns how long the session has been open at `now`, in running time.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        self.since_opening(now)
    }

    /// Creates the counts of a session that opens at `opened`, in running time.
    pub(crate) fn new(origin: Arc<Origin>, opened: Instant) -> Self {
        Self {
            origin,
            opened,
            active_ms: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            is_asleep: AtomicBool::new(false),
            packets_in: AtomicU64::new(0),
            packets_out: AtomicU64::new(0),
            messages_in: AtomicU64::new(0),
            messages_out: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            overflowed: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            in_flight: AtomicUsize::new(0),
            codec_ns: AtomicU64::new(0),
        }
    }

    // === the task's side ===

    /// Adds the counts of a turn that ended at `now`, in running time.
    pub(crate) fn count(&self, tally: &Tally, traffic: Traffic, in_flight: usize, now: Instant) {
        let before = self.bytes_in.load(Ordering::Relaxed) + self.bytes_out.load(Ordering::Relaxed);
        if traffic.read + traffic.written != before {
            self.bytes_in.store(traffic.read, Ordering::Relaxed);
            self.bytes_out.store(traffic.written, Ordering::Relaxed);
            self.active_ms.store(self.since_opening(now).as_millis() as u64, Ordering::Relaxed);
        }
        self.in_flight.store(in_flight, Ordering::Relaxed);
        if *tally == Tally::default() {
            return;
        }
        add(&self.packets_in, tally.packets_in);
        add(&self.packets_out, tally.packets_out);
        add(&self.messages_in, tally.messages_in);
        add(&self.messages_out, tally.messages_out);
        add(&self.rejected, tally.rejected);
        add(&self.refused, tally.refused);
        add(&self.overflowed, tally.overflowed);
    }

    /// Adds the CPU time of the codec's calls.
    pub(crate) fn add_codec_time(&self, time: Duration) {
        add(&self.codec_ns, time.as_nanos() as u64);
    }

    /// Notes the generation that the session is on, and whether the session sleeps.
    pub(crate) fn set_codec(&self, generation: u64, is_asleep: bool) {
        self.generation.store(generation, Ordering::Relaxed);
        self.is_asleep.store(is_asleep, Ordering::Relaxed);
    }

    fn since_opening(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.opened)
    }

    // === the other side ===

    /// Returns whether the session comes from there.
    pub(crate) fn is_of(&self, origin: &Arc<Origin>) -> bool {
        Arc::ptr_eq(&self.origin, origin)
    }

    /// Returns the name of the codec slot.
    pub(crate) fn codec(&self) -> &str {
        &self.origin.codec
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    pub(crate) fn counts(&self) -> VitalCounts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        VitalCounts {
            packets_in: count(&self.packets_in),
            packets_out: count(&self.packets_out),
            messages_in: count(&self.messages_in),
            messages_out: count(&self.messages_out),
            rejected: count(&self.rejected),
            refused: count(&self.refused),
            overflowed: count(&self.overflowed),
            bytes_in: count(&self.bytes_in),
            bytes_out: count(&self.bytes_out),
            in_flight: self.in_flight.load(Ordering::Relaxed),
            codec_time: Duration::from_nanos(count(&self.codec_ns)),
        }
    }
}

#[cfg(feature = "control")]
impl Vitals {
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(crate) fn is_asleep(&self) -> bool {
        self.is_asleep.load(Ordering::Relaxed)
    }

    /// Returns how long nothing has come or gone at `now`, in running time.
    pub(crate) fn idle(&self, now: Instant) -> Duration {
        let active = Duration::from_millis(self.active_ms.load(Ordering::Relaxed));
        self.since_opening(now).saturating_sub(active)
    }
}

impl Default for Vitals {
    fn default() -> Self {
        Self::new(Arc::default(), Instant::now())
    }
}

/// Adds to a counter of which this thread is the only writer.
fn add(counter: &AtomicU64, count: u64) {
    if count > 0 {
        counter.store(counter.load(Ordering::Relaxed) + count, Ordering::Relaxed);
    }
}
