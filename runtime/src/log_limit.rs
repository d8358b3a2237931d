//! Keeps clients, guests and servers of NATS from filling the log: so many lines in a time, and a count of those left
//! out.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lines of one kind that may be written in a second. More say nothing that these do not.
const LINES_A_SECOND: u32 = 200;

/// Logs an event, as [`tracing::event!`] does, unless its place in the code has logged as many lines as it may in
/// this second. The next line has the field `left_out`, the number of lines before it that were not written.
///
/// For each line that a client, a codec, a service or another node can cause.
macro_rules! limited {
    ($level:ident, $($event:tt)+) => {{
        static LIMIT: $crate::log_limit::LogLimit = $crate::log_limit::LogLimit::new();
        // Whoever does not want the line takes no lock for it.
        if tracing::enabled!(tracing::Level::$level)
            && let Some(left_out) = LIMIT.admit()
        {
            tracing::event!(tracing::Level::$level, left_out = (left_out > 0).then_some(left_out), $($event)+);
        }
    }};
}

pub(crate) use limited;

/// Counts the lines of a period.
#[derive(Debug)]
pub(crate) struct LogLimit {
    period: Duration,
    lines: u32,
    current: Mutex<Period>,
}

#[derive(Debug)]
struct Period {
    /// None before the first line.
    began: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl LogLimit {
    pub(crate) const fn new() -> Self {
        Self::per_second(LINES_A_SECOND)
    }

    /// Admits so many lines a second.
    pub(crate) const fn per_second(lines: u32) -> Self {
        Self::every(Duration::from_secs(1), lines)
    }

    /// Admits so many lines in each period.
    pub(crate) const fn every(period: Duration, lines: u32) -> Self {
        let current = Mutex::new(Period { began: None, lines: 0, left_out: 0 });
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
        if current.began.is_none_or(|began| now - began >= self.period) {
            (current.began, current.lines) = (Some(now), 0);
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

    /// What was logged.
    #[derive(Clone, Default)]
    struct Log(std::sync::Arc<Mutex<String>>);

    impl std::io::Write for Log {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().push_str(std::str::from_utf8(line).unwrap());
            Ok(line.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_in_the_code_has_a_limit_of_its_own() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let _default = tracing::subscriber::set_default(subscriber);
        let many = |number: u32| limited!(INFO, number, "many");
        (0..300).for_each(many);
        limited!(INFO, "another");
        limited!(DEBUG, "nobody wants this");
        tokio::time::advance(Duration::from_secs(1)).await;
        many(300);
        let text = log.0.lock().unwrap().clone();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 202, "{text}");
        assert!(lines[199].ends_with("many number=199") && lines[200].ends_with("another"), "{text}");
        assert!(lines[201].ends_with("many left_out=100 number=300"), "{}", lines[201]);
    }

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
