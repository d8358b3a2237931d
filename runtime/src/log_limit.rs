//! Keeps clients and guests from filling the log: so many lines a second, and a count of those left out.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lines that connections may write in a second. More say nothing that these do not.
const LINES_A_SECOND: u32 = 200;

/// Counts the lines of a second.
#[derive(Debug)]
pub(crate) struct LogLimit {
    lines: u32,
    second: Mutex<Second>,
}

#[derive(Debug)]
struct Second {
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
        let second = Mutex::new(Second { began: Instant::now(), lines: 0, left_out: 0 });
        Self { lines, second }
    }

    /// Whether a line may be written; then, how many were left out before it.
    pub(crate) fn admit(&self) -> Option<u64> {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if now - second.began >= Duration::from_secs(1) {
            (second.began, second.lines) = (now, 0);
        }
        if second.lines == self.lines {
            second.left_out += 1;
            return None;
        }
        second.lines += 1;
        Some(std::mem::take(&mut second.left_out))
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
