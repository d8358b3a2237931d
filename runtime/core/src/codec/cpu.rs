//! CPU time of codec calls: how it is counted, and the budget of a codec.
//!
//! Most calls are counted by ticks alone: the thread that ends overlong calls also moves a counter
//! on about once a millisecond, and each tick that falls into a call is charged to it as one
//! millisecond. That costs two loads a call and is right on average. It is wrong for a thread that
//! was descheduled in the middle of a call, so ticks alone slow nobody: where they say that a
//! budget is used up, the calls are measured by the thread's CPU clock for a while, and only
//! measured time slows or ends anybody.
//!
//! A codec's budget is a token bucket in virtual time, and turns over the budget are reservations
//! in it: each has an instant of its own, so that the sessions of a codec that wants too much do
//! not resume at once. Nothing here locks, sleeps or wakes; `server/budget.rs` does.

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::CodecLimits;

/// The mean period of the tick counter. 1 ms: fine enough for a deadline of 10 ms, and a thousand
/// wake-ups a second cost nothing.
pub const TICK: Duration = Duration::from_millis(1);

/// How far a codec may run ahead of its budget, in wall time. Short: while a codec spends its
/// burst, its calls may hold every worker thread, and the clients of other codecs wait.
const BURST: Duration = Duration::from_millis(10);

/// How long calls are measured after a budget was last found to be used up.
pub const MEASURED_FOR: Duration = Duration::from_secs(5);

/// A slot that comes while all of a codec's lanes are busy is tried again after this time at the
/// least.
const MIN_RETRY: Duration = Duration::from_millis(1);

/// What a turn is taken to cost before any was measured.
const FIRST_GUESS: Duration = Duration::from_micros(100);

/// A codec that goes over its budget again within this time after a log line about it is not logged
/// again.
const QUIET: Duration = Duration::from_secs(10);

/// Counts the ticks of the thread that moves the epochs on. Cheap to clone; clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Ticks(Arc<TickCount>);

/// Alone on its cache lines, since each call reads it.
#[derive(Debug, Default)]
#[repr(align(128))]
struct TickCount(AtomicU64);

impl Ticks {
    /// Counts one.
    pub fn advance(&self) {
        self.0.0.fetch_add(1, Relaxed);
    }

    /// How many there were.
    pub fn now(&self) -> u64 {
        self.0.0.load(Relaxed)
    }
}

/// CPU time that a session's calls took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// By ticks that fell into calls.
    pub estimated: Duration,
    /// By the thread's CPU clock.
    pub measured: Duration,
}

impl CpuTime {
    /// Both together.
    pub fn total(&self) -> Duration {
        self.estimated + self.measured
    }
}

/// Counts the CPU time of one sandbox's calls, and charges it to the codec's account.
#[derive(Debug)]
pub struct Meter {
    account: Arc<CpuAccount>,
    /// The session's calls are measured, whether the codec's are or not.
    measures: bool,
    spent: CpuTime,
}

/// The beginning of a call.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    ticks: u64,
    cpu: Option<Duration>,
}

impl Begun {
    /// The thread's CPU clock at that time, if the call is measured.
    pub fn cpu(&self) -> Option<Duration> {
        self.cpu
    }
}

impl Meter {
    /// Creates a counter that charges an account.
    pub fn new(account: Arc<CpuAccount>) -> Self {
        Self { account, measures: false, spent: CpuTime::default() }
    }

    /// Notes that a call begins.
    pub fn begin(&self) -> Begun {
        let measures = self.measures || self.account.is_measured.load(Relaxed);
        Begun { ticks: self.account.ticks.now(), cpu: measures.then(thread_cpu_time) }
    }

    /// Charges the call that began so.
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

    /// What was spent since the last call of this. From now on, calls are measured or not as
    /// `measures` says.
    pub fn take(&mut self, measures: bool) -> CpuTime {
        self.measures = measures;
        std::mem::take(&mut self.spent)
    }
}

