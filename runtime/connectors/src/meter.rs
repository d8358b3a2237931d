//! The rates that a client is held to, counted where its bytes are read.
//!
//! A meter touches no socket and waits for nobody: whoever reads takes note of what has come, and
//! asks whether it may read on. Several who read for one client, as its connection and a library
//! below it, share one meter.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::OverRate;
use crate::running_time::{Reading, RunningTime};

/// Bytes that may come at once beside a second's worth: what a transport adds to the packets. Heads
/// of frames, records of TLS and its handshake, the request that opens a WebSocket. So the largest
/// packet is within a rate that is as large as it.
const OVERHEAD: u64 = 16 << 10;

/// The rates of a listener's clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// Packets a second, with a second's worth at once; 0: no limit.
    pub packets_per_second: u32,
    /// Bytes a second, with a second's worth and 16 KiB at once; 0: no limit.
    pub bytes_per_second: usize,
    /// What happens to a client over its rate.
    pub over_rate: OverRate,
}

/// Holds one client to its rates. A clone is the same meter. The default one has no limits, and
/// costs nothing.
#[derive(Clone, Debug, Default)]
pub struct RateMeter(Option<Arc<Mutex<Counts>>>);

/// Whether a client may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// It is within its rates.
    Within,
    /// It was over them, and is not to be read until then.
    Wait(Instant),
    /// It was over them, and its connection is to end.
    Over,
}

#[derive(Debug)]
struct Counts {
    packets: Option<Bucket>,
    bytes: Option<Bucket>,
    over_rate: OverRate,
    pace: Pace,
    /// The connection ends: nothing is held back any more.
    lifted: bool,
    /// Tells of pauses of the process, with how long they were when it was read last.
    clock: Option<(RunningTime, Duration)>,
}

impl RateMeter {
    /// A meter for one client.
    pub fn new(limits: &RateLimits) -> Self {
        let RateLimits { packets_per_second, bytes_per_second, over_rate } = *limits;
        let now = Instant::now();
        let packets = Bucket::new(packets_per_second.into(), 0, now);
        let bytes = Bucket::new(bytes_per_second as u64, OVERHEAD, now);
        let counts = Counts { packets, bytes, over_rate, pace: Pace::Within, lifted: false, clock: None };
        let limited = counts.packets.is_some() || counts.bytes.is_some();
        Self(limited.then(|| Arc::new(Mutex::new(counts))))
    }

    /// Makes up for pauses of the process from now on: what the client has sent meanwhile comes at
    /// once.
    pub fn keep_time(&self, time: &RunningTime) {
        if let Some(mut counts) = self.counts() {
            counts.clock = Some((time.clone(), time.read().lost));
        }
    }

    /// Takes note of what was read, and returns whether more may be.
    pub fn take(&self, packets: u64, bytes: u64) -> Pace {
        let Some(mut counts) = self.counts().filter(|counts| !counts.lifted) else { return Pace::Within };
        let now = counts.now();
        let debt = |bucket: &mut Option<Bucket>, count| bucket.as_mut().map(|bucket| bucket.take(count, now));
        let wait = debt(&mut counts.packets, packets).max(debt(&mut counts.bytes, bytes)).unwrap_or_default();
        counts.pace = match (counts.pace, counts.over_rate) {
            (Pace::Over, _) => Pace::Over,
            _ if wait.is_zero() => Pace::Within,
            (_, OverRate::Close) => Pace::Over,
            (_, OverRate::Delay) => Pace::Wait(now + wait),
        };
        counts.pace
    }

    /// Whether the client may be read now.
    pub fn pace(&self) -> Pace {
        let Some(mut counts) = self.counts().filter(|counts| !counts.lifted) else { return Pace::Within };
        if matches!(counts.pace, Pace::Wait(until) if until <= Instant::now()) {
            counts.pace = Pace::Within;
        }
        counts.pace
    }

