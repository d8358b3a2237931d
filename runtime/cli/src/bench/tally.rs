//! What is counted and measured.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

/// What went wrong, by cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    /// A connection could not be made.
    Connect,
    /// The server did not answer the handshake, or refused it.
    Handshake,
    /// The server refused a connection the chat, or a message.
    Refused,
    /// An answer is not what its request asked for.
    Mismatch,
    /// A request was not answered in time.
    Timeout,
    /// The server threw a connection out.
    Kick,
    /// A connection ended.
    Closed,
    /// The server sent what the protocol does not allow.
    Protocol,
    /// A push did not come.
    Missing,
    /// A push came again.
    Duplicate,
    /// A push came after one that was sent after it.
    OutOfOrder,
}

impl Cause {
    pub(super) const ALL: [Self; 11] = [
        Self::Connect,
        Self::Handshake,
        Self::Refused,
        Self::Mismatch,
        Self::Timeout,
        Self::Kick,
        Self::Closed,
        Self::Protocol,
        Self::Missing,
        Self::Duplicate,
        Self::OutOfOrder,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Handshake => "handshake",
            Self::Refused => "refused",
            Self::Mismatch => "mismatch",
            Self::Timeout => "timeout",
            Self::Kick => "kick",
            Self::Closed => "closed",
            Self::Protocol => "protocol",
            Self::Missing => "missing",
            Self::Duplicate => "duplicate",
            Self::OutOfOrder => "out-of-order",
        }
    }
}

/// Why a connection cannot go on.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) cause: Cause,
    pub(super) what: String,
}

impl Failure {
    pub(super) fn new(cause: Cause, what: impl Into<String>) -> Self {
        Self { cause, what: what.into() }
    }
}

/// The beginning of what a server sent, so that it does a terminal no harm.
pub(super) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().take(200).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Errors of one cause.
#[derive(Clone, Debug)]
pub(super) struct Errors {
    pub(super) count: u64,
    /// The first of them in words.
    pub(super) first: String,
}

/// What one thread has seen; all of them together in the end.
pub(super) struct Tally {
    /// Answers or pushes so far, measured or not.
    pub(super) seen: u64,
    /// Measured requests or messages.
    pub(super) sent: u64,
    /// Latencies of measured answers or pushes, in nanoseconds.
    pub(super) latency: Histogram<u64>,
    pub(super) errors: BTreeMap<Cause, Errors>,
}

impl Tally {
    pub(super) fn new() -> Self {
        // From a microsecond to an hour, with three digits.
        let latency =
            Histogram::new_with_bounds(1_000, 3_600_000_000_000, 3).expect("these bounds are valid");
        Self { seen: 0, sent: 0, latency, errors: BTreeMap::new() }
    }

    /// Takes in a latency that is measured.
    pub(super) fn took(&mut self, time: Duration) {
        self.latency.saturating_record(time.as_nanos() as u64);
    }

    /// Counts errors. `what` tells the first of a cause.
    pub(super) fn count(&mut self, cause: Cause, count: u64, what: impl FnOnce() -> String) {
        if count > 0 {
            self.errors.entry(cause).or_insert_with(|| Errors { count: 0, first: what() }).count += count;
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.seen += other.seen;
        self.sent += other.sent;
        self.latency.add(&other.latency).expect("all have the same bounds");
        for (&cause, errors) in &other.errors {
            self.count(cause, errors.count, || errors.first.clone());
        }
    }

    pub(super) fn error_count(&self) -> u64 {
        self.errors.values().map(|errors| errors.count).sum()
    }
}
