//! Counts the log lines of this process that nobody can read, for the metrics of a server.

use std::sync::atomic::{AtomicU64, Ordering};

static OVER_LIMIT: AtomicU64 = AtomicU64::new(0);
static UNWRITTEN: AtomicU64 = AtomicU64::new(0);

/// Log lines of this process that nobody can read, since its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostLines {
    /// Lines that were over the limit of their kind ([`LogLimit`](crate::LogLimit)).
    pub over_limit: u64,
    /// Lines that the writer of the log left out ([`count_unwritten_line`]).
    pub unwritten: u64,
}

impl LostLines {
    /// Returns the counts of now.
    pub fn so_far() -> Self {
        Self { over_limit: OVER_LIMIT.load(Ordering::Relaxed), unwritten: UNWRITTEN.load(Ordering::Relaxed) }
    }
}

/// Counts a line that the writer of the log left out, because it could not be written fast enough.
pub fn count_unwritten_line() {
    UNWRITTEN.fetch_add(1, Ordering::Relaxed);
}

/// Counts a line over the limit of its kind.
pub(crate) fn count_line_over_limit() {
    OVER_LIMIT.fetch_add(1, Ordering::Relaxed);
}
