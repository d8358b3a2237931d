//! Holds each client to its rates, by counting where its bytes are read.
//!
//! A meter uses no socket and never waits. The code that reads from a client reports to the meter
//! how much it has read, and asks whether it may read more. All readers of one client, such as its
//! connection and a library below it, share one meter.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::config::OverRate;
use crate::running_time::{Reading, RunningTime};

/// How many bytes may come at once in addition to one second's worth. They make room for what a
/// transport adds to the packets: the heads of frames, the handshake and records of TLS, and the
/// request that opens a WebSocket. So a packet as large as one second's worth is still within the
/// rate.
const OVERHEAD: u64 = 16 << 10;

/// The rates of a listener's clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimits {
    /// Packets per second. One second's worth may come at once. 0: no limit.
    pub packets_per_second: u32,
    /// Bytes per second. One second's worth and 16 KiB may come at once. 0: no limit.
    pub bytes_per_second: usize,
    /// What happens to a client that exceeds a rate.
    pub over_rate: OverRate,
}

/// The meter that holds one client to its rates. A clone is the same meter. The default meter has
/// no limits.
#[derive(Clone, Debug, Default)]
pub struct RateMeter(Arc<Mutex<Metered>>);

/// What a meter holds: `None` while there are no limits, so that most clients need little memory.
type Metered = Option<Box<Counts>>;

/// What a meter has counted, for a meter in another process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SavedMeter {
    limits: RateLimits,
    /// The tokens of the two buckets. A negative number is a debt.
    packets: Option<f64>,
    bytes: Option<f64>,
    is_over: bool,
}

/// Whether a client may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// The client is within its rates.
    Within,
    /// The client was over its rates, and must not be read before this instant.
    Wait(Instant),
    /// The client was over its rates, and its connection must end.
    Over,
}

#[derive(Debug)]
struct Counts {
    limits: RateLimits,
    packets: Option<Bucket>,
    bytes: Option<Bucket>,
    pace: Pace,
    /// Whether the limits are lifted because the connection ends.
    lifted: bool,
    /// The clock that reports pauses of the process, and how long it had stood still in total at
    /// its last reading.
    clock: Option<(RunningTime, Duration)>,
}

impl RateMeter {
    /// Creates a meter for one client.
    pub fn new(limits: &RateLimits) -> Self {
        Self(Arc::new(Mutex::new(Counts::new(limits))))
    }

    /// Holds the client to other rates from now on. The client begins with a second's worth of
    /// them, unless they are those that it has. It stays over if it was over.
    ///
    /// From now on the meter compensates for pauses of the process, which `time` knows. After a
    /// pause, everything that the client has sent in the meantime arrives at once, so the meter
    /// adds the tokens of that time.
    pub fn set(&self, limits: &RateLimits, time: &RunningTime) {
        let mut metered = self.lock();
        let is_other = metered.as_ref().map_or(RateLimits::default(), |counts| counts.limits) != *limits;
        let mut counts = if is_other { Counts::new(limits) } else { metered.take() };
        if let Some(counts) = &mut counts {
            let before = metered.as_ref();
            counts.lifted = before.map_or(counts.lifted, |before| before.lifted);
            if before.is_some_and(|before| before.pace == Pace::Over) {
                counts.pace = Pace::Over;
            }
            counts.clock.get_or_insert_with(|| (time.clone(), time.read().lost));
        }
        *metered = counts;
    }

    /// Counts the packets and bytes that were read, and returns whether the client may be read
    /// further.
    pub fn take(&self, packets: u64, bytes: u64) -> Pace {
        let mut metered = self.lock();
        let Some(counts) = limiting(&mut metered) else { return Pace::Within };
        let now = counts.now();
        let debt = |bucket: &mut Option<Bucket>, count| bucket.as_mut().map(|bucket| bucket.take(count, now));
        let wait = debt(&mut counts.packets, packets).max(debt(&mut counts.bytes, bytes)).unwrap_or_default();
        counts.pace = match (counts.pace, counts.limits.over_rate) {
            (Pace::Over, _) => Pace::Over,
            _ if wait.is_zero() => Pace::Within,
            (_, OverRate::Close) => Pace::Over,
            (_, OverRate::Delay) => Pace::Wait(now + wait),
        };
        counts.pace
    }

