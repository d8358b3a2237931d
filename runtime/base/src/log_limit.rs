//! Keeps clients, guests and NATS servers from filling the log: limits the lines in a period, and
//! counts the lines that are left out.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The largest number of lines of one kind in a second. Further lines would say nothing new.
const LINES_A_SECOND: u32 = 200;

/// Logs an event, as [`tracing::event!`] does, unless this place in the code has reached its limit
/// of 200 lines in the current second. The next line has the field `left_out`, the number of lines
/// before it that were not written.
///
/// Use it for each line that a client, a codec, a service or another node can cause.
///
/// The crate that calls the macro must depend on `tracing`.
#[macro_export]
macro_rules! limited {
    ($level:ident, $($event:tt)+) => {{
        static LIMIT: $crate::LogLimit = $crate::LogLimit::new();
        // If the level is disabled, no lock is taken.
        if tracing::enabled!(tracing::Level::$level)
            && let Some(left_out) = LIMIT.admit()
        {
            tracing::event!(tracing::Level::$level, left_out = (left_out > 0).then_some(left_out), $($event)+);
        }
    }};
}

/// Limits the lines in each period, and counts those that are left out.
#[derive(Debug)]
pub struct LogLimit {
    period: Duration,
    lines: u32,
    current: Mutex<Period>,
}

#[derive(Debug)]
struct Period {
    /// When the period began, or `None` before the first line.
    began: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl Default for LogLimit {
    fn default() -> Self {
        Self::new()
    }
}

impl LogLimit {
    /// Creates a limit of 200 lines a second.
    pub const fn new() -> Self {
        Self::per_second(LINES_A_SECOND)
    }

    /// Creates a limit of this many lines a second.
    pub const fn per_second(lines: u32) -> Self {
        Self::every(Duration::from_secs(1), lines)
    }

    /// Creates a limit of this many lines in each period.
    pub const fn every(period: Duration, lines: u32) -> Self {
        let current = Mutex::new(Period { began: None, lines: 0, left_out: 0 });
        Self { period, lines, current }
    }

    /// Calls `line` if a line may be written. Its argument is the number of lines that were left
    /// out before it, or `None` if there were none.
    pub fn log(&self, line: impl FnOnce(Option<u64>)) {
        if let Some(left_out) = self.admit() {
            line(Some(left_out).filter(|count| *count > 0));
        }
    }

    /// Returns `None` if no line may be written now, and otherwise the number of lines that were
    /// left out before it. The caller must then write the line.
    pub fn admit(&self) -> Option<u64> {
        self.admit_at(Instant::now())
    }

    fn admit_at(&self, now: Instant) -> Option<u64> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.began.is_none_or(|began| now - began >= self.period) {
            (current.began, current.lines) = (Some(now), 0);
        }
        if current.lines == self.lines {
            current.left_out += 1;
            crate::lost_lines::count_line_over_limit();
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

    #[test]
    fn a_place_in_the_code_has_a_limit_of_its_own() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let _default = tracing::subscriber::set_default(subscriber);
        let begun = Instant::now();
        for number in 0..100_000 {
            limited!(INFO, number, "many");
        }
        let most = LINES_A_SECOND as usize * (2 + begun.elapsed().as_secs() as usize);
        limited!(INFO, "another");
        limited!(DEBUG, "nobody wants this");
        let text = log.0.lock().unwrap().clone();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines.len() <= most && lines.len() < 50_000, "{} lines of at most {most}", lines.len());
        assert!(lines[199].ends_with("many number=199") && text.trim_end().ends_with("another"), "{text}");
    }

    #[test]
    fn a_second_has_so_many_lines_and_the_next_says_what_is_missing() {
        let limit = LogLimit::new();
        let before = crate::LostLines::so_far().over_limit;
        let mut now = Instant::now();
        for _ in 0..2 {
            assert_eq!((0..300).filter_map(|_| limit.admit_at(now)).sum::<u64>(), 0);
            now += Duration::from_secs(1);
            assert_eq!(limit.admit_at(now), Some(100));
            now += Duration::from_secs(1);
        }
        // Other tests of this process count too.
        assert!(crate::LostLines::so_far().over_limit >= before + 200);
    }
}
