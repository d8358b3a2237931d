//! Measures the rates of a client in its connection.

use tokio::time::Instant;

use wireplug_connectors::running_time::RunningTime;
use wireplug_connectors::{Pace, RateLimits, RateMeter, SavedMeter};

/// The traffic that a turn of the connection has seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Charged {
    /// Packets that were decoded in this turn.
    pub(super) packets: u64,
    /// Messages that a message transport received in this turn.
    pub(super) messages: u64,
    /// Bytes that were read from the socket since it was opened.
    pub(super) read: u64,
    /// Bytes that were passed to the codec again in this turn, which count like bytes that were
    /// read. So a client that sends a packet byte by byte does not cost more than it pays for.
    pub(super) again: u64,
}

/// Charges a client's meter for the traffic that the connector has not charged already, so that
/// nothing counts twice.
#[derive(Debug)]
pub(super) struct Rate {
    meter: RateMeter,
    /// Whether the connector counts bytes, and the frames or datagrams of its messages, as it
    /// reads.
    counted_below: bool,
    /// Counted messages whose first packet is not decoded yet. A message and its first packet count
    /// once.
    counted: u64,
    read: u64,
    /// Until when the client is not read.
    until: Option<Instant>,
}

impl Rate {
    /// Creates the rates of one client. `meter` is the connector's meter, if the connector counts.
    /// After a pause of the process, which `time` knows, the client may send what it could have
    /// sent meanwhile.
    pub(super) fn new(limits: &RateLimits, meter: Option<RateMeter>, time: &RunningTime) -> Self {
        let counted_below = meter.is_some();
        let meter = meter.unwrap_or_default();
        meter.set(limits, time);
        Self { meter, counted_below, counted: 0, read: 0, until: None }
    }

    /// Returns what another process needs to hold the client to its rates.
    pub(super) fn save(&self) -> SavedMeter {
        self.meter.saved()
    }

    /// Goes on with the rates of another process, which had read so many bytes from the client.
    pub(super) fn resume(&mut self, saved: &SavedMeter, read: u64) {
        self.meter.resume(saved);
        self.read = read;
        self.until = match self.meter.pace() {
            Pace::Wait(until) => Some(until),
            Pace::Within | Pace::Over => None,
        };
    }

    /// Holds the client to other rates from now on.
    pub(super) fn set(&mut self, limits: &RateLimits, time: &RunningTime) {
        self.meter.set(limits, time);
        self.until = match self.meter.pace() {
            Pace::Wait(until) => Some(until),
            Pace::Within | Pace::Over => None,
        };
    }

    /// Charges the traffic of a turn. Returns whether the connection must end.
    pub(super) fn take(&mut self, seen: Charged) -> bool {
        self.counted += seen.messages;
        let first = seen.packets.min(self.counted);
        self.counted -= first;
        let further = seen.packets - first;
        let pace = if self.counted_below {
            self.meter.take(further, seen.again)
        } else {
            self.meter.take(seen.messages + further, seen.read.saturating_sub(self.read) + seen.again)
        };
        self.read = seen.read;
        self.until = match pace {
            Pace::Wait(until) => Some(until),
            Pace::Within | Pace::Over => None,
        };
        pace == Pace::Over
    }

    /// Returns whether the client is over its rates, so that it is not read.
    pub(super) fn holds(&self) -> bool {
        self.until.is_some()
    }

    /// Returns when the client may be read again, if it is over its rates.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Lets the client be read again if the time for that has come. Returns whether it has.
    pub(super) fn release(&mut self, now: Instant) -> bool {
        let paid = self.until.is_some_and(|until| until <= now);
        if paid {
            self.until = None;
        }
        paid
    }

    /// Lifts all rates. This is for a connection that ends, since what the client still sends is
    /// discarded.
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

    /// The limit is ten packets a second, so ten may come at once.
    #[tokio::test(start_paused = true)]
    async fn a_message_and_its_first_packet_are_one() {
        for below in [true, false] {
            let mut rate = rate(10, 0, below);
            if below {
                // As the connector does when it reads.
                rate.meter.take(8, 0);
            }
            assert!(!rate.take(Charged { packets: 3, messages: 8, read: 0, again: 0 }));
            // Packets that were decoded in a later turn, and two that are not the first of a
            // message.
            assert!(!rate.take(Charged { packets: 7, messages: 0, read: 0, again: 0 }), "{below}");
            assert!(rate.take(Charged { packets: 1, messages: 0, read: 0, again: 0 }), "{below}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_are_counted_once() {
        let most = (64 << 10) + (16 << 10);
        let mut here = rate(0, 64 << 10, false);
        assert!(!here.take(Charged { read: most, ..Charged::default() }));
        assert!(!here.take(Charged { read: most, ..Charged::default() }));
        assert!(here.take(Charged { read: most + 1, ..Charged::default() }));
        let mut below = rate(0, 64 << 10, true);
        assert!(!below.take(Charged { read: 1 << 40, ..Charged::default() }));
    }
}