    /// Takes all limits away: the connection ends, and what still comes is thrown away.
    pub fn lift(&self) {
        if let Some(mut counts) = self.counts() {
            counts.lifted = true;
        }
    }

    /// Whether the client was over its rates, and its connection ends for that.
    pub(super) fn was_over(&self) -> bool {
        self.counts().is_some_and(|counts| counts.pace == Pace::Over)
    }

    fn counts(&self) -> Option<MutexGuard<'_, Counts>> {
        Some(self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Counts {
    /// The time now. Tokens of a pause that has been since this was called last are added.
    fn now(&mut self) -> Instant {
        let Some((time, lost_before)) = &mut self.clock else { return Instant::now() };
        let Reading { real, lost, .. } = time.read();
        let pause = lost.saturating_sub(std::mem::replace(lost_before, lost));
        for bucket in [&mut self.packets, &mut self.bytes].into_iter().flatten() {
            bucket.make_up(pause);
        }
        real
    }
}

/// The error by which a reader learns that its client is over its rates, and that the connection is
/// to end.
pub(super) fn over_rate() -> io::Error {
    io::Error::new(io::ErrorKind::QuotaExceeded, "over the rate of packets or bytes")
}

/// A token bucket that may go into debt: what has come has come, and the client waits until it has
/// paid.
#[derive(Debug)]
struct Bucket {
    per_second: f64,
    /// As many as it holds at most: a second's worth and what is beside it.
    most: f64,
    /// Below zero: debt.
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    /// None: no limit.
    fn new(per_second: u64, beside: u64, now: Instant) -> Option<Self> {
        let most = (per_second + beside) as f64;
        (per_second > 0).then_some(Self { per_second: per_second as f64, most, tokens: most, filled: now })
    }

    /// Adds the tokens of a pause, even beyond what it holds. They stay until they are taken.
    fn make_up(&mut self, pause: Duration) {
        self.tokens += pause.as_secs_f64() * self.per_second;
    }

    /// Takes so many tokens, and says how long it takes until the debt is paid; zero: there is
    /// none.
    fn take(&mut self, count: u64, now: Instant) -> Duration {
        let elapsed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = now;
        let full = self.most.max(self.tokens);
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

    fn meter(packets_per_second: u32, bytes_per_second: usize, over_rate: OverRate) -> RateMeter {
        RateMeter::new(&RateLimits { packets_per_second, bytes_per_second, over_rate })
    }

    #[test]
    fn a_second_s_worth_at_once_and_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, 0, start).unwrap();
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
        let mut bucket = Bucket::new(10, 0, start).unwrap();
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

    #[tokio::test(start_paused = true)]
    async fn a_debtor_waits_and_then_goes_on() {
        let meter = meter(10, 0, OverRate::Delay);
        assert_eq!(meter.take(10, 1 << 40), Pace::Within);
        // Whoever holds the meter sees the debt of the others.
        let Pace::Wait(until) = meter.clone().take(5, 0) else { panic!("it is in debt") };
        assert_eq!(until - Instant::now(), Duration::from_millis(500));
        assert_eq!(meter.pace(), Pace::Wait(until));
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(meter.pace(), Pace::Within);
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_over_stays_over_until_the_limits_are_lifted() {
        let meter = meter(0, 64 << 10, OverRate::Close);
        assert_eq!(meter.take(1 << 40, (64 << 10) + OVERHEAD), Pace::Within);
        assert_eq!(meter.take(0, 1), Pace::Over);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!((meter.take(0, 0), meter.pace()), (Pace::Over, Pace::Over));
        meter.lift();
        assert_eq!((meter.take(9, 1 << 40), meter.pace()), (Pace::Within, Pace::Within));
        assert!(meter.was_over());
    }

    #[test]
    fn zero_is_no_limit() {
        let meter = meter(0, 0, OverRate::Close);
        assert!(meter.0.is_none());
        assert_eq!(meter.take(u64::MAX, u64::MAX), Pace::Within);
    }
}
