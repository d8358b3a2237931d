//! The rate that a client is held to.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::ClientLimits;
use crate::session::Tally;

/// Holds a client to its packets and bytes a second.
#[derive(Debug)]
pub(super) struct Rate {
    packets: Option<Bucket>,
    bytes: Option<Bucket>,
    /// Until then nothing is read.
    until: Option<Instant>,
}

impl Rate {
    pub(super) fn new(limits: &ClientLimits, now: Instant) -> Self {
        Self {
            packets: Bucket::new(limits.packets_per_second.into(), now),
            bytes: Bucket::new(limits.bytes_per_second as u64, now),
            until: None,
        }
    }

    /// Takes note of what was read, and says whether it was too much.
    pub(super) fn take(&mut self, tally: &Tally, now: Instant) -> bool {
        let debt = |bucket: &mut Option<Bucket>, count| bucket.as_mut().map(|bucket| bucket.take(count, now));
        let wait = debt(&mut self.packets, tally.packets_in).max(debt(&mut self.bytes, tally.bytes_in));
        self.until = wait.filter(|wait| !wait.is_zero()).map(|wait| now + wait);
        self.holds()
    }

    /// Lets the client make up for a pause of the process: what it has sent meanwhile comes at once.
    pub(super) fn make_up(&mut self, pause: Duration) {
        for bucket in [&mut self.packets, &mut self.bytes].into_iter().flatten() {
            bucket.make_up(pause);
        }
    }

    /// Whether the client is in debt, so that nothing is read from it.
    pub(super) fn holds(&self) -> bool {
        self.until.is_some()
    }

    /// When the debt is paid.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Lets the client go on if its debt is paid, and says whether it was just now.
    pub(super) fn release(&mut self, now: Instant) -> bool {
        let paid = self.until.is_some_and(|until| until <= now);
        if paid {
            self.until = None;
        }
        paid
    }
}

/// A token bucket that may go into debt: what has come has come, and the client waits until it has paid.
#[derive(Debug)]
struct Bucket {
    per_second: f64,
    /// It fills up to a second's worth; below zero: debt.
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    /// None: no limit.
    fn new(per_second: u64, now: Instant) -> Option<Self> {
        (per_second > 0).then_some(Self {
            per_second: per_second as f64,
            tokens: per_second as f64,
            filled: now,
        })
    }

    /// Adds the tokens of a pause, even beyond a second's worth. They stay until they are taken.
    fn make_up(&mut self, pause: Duration) {
        self.tokens += pause.as_secs_f64() * self.per_second;
    }

    /// Takes so many tokens, and says how long it takes until the debt is paid; zero: there is none.
    fn take(&mut self, count: u64, now: Instant) -> Duration {
        let elapsed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = now;
        let full = self.per_second.max(self.tokens);
        self.tokens = (self.tokens + elapsed * self.per_second).min(full) - count as f64;
        if self.tokens >= 0.0 {
            Duration::ZERO
        } else {
            Duration::from_secs_f64(-self.tokens / self.per_second)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_s_worth_at_once_and_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, start).unwrap();
        assert_eq!(bucket.take(10, start), Duration::ZERO);
        assert_eq!(bucket.take(5, start), Duration::from_millis(500));
        assert_eq!(bucket.take(0, start + Duration::from_millis(500)), Duration::ZERO);
        // A long rest is worth no more than a second.
        let later = start + Duration::from_secs(3600);
        assert_eq!(bucket.take(10, later), Duration::ZERO);
        assert_eq!(bucket.take(1, later), Duration::from_millis(100));
    }

    #[test]
    fn a_pause_of_the_process_is_made_up_for_once() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, start).unwrap();
        assert_eq!(bucket.take(10, start), Duration::ZERO);
        // Six seconds in which nobody read.
        let resumed = start + Duration::from_secs(6);
        bucket.make_up(Duration::from_secs(6));
        assert_eq!(bucket.take(60, resumed), Duration::ZERO);
        // What is left does not grow.
        let later = resumed + Duration::from_secs(3600);
        assert_eq!(bucket.take(10, later), Duration::ZERO);
        assert_eq!(bucket.take(1, later), Duration::from_millis(100));
    }

    #[test]
    fn zero_is_no_limit() {
        assert!(Bucket::new(0, Instant::now()).is_none());
    }
}
