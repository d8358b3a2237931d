//! The state that all connections share: the load that was requested, and its progress.

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
    /// When the first connection is due to open.
    pub(super) started: Instant,
    /// The time that is measured. Set shortly before it begins, when all connections are ready or
    /// have failed.
    pub(super) window: OnceLock<Window>,
    /// The number of connections that are ready or have failed.
    pub(super) arrived: AtomicU32,
    /// The number of connections that are open.
    pub(super) open: AtomicU32,
    pub(super) chat: Chat,
    /// The tallies, one for each thread.
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
    /// The number of messages that were sent.
    pub(super) said: AtomicU64,
    /// Whether the last message was sent.
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

    /// Locks the tally of a thread. Only the thread itself and the progress line lock it.
    pub(super) fn tally(&self, thread: u32) -> MutexGuard<'_, Tally> {
        self.tallies[thread as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the sum of the tallies of all threads.
    pub(super) fn total(&self) -> Tally {
        (0..self.args.threads()).fold(Tally::new(), |mut total, thread| {
            total.add(&self.tally(thread));
            total
        })
    }

    /// Returns whether a request or message that begins at `time` is measured.
    pub(super) fn measures(&self, time: Instant) -> bool {
        self.window.get().is_some_and(|window| (window.begin..window.end).contains(&time))
    }

    /// Returns whether the measured time is over, so that nothing more is sent.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.window.get().is_some_and(|window| window.end <= now)
    }

    /// Returns when a connection's requests are due, at a fixed rate; `None` without a fixed rate,
    /// and in a fan-out.
    pub(super) fn schedule(&self, connection: u32) -> Option<Schedule> {
        let rate = self.args.rate().filter(|_| !self.args.push_fan_out)?;
        Some(Schedule::new(self.started, rate, connection.into(), self.args.connections.into()))
    }

    /// Returns when the fan-out's messages are due; `None` before the beginning of the measured
    /// time is known.
    pub(super) fn messages(&self) -> Option<Schedule> {
        let rate = self.args.rate().filter(|_| self.args.push_fan_out)?;
        Some(Schedule::new(self.window.get()?.begin, rate, 0, 1))
    }

    /// Returns how many requests or messages were due in the window, at a fixed rate.
    pub(super) fn due(&self, window: Window) -> Option<u64> {
        let rate = self.args.rate()?;
        let base = if self.args.push_fan_out { window.begin } else { self.started };
        let all = Schedule::new(base, rate, 0, 1);
        Some(all.first_from(window.end) - all.first_from(window.begin))
    }

    /// Notes that the last message of the fan-out was sent.
    pub(super) fn end_chat(&self) {
        self.chat.over.store(true, Ordering::Release);
    }
}
