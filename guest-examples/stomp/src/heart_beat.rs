//! When each side must have sent something.

use serde::{Deserialize, Serialize};
use wireplug_guest::Instant;

/// The heart-beats that both sides have agreed to. Times are milliseconds since the session opened.
#[derive(Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct HeartBeat {
    /// The server sends one after this many milliseconds. 0: none.
    interval: u64,
    /// When the server sends the next one.
    next: u64,
    /// The client is gone after this many milliseconds of silence. 0: never.
    silence: u64,
    /// When the client last sent something.
    last_seen: u64,
}

impl HeartBeat {
    /// Returns what follows from the shortest interval of the server, and from what the client can
    /// send and what it wants.
    pub(crate) fn agree(server: u32, (sends, wants): (u32, u32)) -> Self {
        let interval = |client: u32| {
            if server == 0 || client == 0 { 0 } else { u64::from(server.max(client)) }
        };
        Self {
            // A quarter earlier, because timers and the network may be late.
            interval: interval(wants) - interval(wants) / 4,
            // For the same reason, a client may be late by as much again.
            silence: interval(sends) * 2,
            ..Self::default()
        }
    }

    pub(crate) fn start(&mut self, now: Instant) {
        self.last_seen = now.session_ms;
        self.next = now.session_ms + self.interval;
    }

    pub(crate) fn seen(&mut self, now: Instant) {
        self.last_seen = now.session_ms;
    }

    pub(crate) fn is_silent(&self, now: Instant) -> bool {
        self.silence > 0 && now.session_ms >= self.last_seen + self.silence
    }

    /// Returns whether the server must send a heart-beat now.
    pub(crate) fn take_due(&mut self, now: Instant) -> bool {
        let is_due = self.interval > 0 && now.session_ms >= self.next;
        if is_due {
            self.next = now.session_ms + self.interval;
        }
        is_due
    }

    /// Returns when to look again, in milliseconds from now.
    pub(crate) fn wait(&self, now: Instant) -> Option<u64> {
        let beat = (self.interval > 0).then_some(self.next);
        let end = (self.silence > 0).then_some(self.last_seen + self.silence);
        let next = beat.into_iter().chain(end).min()?;
        Some(next.saturating_sub(now.session_ms).max(1))
    }
}