    /// Returns whether the client may be read now.
    pub fn pace(&self) -> Pace {
        let mut metered = self.lock();
        let Some(counts) = limiting(&mut metered) else { return Pace::Within };
        if matches!(counts.pace, Pace::Wait(until) if until <= Instant::now()) {
            counts.pace = Pace::Within;
        }
        counts.pace
    }

    /// Returns what the meter has counted, for a meter in another process.
    pub fn saved(&self) -> SavedMeter {
        let mut metered = self.lock();
        let Some(counts) = &mut *metered else { return SavedMeter::default() };
        let now = counts.now();
        let tokens = |bucket: &mut Option<Bucket>| {
            bucket.as_mut().map(|bucket| {
                bucket.take(0, now);
                bucket.tokens
            })
        };
        let (packets, bytes) = (tokens(&mut counts.packets), tokens(&mut counts.bytes));
        SavedMeter { limits: counts.limits, packets, bytes, is_over: counts.pace == Pace::Over }
    }

    /// Continues with what a meter in another process has counted, so that the client gains nothing
    /// by the move. As with [`set`](RateMeter::set), the client begins with a second's worth if
    /// this meter has other limits, and stays over if it was over.
    pub fn resume(&self, saved: &SavedMeter) {
        if let Some(counts) = &mut *self.lock() {
            let now = counts.now();
            if counts.limits == saved.limits {
                for (bucket, saved) in
                    [(&mut counts.packets, saved.packets), (&mut counts.bytes, saved.bytes)]
                {
                    if let (Some(bucket), Some(tokens)) = (bucket, saved) {
                        (bucket.tokens, bucket.filled) = (tokens, now);
                    }
                }
            }
            if saved.is_over {
                counts.pace = Pace::Over;
            }
        }
        // A debtor waits.
        self.take(0, 0);
    }

    /// Lifts all limits. Called when the connection ends and further input is discarded.
    pub fn lift(&self) {
        if let Some(counts) = &mut *self.lock() {
            counts.lifted = true;
        }
    }

    /// Returns whether the client was over its rates and its connection must end for that.
    pub(super) fn was_over(&self) -> bool {
        self.lock().as_ref().is_some_and(|counts| counts.pace == Pace::Over)
    }

    fn lock(&self) -> MutexGuard<'_, Metered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the counts, unless there are no limits or they are lifted.
fn limiting(metered: &mut Metered) -> Option<&mut Counts> {
    metered.as_deref_mut().filter(|counts| !counts.lifted)
}

impl Counts {
    /// Creates the counts of a client that begins now, or returns `None` if there are no limits.
    fn new(limits: &RateLimits) -> Metered {
        let now = Instant::now();
        let packets = Bucket::new(limits.packets_per_second.into(), 0, now);
        let bytes = Bucket::new(limits.bytes_per_second as u64, OVERHEAD, now);
        let limited = packets.is_some() || bytes.is_some();
        let counts = Self { limits: *limits, packets, bytes, pace: Pace::Within, lifted: false, clock: None };
        limited.then(|| Box::new(counts))
    }

    /// Returns the current time. Adds the tokens for pauses since the last call.
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

/// Returns the error that tells a reader that its client is over its rates and that the connection
/// must end.
pub(super) fn over_rate() -> io::Error {
    io::Error::new(io::ErrorKind::QuotaExceeded, "over the rate of packets or bytes")
}

/// A token bucket that may go into debt. Data that has arrived cannot be undone, so the client
/// waits until the debt is paid.
#[derive(Debug)]
struct Bucket {
    per_second: f64,
    /// The largest number of tokens: one second's worth and the extra tokens.
    most: f64,
    /// The number of tokens. A negative number is a debt.
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    /// Creates a full bucket that holds one second's worth and `beside` extra tokens. Returns
    /// `None` if `per_second` is zero, which means that there is no limit.
    fn new(per_second: u64, beside: u64, now: Instant) -> Option<Self> {
        let most = (per_second + beside) as f64;
        (per_second > 0).then_some(Self { per_second: per_second as f64, most, tokens: most, filled: now })
    }