/// The CPU clock of this thread.
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
    /// Processors that the codec may keep busy; none: it has no budget.
    share: Option<f64>,
    /// Turns over the budget that may be under way at a time.
    lanes: usize,
    /// What the calls cost so far is paid for at this time, in nanoseconds since the start.
    paid: AtomicU64,
    /// Calls are measured, until this time at the least.
    is_measured: AtomicBool,
    measured_until: AtomicU64,
    /// The codec is over its budget: its sessions wait for a turn.
    is_over: AtomicBool,
    /// Turns over the budget that are under way.
    running: AtomicUsize,
    /// What a turn cost of late, in nanoseconds.
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

/// What the log says of an account.
#[derive(Debug, Default)]
struct Logged {
    /// When a line was written last.
    at: Option<Instant>,
    /// Since when the codec is over its budget, if the log says that it is.
    over_since: Option<Instant>,
}

/// How a codec stands with its budget of CPU time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CpuStatus {
    /// The codec is over its budget (`limits.total-cpu`): its sessions wait for turns.
    pub is_over: bool,
    /// How often the codec went over its budget.
    pub times_over: u64,
    /// Turns that its sessions had to wait for.
    pub delayed: u64,
    /// How long all these waits took together, in milliseconds.
    pub delayed_ms: u64,
    /// How often a session went over its own budget (`limits.session-cpu`).
    pub sessions_over: u64,
    /// Sessions that were ended since they stayed over their own budget.
    pub sessions_ended: u64,
}

/// What to do about a turn.
#[derive(Debug)]
pub enum Turn {
    /// It may begin.
    Now(Grant),
    /// It must wait for so long; then [`Reservation::begin`].
    Later(Reservation, Duration),
}

/// A turn's place in virtual time. Gives back what it reserved when it is dropped.
#[derive(Debug)]
pub struct Reservation {
    account: Arc<CpuAccount>,
    /// In nanoseconds of virtual time.
    cost: u64,
}

/// A turn over the budget that is under way. The calls in it charge what they really cost; what was
/// reserved is given back when this is dropped.
#[derive(Debug)]
pub struct Grant(Reservation);

impl CpuAccount {
    /// The account of a codec slot of this name.
    pub fn new(name: &str, limits: &CodecLimits, ticks: Ticks) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self::with_processors(name, limits, ticks, processors)
    }

    /// An account without a budget.
    pub fn unlimited(ticks: Ticks) -> Self {
        Self::with_processors("", &CodecLimits { total_cpu: 0, ..CodecLimits::default() }, ticks, 1)
    }

    fn with_processors(name: &str, limits: &CodecLimits, ticks: Ticks, processors: usize) -> Self {
        let share = f64::from(limits.total_cpu) / 100.0 * processors as f64;
        Self {
            name: name.to_owned(),
            ticks,
            // A little ago, so that times before now are above zero.
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

    /// The ticks of the engine.
    pub fn ticks(&self) -> &Ticks {
        &self.ticks
    }

    /// Whether turns must be reserved.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }

    /// How it stands.
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

    /// Counts a session that was ended since it stayed over its own budget.
    pub fn count_session_ended(&self) {
        self.counts.sessions_ended.fetch_add(1, Relaxed);
    }

    /// What a turn cost of late.
    pub fn usual(&self) -> Duration {
        Duration::from_nanos(self.usual.load(Relaxed))
    }

    /// Takes note of what a turn cost.
    pub fn note_turn(&self, cost: Duration) {
        // Threads that do so at the same time may lose a note: it is a guess anyway.
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
                // An estimate slows nobody. What it has charged is forgotten, and calls are
                // measured.
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

    /// Asks for a turn that may cost so much. Only while [`CpuAccount::is_over`].
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

    /// Adds a cost to what is to be paid, from the later of what was to be paid and what `from`
    /// makes of it; and returns the sum.
    fn pay(&self, cost: u64, from: impl Fn(u64) -> u64) -> u64 {
        let pay = |paid: u64| from(paid).saturating_add(cost);
        let update = self.paid.fetch_update(Relaxed, Relaxed, |paid| Some(pay(paid)));
        pay(update.unwrap_or_else(|paid| paid))
    }

    /// What CPU time costs in wall time; none: nothing.
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
    /// Begins the turn, where a lane is free; else says how long to wait before it is tried again.
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

/// A moving average.
pub fn average(before: Duration, now: Duration) -> Duration {
    (before * 3 + now) / 4
}

/// Returns a time in nanoseconds; the largest number where there are more.
pub fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
