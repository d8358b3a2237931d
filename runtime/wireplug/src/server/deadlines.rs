//! The deadlines that a client is held to, except for those of the protocol itself. All instants
//! are in [running time](wireplug_connectors::running_time).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::config::ClientLimits;
use crate::session::CloseReason;
use wireplug_connectors::Traffic;

/// The state of a client on which its deadlines depend.
#[derive(Debug)]
pub(super) struct Deadlines {
    /// The deadline of the first byte. `None` once the first byte has come, or if it has no
    /// deadline.
    first_byte_by: Option<Instant>,
    /// The deadline of the handshake. `None` once the handshake is over, or if it has no deadline.
    handshake_by: Option<Instant>,
    /// The deadline by which the client's address must be verified. `None` once it is verified, or
    /// if it has no deadline.
    verified_by: Option<Instant>,
    /// When a byte passed last, in either direction.
    active: Instant,
    /// Since when a packet has been incomplete.
    packet_since: Option<Instant>,
    /// Since when the client has taken none of the bytes that are to be written.
    stalled_since: Option<Instant>,
    /// Whether the runtime does not read the client, which therefore cannot send what is awaited.
    held: bool,
    /// Whether the client waits because its codec or its session is over its budget.
    waits: bool,
    seen: Traffic,
    /// When the last turn was observed.
    observed: Instant,
}

/// The events of one turn of the connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Observed {
    /// The traffic of the socket since it was opened.
    pub(super) traffic: Traffic,
    /// Whether a packet was completed.
    pub(super) whole_packet: bool,
    /// Whether the socket did not take all bytes that are to be written.
    pub(super) blocked: bool,
    /// Whether the runtime does not read the client.
    pub(super) held: bool,
    /// Whether the budget of the codec or of the session is the reason for that.
    pub(super) waits: bool,
    /// Whether the handshake is over.
    pub(super) established: bool,
    /// Whether the client receives what is sent to its address.
    pub(super) verified: bool,
}

/// The state of a client's deadlines on its way to another process. The times are relative to the
/// moment at which they were saved.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct SavedDeadlines {
    first_byte_in: Option<Duration>,
    handshake_in: Option<Duration>,
    verified_in: Option<Duration>,
    active_for: Duration,
    packet_for: Option<Duration>,
    stalled_for: Option<Duration>,
    read: u64,
    written: u64,
}

impl Deadlines {
    /// Returns what another process needs to go on, at `now`.
    pub(super) fn save(&self, now: Instant) -> SavedDeadlines {
        let left = |by: Option<Instant>| by.map(|by| by.saturating_duration_since(now));
        let past = |since: Instant| now.saturating_duration_since(since);
        SavedDeadlines {
            first_byte_in: left(self.first_byte_by),
            handshake_in: left(self.handshake_by),
            verified_in: left(self.verified_by),
            // The move is no time of the client.
            active_for: if self.held { Duration::ZERO } else { past(self.active) },
            packet_for: self.packet_since.map(past),
            stalled_for: self.stalled_since.map(past),
            read: self.seen.read,
            written: self.seen.written,
        }
    }

    /// Goes on with the deadlines of another process, at `now`.
    pub(super) fn resume(saved: &SavedDeadlines, now: Instant) -> Self {
        let left = |time: Option<Duration>| time.map(|time| now + time);
        // The clock of this process may be younger than that.
        let past = |time: Duration| now.checked_sub(time).unwrap_or(now);
        Self {
            first_byte_by: left(saved.first_byte_in),
            handshake_by: left(saved.handshake_in),
            verified_by: left(saved.verified_in),
            active: past(saved.active_for),
            packet_since: saved.packet_for.map(past),
            stalled_since: saved.stalled_for.map(past),
            held: false,
            waits: false,
            seen: Traffic { read: saved.read, written: saved.written, partial: false },
            observed: now,
        }
    }

    /// Creates the deadlines of a session that begins at `now`. The client was accepted at
    /// `accepted`. `wants_first_byte` is true if the client still has to send its first byte.
    pub(super) fn new(
        limits: &ClientLimits,
        accepted: Instant,
        now: Instant,
        wants_first_byte: bool,
    ) -> Self {
        let after = |timeout: Duration| (!timeout.is_zero()).then(|| accepted + timeout);
        Self {
            first_byte_by: after(limits.first_byte_timeout).filter(|_| wants_first_byte),
            handshake_by: after(limits.handshake_timeout),
            verified_by: after(limits.handshake_timeout),
            active: now,
            packet_since: None,
            stalled_since: None,
            held: false,
            waits: false,
            seen: Traffic::default(),
            observed: now,
        }
    }

