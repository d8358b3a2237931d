//! CPU time of codec calls: how it is counted, and the budget of a codec.
//!
//! Most calls are counted by ticks. The thread that ends overlong calls also increments a counter
//! about once a millisecond. Each tick that occurs during a call is charged to the call as one
//! millisecond. This costs two loads a call, and the average is right. A single call is charged
//! wrongly if its thread was descheduled in the middle of it, so ticks alone slow down no session.
//! When the ticks indicate that a budget is used up, the calls are measured with the thread's CPU
//! clock for a while. Only measured time slows down or ends a session.
//!
//! A codec's budget is a token bucket in virtual time. A turn over the budget is a reservation in
//! virtual time. Each reservation has an instant of its own, so the sessions of a codec that is
//! over its budget do not resume all at once. Nothing in this module sleeps or wakes a task, and
//! only its log lines take a lock. The task of a session waits for a turn in `server/budget.rs`.

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::CodecLimits;

/// The mean period of the tick counter. 1 ms is short enough for a deadline of 10 ms, and the cost
/// of a thousand wake-ups a second is negligible.
pub const TICK: Duration = Duration::from_millis(1);

/// How far a codec may exceed its budget at once, in wall time. It is short because the calls of a
/// codec may occupy every worker thread during this time, and the clients of other codecs wait.
const BURST: Duration = Duration::from_millis(10);

/// How long calls are measured after a budget was last found to be used up.
pub const MEASURED_FOR: Duration = Duration::from_secs(5);

/// The shortest wait before a turn that is due is tried again if all of the codec's lanes are busy.
const MIN_RETRY: Duration = Duration::from_millis(1);

/// The assumed cost of a turn before any turn was measured.
const FIRST_GUESS: Duration = Duration::from_micros(100);

/// The time after a log line about a budget in which no other line reports that the codec is over
/// its budget.
const QUIET: Duration = Duration::from_secs(10);

/// Counts the ticks of the thread that increments the epochs. Cheap to clone; clones share the
/// count.
#[derive(Clone, Debug, Default)]
pub struct Ticks(Arc<TickCount>);

/// The count, alone on its cache lines because each call reads it.
#[derive(Debug, Default)]
#[repr(align(128))]
struct TickCount(AtomicU64);

impl Ticks {
    /// Counts one tick.
    pub fn advance(&self) {
        self.0.0.fetch_add(1, Relaxed);
    }

    /// Returns the number of ticks so far.
    pub fn now(&self) -> u64 {
        self.0.0.load(Relaxed)
    }
}

/// The CPU time of a session's calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// The time that was estimated from the ticks during calls.
    pub estimated: Duration,
    /// The time that was measured with the thread's CPU clock.
    pub measured: Duration,
}

impl CpuTime {
    /// Returns the sum of both.
    pub fn total(&self) -> Duration {
        self.estimated + self.measured
    }
}

/// Counts the CPU time of one sandbox's calls, and charges it to the codec's account.
#[derive(Debug)]
pub struct Meter {
    account: Arc<CpuAccount>,
    /// Whether this session's calls are measured even if the codec's calls are not.
    measures: bool,
    spent: CpuTime,
}

/// The state of the counters when a call began.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    ticks: u64,
    cpu: Option<Duration>,
}

impl Begun {
    /// Returns the thread's CPU clock when the call began, if the call is measured.
    pub fn cpu(&self) -> Option<Duration> {
        self.cpu
    }
}

impl Meter {
    /// Creates a counter that charges an account.
    pub fn new(account: Arc<CpuAccount>) -> Self {
        Self { account, measures: false, spent: CpuTime::default() }
    }

    /// Reads the counters at the beginning of a call.
    pub fn begin(&self) -> Begun {
        let measures = self.measures || self.account.is_measured.load(Relaxed);
        Begun { ticks: self.account.ticks.now(), cpu: measures.then(thread_cpu_time) }
    }

