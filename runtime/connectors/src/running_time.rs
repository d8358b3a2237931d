//! A clock that counts only the time in which this process runs.
//!
//! A process may be stopped, or its machine suspended, for longer than a client's deadline. Data
//! that the client sent in that time waits in its socket. So a pause does not count: running time
//! stands still from the beginning of the pause until a moment after its end, and in that moment
//! the server reads what has arrived. All deadlines that a client may miss are measured in running
//! time. The timers of tokio use real time, so each is set with [`RunningTime::real`].
//!
//! A clock stands still only if a task [keeps](RunningTime::keep) it.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

/// How often the keeper notes that the process runs.
const BEAT: Duration = Duration::from_millis(100);

/// The shortest time between two notes, in milliseconds. A reading that follows a note sooner makes
/// no note. So a pause may begin up to this long after the last note.
const FRESH: u32 = 50;

/// The shortest time without running that counts as a pause, in milliseconds. On a busy machine the
/// process is late by less, and no deadline of a client is this short.
const PAUSE: u32 = 500;

/// The longest time for which running time stands still after a pause, in milliseconds. After a
/// shorter pause it stands still for the length of the pause. One second is enough to read what
/// 10,000 clients have sent.
const MAX_GRACE: u32 = 1000;

/// How long the process must have run before another pause stops the clock, in milliseconds.
/// Otherwise, on a machine that is always too slow, the deadlines of clients that send nothing
/// would never pass.
const REST: u32 = 5000;

/// A clock that stands still while the process does not run. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct RunningTime(Arc<State>);

#[derive(Debug)]
struct State {
    epoch: Instant,
    noted: AtomicU64,
    /// When the clock last resumed after a pause, in milliseconds since the epoch.
    rested: AtomicU32,
    kept: AtomicBool,
}

/// The last note that the process ran. Both parts are in one word, so that all threads see them
/// change at once. Milliseconds wrap around after 49 days, which does not affect differences.
#[derive(Clone, Copy)]
struct Noted {
    /// How long the clock has stood still in total, in milliseconds.
    lost: u32,
    /// When the process last ran, in milliseconds since the epoch. After a pause: when the clock
    /// resumes.
    ran: u32,
}

/// One reading of the clock.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// The real time.
    pub real: Instant,
    /// The running time.
    pub running: Instant,
    /// Whether the clock stands still. While it does, no client may be ended for a missed deadline.
    pub stands_still: bool,
    /// How long the clock has stood still in total.
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
    /// Notes at intervals that the process runs, until the future is dropped. One task does so for
    /// all users of the clock.
    pub async fn keep(&self) {
        /// Marks the clock as not kept, however the future ends.
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

    /// Returns the current running time.
    pub fn now(&self) -> Instant {
        self.read().running
    }

    /// Returns the real time at which running time reaches an instant. If the clock stands still at
    /// that instant, returns when it resumes. The result assumes that no further pause occurs
    /// before, and that every past pause has been noted. For an instant before the last note, the
    /// result may be as late as that note.
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

    /// Waits for a future, for at most `limit` of running time; [`Duration::MAX`] means no limit.
    /// Returns `None` if the future took longer.
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
        // Whole milliseconds, so that the running time really stands still.
        let running = if still > 0 { epoch + ms(since_epoch + still as u64) } else { real };
        Reading { real, running: running - lost, stands_still: still > 0, lost }
    }

    /// Notes that the process ran at `ran`, in milliseconds since the epoch. Returns the note that
    /// is valid after that.
    fn note(&self, ran: u32) -> Noted {
        let State { noted, rested, kept, .. } = &*self.0;
        let mut word = noted.load(Ordering::Acquire);
        loop {
            let last = Noted::unpack(word);
            let gap = ran.wrapping_sub(last.ran);
            // A negative gap means that another thread noted a later time, or that the clock stands
            // still.
            if (gap as i32) < FRESH as i32 {
                return last;
            }
            let grace = gap.min(MAX_GRACE);
            let has_run = last.ran.wrapping_sub(rested.load(Ordering::Acquire)) >= REST;
            // Somebody may have read the clock up to `FRESH` after the last note.
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