    /// Notes the events of a turn.
    pub(super) fn observe(&mut self, now: Instant, observed: Observed) {
        let Observed { traffic, whole_packet, blocked, held, waits, established, verified } = observed;
        if self.waits {
            // Meanwhile the client was not read, and the codec could not have answered. Only a turn
            // can end the wait.
            let waited = now - self.observed;
            let deadlines = [&mut self.first_byte_by, &mut self.handshake_by, &mut self.verified_by];
            for deadline in deadlines.into_iter().flatten() {
                *deadline += waited;
            }
        }
        (self.waits, self.observed) = (waits, now);
        let (read, wrote) = (traffic.read != self.seen.read, traffic.written != self.seen.written);
        // A client that was not read has not been idle: its idle time begins when it is read again.
        if read || wrote || self.held {
            self.active = now;
        }
        if read {
            self.first_byte_by = None;
        }
        if established {
            self.handshake_by = None;
        }
        if verified {
            self.verified_by = None;
        }
        self.packet_since = match (traffic.partial && !held, whole_packet) {
            (false, _) => None,
            // The packet that is incomplete now began after the one that became whole.
            (true, true) => Some(now),
            (true, false) => Some(self.packet_since.unwrap_or(now)),
        };
        self.stalled_since = match (blocked, wrote) {
            (false, _) => None,
            (true, true) => Some(now),
            (true, false) => Some(self.stalled_since.unwrap_or(now)),
        };
        self.held = held;
        self.seen = traffic;
    }

    /// Returns the earliest deadline, and the reason for which the connection ends if the client
    /// misses it.
    pub(super) fn next(&self, limits: &ClientLimits) -> Option<(Instant, CloseReason)> {
        let after = |since: Option<Instant>, timeout: Duration| {
            since.filter(|_| !timeout.is_zero()).map(|since| since + timeout)
        };
        let active = (!self.held).then_some(self.active);
        [
            (self.first_byte_by, CloseReason::FirstByteTimeout),
            (self.handshake_by, CloseReason::HandshakeTimeout),
            (self.verified_by, CloseReason::UnverifiedAddress),
            (after(self.packet_since, limits.packet_timeout), CloseReason::PacketTimeout),
            (after(active, limits.idle_timeout), CloseReason::IdleTimeout),
            (after(self.stalled_since, limits.write_timeout), CloseReason::WriteTimeout),
        ]
        .into_iter()
        .filter_map(|(at, reason)| Some((at?, reason)))
        .min_by_key(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Observed = Observed {
        traffic: Traffic { read: 0, written: 0, partial: false },
        whole_packet: false,
        blocked: false,
        held: false,
        waits: false,
        established: false,
        verified: true,
    };

    #[test]
    fn to_wait_for_the_codec_s_turn_is_not_the_client_s_time() {
        let second = Duration::from_secs(1);
        let limits = ClientLimits {
            first_byte_timeout: 5 * second,
            handshake_timeout: 10 * second,
            ..ClientLimits::default()
        };
        let start = Instant::now();
        let mut deadlines = Deadlines::new(&limits, start, start, true);
        assert_eq!(deadlines.next(&limits), Some((start + 5 * second, CloseReason::FirstByteTimeout)));

        // The client waits from second 2 to second 100, with a turn now and then.
        let waiting = Observed { held: true, waits: true, ..NOTHING };
        for at in [2, 10, 60] {
            deadlines.observe(start + at * second, waiting);
        }
        deadlines.observe(start + 100 * second, NOTHING);
        assert_eq!(deadlines.next(&limits), Some((start + 103 * second, CloseReason::FirstByteTimeout)));
        let traffic = Traffic { read: 1, ..NOTHING.traffic };
        deadlines.observe(start + 100 * second, Observed { traffic, ..NOTHING });
        assert_eq!(deadlines.next(&limits), Some((start + 108 * second, CloseReason::HandshakeTimeout)));

        // While the client is held for its own rate or its own requests, its time runs.
        deadlines.observe(start + 101 * second, Observed { traffic, held: true, ..NOTHING });
        deadlines.observe(start + 107 * second, Observed { traffic, ..NOTHING });
        assert_eq!(deadlines.next(&limits), Some((start + 108 * second, CloseReason::HandshakeTimeout)));
    }
    #[test]
    fn an_address_is_verified_in_the_time_of_the_handshake() {
        let second = Duration::from_secs(1);
        let limits = ClientLimits { handshake_timeout: 10 * second, ..ClientLimits::default() };
        let start = Instant::now();
        let mut deadlines = Deadlines::new(&limits, start, start, false);
        let unverified = Observed { established: true, verified: false, ..NOTHING };
        deadlines.observe(start + second, unverified);
        assert_eq!(deadlines.next(&limits), Some((start + 10 * second, CloseReason::UnverifiedAddress)));
        // Traffic does not help.
        let traffic = Traffic { read: 1, ..NOTHING.traffic };
        deadlines.observe(start + 9 * second, Observed { traffic, ..unverified });
        assert_eq!(deadlines.next(&limits), Some((start + 10 * second, CloseReason::UnverifiedAddress)));
        let verified = Observed { traffic, verified: true, ..unverified };
        deadlines.observe(start + 9 * second, verified);
        let idle = start + 9 * second + limits.idle_timeout;
        assert_eq!(deadlines.next(&limits), Some((idle, CloseReason::IdleTimeout)));
    }
}