    /// Charges the call that has ended. The argument is the result of [`Meter::begin`] for this
    /// call.
    pub fn end(&mut self, Begun { ticks, cpu }: Begun) {
        if let Some(cpu) = cpu {
            let spent = thread_cpu_time().saturating_sub(cpu);
            self.spent.measured += spent;
            self.account.charge(spent, true);
            return;
        }
        let ticks = u32::try_from(self.account.ticks.now() - ticks).unwrap_or(u32::MAX);
        if ticks > 0 {
            let spent = TICK.saturating_mul(ticks);
            self.spent.estimated += spent;
            self.account.charge(spent, false);
        }
    }

    /// Returns the CPU time since the last call of this method. From now on, the time of calls is
    /// measured with the thread's CPU clock if `measures` is true, and is estimated otherwise.
    pub fn take(&mut self, measures: bool) -> CpuTime {
        self.measures = measures;
        std::mem::take(&mut self.spent)
    }
}

/// Returns the CPU time of this thread.
pub fn thread_cpu_time() -> Duration {
    // A call runs on one thread from end to end, so its clock measures the call.
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// The CPU time that all sandboxes of a codec slot use together, and its budget.
#[derive(Debug)]
pub struct CpuAccount {
    /// The slot's name, for the log.
    name: String,
    ticks: Ticks,
    started: Instant,
    /// The number of processors that the codec may keep busy, or `None` if it has no budget.
    share: Option<f64>,
    /// The number of turns over the budget that may run at the same time.
    lanes: usize,
    /// The time at which the budget has paid for all calls so far, in nanoseconds since the start.
    /// The codec is over its budget while this time is in the future.
    paid: AtomicU64,
    /// Whether calls are measured. They are measured at least until `measured_until`.
    is_measured: AtomicBool,
    measured_until: AtomicU64,
    /// Whether the codec is over its budget, so that its sessions wait for turns.
    is_over: AtomicBool,
    /// The number of turns over the budget that run now.
    running: AtomicUsize,
    /// The moving average of the cost of a turn, in nanoseconds.
    usual: AtomicU64,
    counts: CpuCounts,
    logged: Mutex<Logged>,
}

#[derive(Debug, Default)]
struct CpuCounts {
    times_over: AtomicU64,
    delayed: AtomicU64,
    delayed_micros: AtomicU64,
    sessions_over: AtomicU64,
    sessions_ended: AtomicU64,
}

/// The log lines about an account.
#[derive(Debug, Default)]
struct Logged {
    /// When the last line was written.
    at: Option<Instant>,
    /// Since when the codec has been over its budget, if a log line has reported it.
    over_since: Option<Instant>,
}

/// The state of a codec's budget of CPU time, and its counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CpuStatus {
    /// Whether the codec is over its budget (`limits.total-cpu`), so that its sessions wait for
    /// turns.
    pub is_over: bool,
    /// How often the codec went over its budget.
    pub times_over: u64,
    /// The number of turns that had to wait.
    pub delayed: u64,
    /// The sum of all these waits, in milliseconds.
    pub delayed_ms: u64,
    /// How often a session went over its own budget (`limits.session-cpu`).
    pub sessions_over: u64,
    /// The number of sessions that ended because they stayed over their own budget.
    pub sessions_ended: u64,
}

/// The answer to a request for a turn.
#[derive(Debug)]
pub enum Turn {
    /// The turn may begin.
    Now(Grant),
    /// The turn must wait for this time; then call [`Reservation::begin`].
    Later(Reservation, Duration),
}

/// A turn's place in virtual time. Releases the reserved cost when it is dropped.
#[derive(Debug)]
pub struct Reservation {
    account: Arc<CpuAccount>,
    /// The reserved cost, in nanoseconds of virtual time.
    cost: u64,
}

/// A turn over the budget that runs now. The calls in the turn charge their actual cost. The
/// reserved cost is released when this value is dropped.
#[derive(Debug)]
pub struct Grant(Reservation);

