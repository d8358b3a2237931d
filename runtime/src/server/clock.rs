//! The time that a codec is told.

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::Instant;

use wireplug_connectors::running_time::RunningTime;

/// Milliseconds since the session opened. Stands still while the runtime itself holds back reading, and while
/// the process does not run: a client must not be timed out for what it was not allowed to say, or was not
/// heard to say.
#[derive(Debug)]
pub(super) struct SessionClock {
    time: RunningTime,
    // All in running time.
    opened: Instant,
    held: Duration,
    held_since: Option<Instant>,
}

impl SessionClock {
    pub(super) fn start(time: RunningTime) -> Self {
        Self { opened: time.now(), time, held: Duration::ZERO, held_since: None }
    }

    pub(super) fn now_ms(&self) -> u64 {
        let now = self.held_since.unwrap_or_else(|| self.time.now());
        (now - self.opened - self.held).as_millis() as u64
    }

    /// When the session's time will be so many milliseconds, in running time; none while the runtime holds it.
    pub(super) fn instant(&self, ms: u64) -> Option<Instant> {
        if self.held_since.is_some() {
            return None;
        }
        self.opened.checked_add(self.held)?.checked_add(Duration::from_millis(ms))
    }

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