    /// Adds the tokens of a pause, even beyond the bucket's size. Tokens beyond it stay until they
    /// are taken.
    fn make_up(&mut self, pause: Duration) {
        self.tokens += pause.as_secs_f64() * self.per_second;
    }

    /// Takes `count` tokens. Returns how long it takes until the debt is paid, or zero if there is
    /// no debt.
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
        // A long idle time earns no more than one second's worth.
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
        // The tokens that are left do not grow beyond the bucket's size.
        let later = resumed + Duration::from_secs(3600);
        assert_eq!(bucket.take(10, later), Duration::ZERO);
        assert_eq!(bucket.take(1, later), Duration::from_millis(100));
    }

    #[tokio::test(start_paused = true)]
    async fn a_debtor_waits_and_then_goes_on() {
        let meter = meter(10, 0, OverRate::Delay);
        assert_eq!(meter.take(10, 1 << 40), Pace::Within);
        // Every holder of the meter sees the debt that the others have caused.
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

    #[tokio::test(start_paused = true)]
    async fn other_rates_hold_at_once_and_the_same_ones_give_nothing_away() {
        let time = RunningTime::default();
        let limits = |packets_per_second| RateLimits { packets_per_second, ..RateLimits::default() };
        let meter = RateMeter::default();
        assert_eq!(meter.take(1 << 40, 0), Pace::Within);
        meter.set(&limits(10), &time);
        assert_eq!(meter.take(10, 0), Pace::Within);
        meter.set(&limits(10), &time);
        assert!(matches!(meter.take(1, 0), Pace::Wait(_)));
        meter.set(&limits(20), &time);
        assert_eq!(meter.pace(), Pace::Within);
        assert_eq!(meter.take(20, 0), Pace::Within);
        let closes = RateLimits { over_rate: OverRate::Close, ..limits(1) };
        meter.set(&closes, &time);
        assert_eq!(meter.take(2, 0), Pace::Over);
        meter.set(&limits(0), &time);
        assert_eq!(meter.take(1 << 40, 0), Pace::Within);
    }

    #[tokio::test(start_paused = true)]
    async fn a_move_to_another_process_gives_nothing_away() {
        let moved = |from: &RateMeter, to: RateMeter| {
            to.resume(&from.saved());
            to
        };
        let first = meter(10, 64 << 10, OverRate::Delay);
        first.take(8, 100);
        let second = moved(&first, meter(10, 64 << 10, OverRate::Delay));
        assert_eq!(second.saved(), first.saved());
        assert_eq!(second.take(2, 0), Pace::Within);
        let Pace::Wait(until) = second.take(5, 0) else { panic!("it is in debt") };
        // A debt is there at once, and is paid as it would have been.
        tokio::time::advance(Duration::from_millis(200)).await;
        let third = moved(&second, meter(10, 64 << 10, OverRate::Delay));
        assert_eq!(third.pace(), Pace::Wait(until));
        tokio::time::advance(Duration::from_millis(300)).await;
        assert_eq!(third.pace(), Pace::Within);

        let other = moved(&second, meter(20, 0, OverRate::Delay));
        assert_eq!(other.take(20, 1 << 40), Pace::Within, "other rates begin anew");
        let over = meter(1, 0, OverRate::Close);
        assert_eq!(over.take(2, 0), Pace::Over);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(moved(&over, meter(20, 0, OverRate::Close)).pace(), Pace::Over);
        assert_eq!(moved(&over, meter(0, 0, OverRate::Close)).pace(), Pace::Within, "there is no limit");
    }

    #[test]
    fn zero_is_no_limit() {
        let meter = meter(0, 0, OverRate::Close);
        assert!(meter.lock().is_none());
        assert_eq!(meter.take(u64::MAX, u64::MAX), Pace::Within);
    }
}
