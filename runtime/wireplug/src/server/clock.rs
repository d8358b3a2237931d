//! The clock that a codec sees.

#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::codec;
use wireplug_connectors::running_time::RunningTime;

/// The clock of session time, which counts milliseconds since the session opened. Session time
/// stands still while the runtime itself does not read from the client, and while the process does
/// not run. So no client times out because of input that it was not allowed to send, or that was
/// not read.
#[derive(Debug)]
pub(super) struct SessionClock {
    time: RunningTime,
    // The times below are in running time.
    opened: Instant,
    held: Duration,
    held_since: Option<Instant>,
}

impl SessionClock {
    /// Starts the clock of a session that opens now.
    pub(super) fn start(time: RunningTime) -> Self {
        Self { opened: time.now(), time, held: Duration::ZERO, held_since: None }
    }

    /// Goes on with the clock of a session from another process, at this session time in
    /// milliseconds.
    pub(super) fn resume(time: RunningTime, session_ms: u64) -> Self {
        let now = time.now();
        // No session is older than the machine's clock.
        let opened = now.checked_sub(Duration::from_millis(session_ms)).unwrap_or(now);
        Self { opened, ..Self::start(time) }
    }

    /// Returns the clock of running time.
    pub(super) fn time(&self) -> &RunningTime {
        &self.time
    }

    /// Returns the running time.
    pub(super) fn running(&self) -> Instant {
        self.time.now()
    }

    /// Returns session time and wall-clock time.
    pub(super) fn now(&self) -> codec::Instant {
        let now = self.held_since.unwrap_or_else(|| self.time.now());
        let session_ms = (now - self.opened - self.held).as_millis() as u64;
        codec::Instant { session_ms, unix_ms: unix_ms() }
    }

    /// Returns when session time reaches `ms`, in running time, or `None` while session time is
    /// held.
    pub(super) fn instant(&self, ms: u64) -> Option<Instant> {
        if self.held_since.is_some() {
            return None;
        }
        self.opened.checked_add(self.held)?.checked_add(Duration::from_millis(ms))
    }

    /// Stops session time if `hold` is true. Otherwise lets session time go on.
    pub(super) fn hold(&mut self, hold: bool) {
        match (hold, self.held_since) {
            (true, None) => self.held_since = Some(self.time.now()),
            (false, Some(since)) => {
                self.held += self.time.now() - since;
                self.held_since = None;
            }
            _ => {}
        }
    }
}

/// Returns the time of a call at this session time, in milliseconds. A session opens at 0.
pub(super) fn at(session_ms: u64) -> codec::Instant {
    codec::Instant { session_ms, unix_ms: unix_ms() }
}

/// Returns wall-clock time in milliseconds since 1970-01-01 UTC.
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
