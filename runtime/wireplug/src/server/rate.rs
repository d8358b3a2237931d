//! The rates that a client is held to, as its connection sees them.

use tokio::time::Instant;

use wireplug_connectors::running_time::RunningTime;
use wireplug_connectors::{Pace, RateLimits, RateMeter};

/// What a turn of the connection has seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// Packets that were decoded in it.
    pub(super) packets: u64,
    /// Messages that a message transport gave in it.
    pub(super) messages: u64,
    /// Bytes that have come over the socket since the beginning.
    pub(super) read: u64,
}

/// Adds to a client's meter what the connector has not counted there as it read, so that nothing
/// counts twice.
#[derive(Debug)]
pub(super) struct Rate {
    meter: RateMeter,
    /// The connector counts bytes, and what its messages came in, as it reads.
    counted_below: bool,
    /// Messages that were counted, and with each its first packet, which may be decoded later.
    counted: u64,
    read: u64,
    /// Until when nothing is read.
    until: Option<Instant>,
}

impl Rate {
    /// The rates of one client. `meter` is the connector's, if it counts. Pauses of the process in
    /// `time` are made up for.
    pub(super) fn new(limits: &RateLimits, meter: Option<RateMeter>, time: &RunningTime) -> Self {
        let counted_below = meter.is_some();
        let meter = meter.unwrap_or_else(|| RateMeter::new(limits));
        meter.keep_time(time);
        Self { meter, counted_below, counted: 0, read: 0, until: None }
    }

    /// Charges what a turn has seen. Returns whether the connection is to end.
    pub(super) fn take(&mut self, seen: Seen) -> bool {
        self.counted += seen.messages;
        let first = seen.packets.min(self.counted);
        self.counted -= first;
        let further = seen.packets - first;
        let pace = if self.counted_below {
            self.meter.take(further, 0)
        } else {
            self.meter.take(seen.messages + further, seen.read.saturating_sub(self.read))
        };
        self.read = seen.read;
        self.until = match pace {
            Pace::Wait(until) => Some(until),
            Pace::Within | Pace::Over => None,
        };
        pace == Pace::Over
    }

    /// Whether the client is in debt, so that nothing is read from it.
    pub(super) fn holds(&self) -> bool {
        self.until.is_some()
    }

    /// Returns when the debt is paid, if there is one.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Lets the client go on if its debt is paid by now. Returns whether it goes on.
    pub(super) fn release(&mut self, now: Instant) -> bool {
        let paid = self.until.is_some_and(|until| until <= now);
        if paid {
            self.until = None;
        }
        paid
    }

    /// Lifts all rates: what the client still sends is thrown away.
    pub(super) fn lift(&mut self) {
        self.meter.lift();
        self.until = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OverRate;

    fn rate(packets: u32, bytes: usize, below: bool) -> Rate {
        let limits =
            RateLimits { packets_per_second: packets, bytes_per_second: bytes, over_rate: OverRate::Close };
        Rate::new(&limits, below.then(|| RateMeter::new(&limits)), &RunningTime::default())
    }

    /// Ten a second, and so ten at once.
    #[tokio::test(start_paused = true)]
    async fn a_message_and_its_first_packet_are_one() {
        for below in [true, false] {
            let mut rate = rate(10, 0, below);
            if below {
                // As the connector does when it reads.
                rate.meter.take(8, 0);
            }
            assert!(!rate.take(Seen { packets: 3, messages: 8, read: 0 }));
            // Packets that were decoded in a later turn, and two that are not the first of a
            // message.
            assert!(!rate.take(Seen { packets: 7, messages: 0, read: 0 }), "{below}");
            assert!(rate.take(Seen { packets: 1, messages: 0, read: 0 }), "{below}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_are_counted_once() {
        let most = (64 << 10) + (16 << 10);
        let mut here = rate(0, 64 << 10, false);
        assert!(!here.take(Seen { read: most, ..Seen::default() }));
        assert!(!here.take(Seen { read: most, ..Seen::default() }));
        assert!(here.take(Seen { read: most + 1, ..Seen::default() }));
        let mut below = rate(0, 64 << 10, true);
        assert!(!below.take(Seen { read: 1 << 40, ..Seen::default() }));
    }
}
