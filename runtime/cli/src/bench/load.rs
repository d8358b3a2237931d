//! What all connections share: the load as it was asked for, and how far it is.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use super::super::link::Target;
use super::args::Args;
use super::schedule::Schedule;
use super::tally::Tally;

pub(super) struct Load {
    pub(super) args: Args,
    pub(super) target: Target,
    /// When the first connection was to be opened.
    pub(super) started: Instant,
    /// What is measured; set shortly before it begins, when all connections are there.
    pub(super) window: OnceLock<Window>,
    /// Connections that are ready, or have failed to be.
    pub(super) arrived: AtomicU32,
    /// Connections that are open.
    pub(super) open: AtomicU32,
    pub(super) chat: Chat,
    /// Each thread has one of its own.
    tallies: Vec<Mutex<Tally>>,
}

/// The time that is measured.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub(super) begin: Instant,
    pub(super) end: Instant,
}

/// The fan-out's messages, numbered from 0 in the order in which they are sent.
#[derive(Default)]
pub(super) struct Chat {
    /// How many were sent.
    pub(super) said: AtomicU64,
    /// No more will be.
    pub(super) over: AtomicBool,
}

impl Load {
    pub(super) fn new(args: Args, target: Target) -> Self {
        let tallies = (0..args.threads()).map(|_| Mutex::new(Tally::new())).collect();
        Self {
            args,
            target,
            started: Instant::now(),
            window: OnceLock::new(),
            arrived: AtomicU32::new(0),
            open: AtomicU32::new(0),
            chat: Chat::default(),
            tallies,
        }
    }

    /// The tally of a thread. Only the progress line ever has it beside the thread.
    pub(super) fn tally(&self, thread: u32) -> MutexGuard<'_, Tally> {
        self.tallies[thread as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All threads together.
    pub(super) fn total(&self) -> Tally {
        (0..self.args.threads()).fold(Tally::new(), |mut total, thread| {
            total.add(&self.tally(thread));
            total
        })
    }

    /// Whether what begins then is measured.
    pub(super) fn measures(&self, time: Instant) -> bool {
        self.window.get().is_some_and(|window| (window.begin..window.end).contains(&time))
    }

    /// Whether no more is to be sent.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.window.get().is_some_and(|window| window.end <= now)
    }

    /// When a connection's requests are due, at a fixed rate.
    pub(super) fn schedule(&self, connection: u32) -> Option<Schedule> {
        let rate = self.args.rate().filter(|_| !self.args.push_fan_out)?;
        Some(Schedule::new(self.started, rate, connection.into(), self.args.connections.into()))
    }

    /// When the fan-out's messages are due; none before it is known when that begins.
    pub(super) fn messages(&self) -> Option<Schedule> {
        let rate = self.args.rate().filter(|_| self.args.push_fan_out)?;
        Some(Schedule::new(self.window.get()?.begin, rate, 0, 1))
    }

    /// How many requests or messages were due in the window, at a fixed rate.
    pub(super) fn due(&self, window: Window) -> Option<u64> {
        let rate = self.args.rate()?;
        let base = if self.args.push_fan_out { window.begin } else { self.started };
        let all = Schedule::new(base, rate, 0, 1);
        Some(all.first_from(window.end) - all.first_from(window.begin))
    }

    /// Notes that the last message was sent.
    pub(super) fn end_chat(&self) {
        self.chat.over.store(true, Ordering::Release);
    }
}
