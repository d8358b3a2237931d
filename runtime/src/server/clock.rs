//! The time that a codec is told.

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::Instant;

/// Milliseconds since the session opened. Stands still while the runtime itself holds back reading: a client
/// must not be timed out for what it was not allowed to say.
#[derive(Debug)]
pub(super) struct SessionClock {
    opened: Instant,
    held: Duration,
    held_since: Option<Instant>,
}

impl SessionClock {
    pub(super) fn start() -> Self {
        Self { opened: Instant::now(), held: Duration::ZERO, held_since: None }
    }

    pub(super) fn now_ms(&self) -> u64 {
        let now = self.held_since.unwrap_or_else(Instant::now);
        (now - self.opened - self.held).as_millis() as u64
    }

    /// When the session's time will be so many milliseconds; none while it stands still.
    pub(super) fn instant(&self, ms: u64) -> Option<Instant> {
        if self.held_since.is_some() {
            return None;
        }
        self.opened.checked_add(self.held)?.checked_add(Duration::from_millis(ms))
    }

    pub(super) fn hold(&mut self, hold: bool) {
        match (hold, self.held_since) {
            (true, None) => self.held_since = Some(Instant::now()),
            (false, Some(since)) => {
                self.held += since.elapsed();
                self.held_since = None;
            }
            _ => {}
        }
    }
}
