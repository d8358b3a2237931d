//! Engine.IO's heartbeat: the server pings, and gives up a client that does not answer. Takes a
//! time and touches no timer.

use std::time::Duration;

use tokio::time::Instant;

/// How often the server pings. Clients give up a server that is silent for this and
/// [`PING_TIMEOUT`].
pub(super) const PING_INTERVAL: Duration = Duration::from_secs(25);

/// How long a client may take to answer.
pub(super) const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// When a client is pinged, and whether it has answered.
#[derive(Debug)]
pub(super) struct Heartbeat {
    ping_at: Instant,
    /// None: it has answered, or has not in time.
    pong_by: Option<Instant>,
    overdue: bool,
}

impl Heartbeat {
    pub(super) fn new(now: Instant) -> Self {
        Self { ping_at: now + PING_INTERVAL, pong_by: None, overdue: false }
    }

    /// When something is due next.
    pub(super) fn next(&self) -> Instant {
        self.pong_by.map_or(self.ping_at, |pong_by| pong_by.min(self.ping_at))
    }

    /// Does what is due, and says whether to ping. A client that is held back is still pinged: else
    /// it would give up the server.
    pub(super) fn on_time(&mut self, now: Instant) -> bool {
        if self.pong_by.is_some_and(|pong_by| pong_by <= now) {
            (self.pong_by, self.overdue) = (None, true);
        }
        let pings = self.ping_at <= now;
        if pings {
            self.ping_at = now + PING_INTERVAL;
            if !self.overdue {
                self.pong_by.get_or_insert(now + PING_TIMEOUT);
            }
        }
        pings
    }

    /// Takes note of an answer.
    pub(super) fn pong(&mut self) {
        (self.pong_by, self.overdue) = (None, false);
    }

    /// Whether an answer has not come in time. It means nothing before all that has come is read.
    pub(super) fn is_overdue(&self) -> bool {
        self.overdue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answers_no_ping_is_overdue() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(start);
        assert!(!heartbeat.on_time(start) && heartbeat.next() == start + PING_INTERVAL);
        let pinged = start + PING_INTERVAL;
        assert!(heartbeat.on_time(pinged) && !heartbeat.is_overdue());
        assert_eq!(heartbeat.next(), pinged + PING_TIMEOUT);
        assert!(!heartbeat.on_time(pinged + PING_TIMEOUT) && heartbeat.is_overdue());
        // It is pinged as before, and may still answer.
        assert!(heartbeat.on_time(pinged + PING_INTERVAL) && heartbeat.is_overdue());
        heartbeat.pong();
        assert!(!heartbeat.is_overdue());
        assert_eq!(heartbeat.next(), pinged + 2 * PING_INTERVAL);
    }
}
