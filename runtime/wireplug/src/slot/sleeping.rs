//! The sleeping sessions of a generation, and how often sessions fell asleep and woke.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Generation;
use crate::codec::{Codec as _, SavedStates};
use crate::config::CodecLimits;

/// Why a session fell asleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SleepCause {
    /// Its codec was not called for a while.
    Idle,
    /// Another session needed its place.
    Pressure,
}

/// Why a session was woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WakeCause {
    /// A packet came from the client.
    Packet,
    /// The codec's timer was due.
    Timer,
    /// A push, a response or a request to the client is to be encoded.
    Message,
    /// The codec must learn that a request to the client was given up.
    Abandoned,
    /// The session moved to another generation.
    Swap,
    /// The server ends the connection, and the codec has a farewell.
    Farewell,
}

/// The sleeping sessions of a generation, as people and programs see them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct SleepStatus {
    /// Sessions that sleep now.
    pub asleep: u64,
    /// The size of their saved states, in bytes.
    pub saved_bytes: u64,
    /// How often a session fell asleep because its codec was not called for a while.
    pub slept_idle: u64,
    /// How often an idle session fell asleep because another session needed its place
    /// (`max-awake`).
    pub slept_pressure: u64,
    /// How often a session was woken by a packet from its client.
    pub woken_packet: u64,
    /// How often a session was woken because its codec's timer was due.
    pub woken_timer: u64,
    /// How often a session was woken by a push, a response or a request to the client.
    pub woken_message: u64,
    /// How often a session was woken because a request to the client was given up.
    pub woken_abandoned: u64,
    /// How often a sleeping session moved to another generation.
    pub woken_swap: u64,
    /// How often a session was woken for its farewell.
    pub woken_farewell: u64,
    /// How often a codec refused to save an idle session, which then stayed awake.
    pub refused: u64,
}

/// The counts behind [`SleepStatus`].
#[derive(Debug, Default)]
pub(super) struct SleepCounts {
    asleep: AtomicU64,
    saved_bytes: AtomicU64,
    slept: [AtomicU64; 2],
    woken: [AtomicU64; 6],
    refused: AtomicU64,
    /// The saved states themselves.
    states: SavedStates,
}

impl SleepCounts {
    pub(super) fn status(&self) -> SleepStatus {
        let slept = |cause: SleepCause| self.slept[cause as usize].load(Ordering::Relaxed);
        let woken = |cause: WakeCause| self.woken[cause as usize].load(Ordering::Relaxed);
        SleepStatus {
            asleep: self.asleep.load(Ordering::Relaxed),
            saved_bytes: self.saved_bytes.load(Ordering::Relaxed),
            slept_idle: slept(SleepCause::Idle),
            slept_pressure: slept(SleepCause::Pressure),
            woken_packet: woken(WakeCause::Packet),
            woken_timer: woken(WakeCause::Timer),
            woken_message: woken(WakeCause::Message),
            woken_abandoned: woken(WakeCause::Abandoned),
            woken_swap: woken(WakeCause::Swap),
            woken_farewell: woken(WakeCause::Farewell),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }
}

/// A session of a generation that sleeps. It is counted, and its state is charged to the codec,
/// until this is dropped.
pub(crate) struct Asleep {
    generation: Arc<Generation>,
    bytes: usize,
}

impl Asleep {
    /// Counts a session that fell asleep, with a state of this size in bytes.
    pub(crate) fn new(generation: &Arc<Generation>, bytes: usize, cause: SleepCause) -> Self {
        let counts = &generation.counts.sleep;
        generation.charge_state(bytes);
        counts.slept[cause as usize].fetch_add(1, Ordering::Relaxed);
        counts.asleep.fetch_add(1, Ordering::Relaxed);
        counts.saved_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        Self { generation: Arc::clone(generation), bytes }
    }

    /// Counts that the session woke.
    pub(crate) fn woken(self, cause: WakeCause) {
        self.generation.counts.sleep.woken[cause as usize].fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Asleep {
    fn drop(&mut self) {
        let counts = &self.generation.counts.sleep;
        counts.asleep.fetch_sub(1, Ordering::Relaxed);
        counts.saved_bytes.fetch_sub(self.bytes as u64, Ordering::Relaxed);
        self.generation.release_state(self.bytes);
    }
}

impl Generation {
    /// Returns after how long an idle session sleeps, or `None` if sessions of this codec never
    /// sleep: only a session that has a sandbox can give it back.
    pub(crate) fn sleep_after(&self, limits: &CodecLimits) -> Option<Duration> {
        let can_sleep = self.abilities().handoff && self.cpu_account().is_some();
        (can_sleep && !limits.sleep_after.is_zero()).then_some(limits.sleep_after)
    }

    /// Returns the saved states of the sessions that sleep.
    pub(crate) fn saved_states(&self) -> &SavedStates {
        &self.counts.sleep.states
    }

    /// Counts that the codec refused to save an idle session.
    pub(crate) fn refused_sleep(&self) {
        self.counts.sleep.refused.fetch_add(1, Ordering::Relaxed);
    }
}