impl CpuAccount {
    /// Creates the account of the codec slot with this name.
    pub fn new(name: &str, limits: &CodecLimits, ticks: Ticks) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self::with_processors(name, limits, ticks, processors)
    }

    /// Creates an account without a budget.
    pub fn unlimited(ticks: Ticks) -> Self {
        Self::with_processors("", &CodecLimits { total_cpu: 0, ..CodecLimits::default() }, ticks, 1)
    }

    fn with_processors(name: &str, limits: &CodecLimits, ticks: Ticks, processors: usize) -> Self {
        let share = f64::from(limits.total_cpu) / 100.0 * processors as f64;
        Self {
            name: name.to_owned(),
            ticks,
            // One second ago, so that a time shortly before now is still positive.
            started: Instant::now().checked_sub(Duration::from_secs(1)).unwrap_or_else(Instant::now),
            share: (limits.total_cpu > 0).then_some(share),
            lanes: (share as usize).max(1),
            paid: AtomicU64::new(0),
            is_measured: AtomicBool::new(false),
            measured_until: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            running: AtomicUsize::new(0),
            usual: AtomicU64::new(nanos(FIRST_GUESS)),
            counts: CpuCounts::default(),
            logged: Mutex::default(),
        }
    }

    /// Returns the tick counter of the engine.
    pub fn ticks(&self) -> &Ticks {
        &self.ticks
    }

    /// Returns whether turns must be reserved.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }

    /// Returns the state of the budget and the counts.
    pub fn status(&self) -> CpuStatus {
        let counts = &self.counts;
        CpuStatus {
            is_over: self.is_over() && self.paid.load(Relaxed) > self.now(),
            times_over: counts.times_over.load(Relaxed),
            delayed: counts.delayed.load(Relaxed),
            delayed_ms: counts.delayed_micros.load(Relaxed) / 1000,
            sessions_over: counts.sessions_over.load(Relaxed),
            sessions_ended: counts.sessions_ended.load(Relaxed),
        }
    }

    /// Counts a session that went over its own budget.
    pub fn count_session_over(&self) {
        self.counts.sessions_over.fetch_add(1, Relaxed);
    }

    /// Counts a session that was ended because it stayed over its own budget.
    pub fn count_session_ended(&self) {
        self.counts.sessions_ended.fetch_add(1, Relaxed);
    }

    /// Returns the moving average of the cost of a turn.
    pub fn usual(&self) -> Duration {
        Duration::from_nanos(self.usual.load(Relaxed))
    }

    /// Adds the cost of a turn to the moving average.
    pub fn note_turn(&self, cost: Duration) {
        // If two threads store at the same time, one cost may be lost. The average is only an
        // estimate.
        self.usual.store(nanos(average(self.usual(), cost)), Relaxed);
    }

    /// Charges a call.
    fn charge(&self, spent: Duration, is_measured: bool) {
        self.charge_at(self.now(), spent, is_measured);
    }

    fn charge_at(&self, now: u64, spent: Duration, is_measured: bool) {
        let Some(cost) = self.cost(spent) else { return };
        let measures = self.is_measured.load(Relaxed);
        if measures && !is_measured {
            // A call that began before the account was measured.
            return;
        }
        let paid = self.pay(cost, |paid| paid.max(now.saturating_sub(nanos(BURST))));
        let is_over = paid > now;
        match (measures, is_over) {
            (false, true) => {
                // Estimated time slows down no session. The account forgets the estimated cost, and
                // measures the calls from now on.
                self.measured_until.store(now + nanos(MEASURED_FOR), Relaxed);
                self.paid.store(now.saturating_sub(nanos(BURST)), Relaxed);
                self.is_measured.store(true, Relaxed);
            }
            (true, true) => {
                self.measured_until.store(now + nanos(MEASURED_FOR), Relaxed);
                if !self.is_over.swap(true, Relaxed) {
                    self.counts.times_over.fetch_add(1, Relaxed);
                    self.log_over();
                }
            }
            (true, false) if now > self.measured_until.load(Relaxed) => {
                self.is_measured.store(false, Relaxed);
            }
            (_, false) => {}
        }
    }

    /// Requests a turn with this expected cost. Call this only while [`CpuAccount::is_over`].
    pub fn turn(self: &Arc<Self>, cost: Duration) -> Turn {
        self.turn_at(self.now(), cost)
    }

    fn turn_at(self: &Arc<Self>, now: u64, cost: Duration) -> Turn {
        let cost = self.cost(cost).unwrap_or(0);
        if self.paid.load(Relaxed) + nanos(BURST) / 2 < now && self.is_over.swap(false, Relaxed) {
            self.log_under();
        }
        let slot = self.pay(cost, |paid| paid.max(now)) - cost;
        let reservation = Reservation { account: Arc::clone(self), cost };
        match slot.checked_sub(now).filter(|wait| *wait > 0) {
            None => match reservation.begin() {
                Ok(grant) => Turn::Now(grant),
                Err((reservation, wait)) => {
                    self.count_delay(wait);
                    Turn::Later(reservation, wait)
                }
            },
            Some(wait) => {
                let wait = Duration::from_nanos(wait);
                self.count_delay(wait);
                Turn::Later(reservation, wait)
            }
        }
    }

    /// Adds a cost to `paid` and returns the sum. `from` maps the current value of `paid` to the
    /// value to which the cost is added.
    fn pay(&self, cost: u64, from: impl Fn(u64) -> u64) -> u64 {
        let pay = |paid: u64| from(paid).saturating_add(cost);
        let update = self.paid.fetch_update(Relaxed, Relaxed, |paid| Some(pay(paid)));
        pay(update.unwrap_or_else(|paid| paid))
    }

    /// Returns the wall time in which the budget pays for this CPU time, in nanoseconds, or `None`
    /// if there is no budget.
    fn cost(&self, spent: Duration) -> Option<u64> {
        self.share.map(|share| (nanos(spent) as f64 / share) as u64)
    }

    fn now(&self) -> u64 {
        nanos(self.started.elapsed())
    }

    fn count_delay(&self, wait: Duration) {
        self.counts.delayed.fetch_add(1, Relaxed);
        self.counts.delayed_micros.fetch_add(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    fn log_over(&self) {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if logged.at.is_none_or(|at| now - at > QUIET) {
            (logged.at, logged.over_since) = (Some(now), Some(now));
            warn!(
                codec = self.name,
                "the codec is over its CPU budget (limits.total-cpu): its sessions wait"
            );
        }
    }

    fn log_under(&self) {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(since) = logged.over_since.take() {
            logged.at = Some(Instant::now());
            let seconds = since.elapsed().as_secs();
            let delayed = self.counts.delayed.load(Relaxed);
            info!(codec = self.name, seconds, delayed, "the codec is within its CPU budget again");
        }
    }
}

impl Reservation {
    /// Begins the turn if a lane is free. Otherwise returns the reservation with the time to wait
    /// before the next attempt.
    pub fn begin(self) -> Result<Grant, (Self, Duration)> {
        let account = &self.account;
        let below = |running: usize| Some(running + 1).filter(|running| *running <= account.lanes);
        match account.running.fetch_update(Relaxed, Relaxed, below) {
            Ok(_) => Ok(Grant(self)),
            Err(_) => {
                let wait = account.usual().max(MIN_RETRY);
                Err((self, wait))
            }
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let back = |paid: u64| Some(paid.saturating_sub(self.cost));
        let _ = self.account.paid.fetch_update(Relaxed, Relaxed, back);
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.0.account.running.fetch_sub(1, Relaxed);
    }
}

/// Returns a moving average in which the new value has a weight of one quarter.
pub fn average(before: Duration, now: Duration) -> Duration {
    (before * 3 + now) / 4
}

/// Returns a time in nanoseconds, or `u64::MAX` if the number does not fit.
pub fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
