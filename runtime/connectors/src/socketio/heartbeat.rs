//! Engine.IO's heartbeat: the server pings each client, and gives up a client that does not answer.
//! The heartbeat is given the time and uses no timer.

use std::time::Duration;

use tokio::time::Instant;

/// How often the server pings. Clients give up a server that is silent for longer than this plus
/// [`PING_TIMEOUT`].
pub(super) const PING_INTERVAL: Duration = Duration::from_secs(25);

/// How long a client may take to answer a ping.
pub(super) const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// When a client is pinged, and whether it has answered.
#[derive(Debug)]
pub(super) struct Heartbeat {
    ping_at: Instant,
    /// When the answer to a ping is due. `None` if no answer is outstanding, or if it is overdue.
    pong_by: Option<Instant>,
    overdue: bool,
}

impl Heartbeat {
    pub(super) fn new(now: Instant) -> Self {
        Self { ping_at: now + PING_INTERVAL, pong_by: None, overdue: false }
    }

    /// Returns when something is due next.
    pub(super) fn next(&self) -> Instant {
        self.pong_by.map_or(self.ping_at, |pong_by| pong_by.min(self.ping_at))
    }

    /// Does what is due, and returns whether to ping. A client that is over its rates is still
    /// pinged, since it would otherwise give up the server.
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

    /// Records that the client has answered.
    pub(super) fn pong(&mut self) {
        (self.pong_by, self.overdue) = (None, false);
    }

    /// Returns whether an answer has not come in time. The result is meaningful only after
    /// everything that has arrived is read.
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
        // The client is pinged as before, and may still answer.
        assert!(heartbeat.on_time(pinged + PING_INTERVAL) && heartbeat.is_overdue());
        heartbeat.pong();
        assert!(!heartbeat.is_overdue());
        assert_eq!(heartbeat.next(), pinged + 2 * PING_INTERVAL);
    }
}
