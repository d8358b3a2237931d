//! Keeps clients, guests and servers of NATS from filling the log: so many lines in a time, and a count of those left
//! out.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lines that connections may write in a second. More say nothing that these do not.
const LINES_A_SECOND: u32 = 200;

/// Counts the lines of a period.
#[derive(Debug)]
pub(crate) struct LogLimit {
    period: Duration,
    lines: u32,
    current: Mutex<Period>,
}

#[derive(Debug)]
struct Period {
    began: Instant,
    lines: u32,
    left_out: u64,
}

impl LogLimit {
    pub(crate) fn new() -> Self {
        Self::per_second(LINES_A_SECOND)
    }

    /// Admits so many lines a second.
    pub(crate) fn per_second(lines: u32) -> Self {
        Self::every(Duration::from_secs(1), lines)
    }

    /// Admits so many lines in each period.
    pub(crate) fn every(period: Duration, lines: u32) -> Self {
        let current = Mutex::new(Period { began: Instant::now(), lines: 0, left_out: 0 });
        Self { period, lines, current }
    }

    /// Writes a line if it may be written. It is given how many were left out before it, if any were.
    #[cfg_attr(not(feature = "nats"), expect(dead_code, reason = "NATS alone has lines of this kind"))]
    pub(crate) fn log(&self, line: impl FnOnce(Option<u64>)) {
        if let Some(left_out) = self.admit() {
            line(Some(left_out).filter(|count| *count > 0));
        }
    }

    /// Whether a line may be written; then, how many were left out before it.
    pub(crate) fn admit(&self) -> Option<u64> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if now - current.began >= self.period {
            (current.began, current.lines) = (now, 0);
        }
        if current.lines == self.lines {
            current.left_out += 1;
            return None;
        }
        current.lines += 1;
        Some(std::mem::take(&mut current.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_second_has_so_many_lines_and_the_next_says_what_is_missing() {
        let limit = LogLimit::new();
        for _ in 0..2 {
            assert_eq!((0..300).filter_map(|_| limit.admit()).sum::<u64>(), 0);
            tokio::time::advance(Duration::from_secs(1)).await;
            assert_eq!(limit.admit(), Some(100));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
    }
}
