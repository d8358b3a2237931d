//! The time in which this process runs.
//!
//! A process may be stopped, and its machine suspended, for longer than a client's deadline. What
//! the client sent in that time lies in its socket. So a pause does not count: running time stands
//! still from its begin until a moment after its end, in which what has arrived is read. All
//! deadlines that a client may miss are measured in running time; no timer of tokio is, so each is
//! set by [`RunningTime::real`].
//!
//! A clock that nobody [keeps](RunningTime::keep) never stands still.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

/// How often it is noted that the process runs.
const BEAT: Duration = Duration::from_millis(100);

/// What was noted so short a time ago is not noted again, in milliseconds. So a pause begins at
/// most so long after the last note: whoever asks later notes it.
const FRESH: u32 = 50;

/// A process that did not run for so long has made a pause, in milliseconds. A busy machine is late
/// by less, and no deadline of a client is so short.
const PAUSE: u32 = 500;

/// How long running time stands still after a pause, in milliseconds: as long as the pause, and no
/// longer than this. That is enough to read what 10,000 clients have sent.
const MAX_GRACE: u32 = 1000;

/// How long the process must have run before another pause stops the clock, in milliseconds. Else
/// the deadlines of clients that send nothing would never come where the machine is always too
/// slow.
const REST: u32 = 5000;

/// A clock that stands still while the process does not run. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct RunningTime(Arc<State>);

#[derive(Debug)]
struct State {
    epoch: Instant,
    noted: AtomicU64,
    /// When the clock stood still last, in milliseconds since the epoch.
    rested: AtomicU32,
    kept: AtomicBool,
}

/// What is noted of the process. In one word, so that all see both parts change at once.
/// Milliseconds wrap after 49 days, which differences do not mind.
#[derive(Clone, Copy)]
struct Noted {
    /// How long the clock has stood still in all.
    lost: u32,
    /// When the process ran last, since the epoch; after a pause, when the clock goes on.
    ran: u32,
}

/// The clock as it is read.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// The real time.
    pub real: Instant,
    /// The running time.
    pub running: Instant,
    /// It stands still: nobody is to be judged.
    pub stands_still: bool,
    /// How long it has stood still in all.
    pub lost: Duration,
}

impl Noted {
    fn unpack(word: u64) -> Self {
        Self { lost: (word >> 32) as u32, ran: word as u32 }
    }

    fn pack(self) -> u64 {
        u64::from(self.lost) << 32 | u64::from(self.ran)
    }
}

impl Default for RunningTime {
    fn default() -> Self {
        Self(Arc::new(State {
            epoch: Instant::now(),
            noted: AtomicU64::new(0),
            rested: AtomicU32::new(0_u32.wrapping_sub(REST)),
            kept: AtomicBool::new(false),
        }))
    }
}

impl RunningTime {
    /// Notes that the process runs, again and again, until the future is dropped. One task does so
    /// for all that use the clock.
    pub async fn keep(&self) {
        /// However the future ends, nobody keeps the clock any more.
        struct Keeper<'a>(&'a State);
        impl Drop for Keeper<'_> {
            fn drop(&mut self) {
                self.0.kept.store(false, Ordering::Release);
            }
        }
        self.read();
        self.0.kept.store(true, Ordering::Release);
        let _keeper = Keeper(&self.0);
        loop {
            sleep(BEAT).await;
            self.read();
        }
    }

    /// Returns this instant in running time.
    pub fn now(&self) -> Instant {
        self.read().running
    }

    /// Returns when running time reaches an instant and goes on, if there is no other pause until
    /// then and none that nobody has found yet. What was there before the last reading may be as
    /// late as that.
    pub fn real(&self, running: Instant) -> Instant {
        let Noted { lost, ran } = Noted::unpack(self.0.noted.load(Ordering::Acquire));
        let real = running + ms(lost.into());
        let before = ran.wrapping_sub((real - self.0.epoch).as_millis() as u32) as i32;
        real + ms(before.max(0) as u64)
    }

    /// Waits until an instant in running time.
    pub async fn sleep_until(&self, at: Instant) {
        loop {
            let now = self.read().real;
            let real = self.real(at);
            if real <= now {
                return;
            }
            sleep_until(real).await;
        }
    }

    /// Waits for a future, so long in running time. [`Duration::MAX`] is for ever. None: it took
    /// longer.
    pub async fn timeout<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
        let Some(until) = self.now().checked_add(limit) else { return Some(future.await) };
        tokio::select! {
            biased;
            done = future => Some(done),
            () = self.sleep_until(until) => None,
        }
    }

    /// Reads the clock, and notes that the process runs.
    pub fn read(&self) -> Reading {
        let epoch = self.0.epoch;
        let real = Instant::now();
        let since_epoch = (real - epoch).as_millis() as u64;
        let Noted { lost, ran } = self.note(since_epoch as u32);
        let lost = ms(lost.into());
        let still = ran.wrapping_sub(since_epoch as u32) as i32;
        // In whole milliseconds, so that it really stands still.
        let running = if still > 0 { epoch + ms(since_epoch + still as u64) } else { real };
        Reading { real, running: running - lost, stands_still: still > 0, lost }
    }

    /// Notes that the process runs, in milliseconds since the epoch. Returns what is noted then.
    fn note(&self, ran: u32) -> Noted {
        let State { noted, rested, kept, .. } = &*self.0;
        let mut word = noted.load(Ordering::Acquire);
        loop {
            let last = Noted::unpack(word);
            let gap = ran.wrapping_sub(last.ran);
            // Below zero: others were quicker, or the clock stands still.
            if (gap as i32) < FRESH as i32 {
                return last;
            }
            let grace = gap.min(MAX_GRACE);
            let has_run = last.ran.wrapping_sub(rested.load(Ordering::Acquire)) >= REST;
            // Up to `FRESH` of the gap somebody may have seen.
            let lost = last.lost.checked_add(gap - FRESH).and_then(|lost| lost.checked_add(grace));
            let next = match lost {
                Some(lost) if gap >= PAUSE && has_run && kept.load(Ordering::Acquire) => {
                    Noted { lost, ran: ran.wrapping_add(grace) }
                }
                _ => Noted { ran, ..last },
            };
            match noted.compare_exchange_weak(word, next.pack(), Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    if next.lost != last.lost {
                        rested.store(next.ran, Ordering::Release);
                    }
                    return next;
                }
                Err(found) => word = found,
            }
        }
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
