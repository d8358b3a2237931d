//! The clock that a codec sees.

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::Instant;

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

    /// Returns session time, in milliseconds.
    pub(super) fn now_ms(&self) -> u64 {
        let now = self.held_since.unwrap_or_else(|| self.time.now());
        (now - self.opened - self.held).as_millis() as u64
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
