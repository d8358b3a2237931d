//! The counts, latencies and errors of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

/// The causes of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    /// A connection could not be made.
    Connect,
    /// The server did not answer the handshake, or refused it.
    Handshake,
    /// The server refused to let a connection join the chat, or refused a message.
    Refused,
    /// An answer does not match its request.
    Mismatch,
    /// A request was not answered in time.
    Timeout,
    /// The server kicked a connection.
    Kick,
    /// A connection ended.
    Closed,
    /// The server broke the protocol.
    Protocol,
    /// A push did not arrive.
    Missing,
    /// A push arrived more than once.
    Duplicate,
    /// A push arrived after one that was sent later.
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

/// The reason why a connection cannot continue.
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

/// Returns the beginning of the bytes that a server sent, as text that is safe to print on a
/// terminal.
pub(super) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().take(200).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Errors of one cause.
#[derive(Clone, Debug)]
pub(super) struct Errors {
    pub(super) count: u64,
    /// The text of the first error.
    pub(super) first: String,
}

/// The counts of one thread, or the sum of all threads at the end.
pub(super) struct Tally {
    /// The answers or pushes so far, measured or not.
    pub(super) seen: u64,
    /// The measured requests or messages.
    pub(super) sent: u64,
    /// The latencies of measured answers or pushes, in nanoseconds.
    pub(super) latency: Histogram<u64>,
    pub(super) errors: BTreeMap<Cause, Errors>,
}

impl Tally {
    pub(super) fn new() -> Self {
        // The range is from a microsecond to an hour, with three significant digits.
        let latency =
            Histogram::new_with_bounds(1_000, 3_600_000_000_000, 3).expect("these bounds are valid");
        Self { seen: 0, sent: 0, latency, errors: BTreeMap::new() }
    }

    /// Records a measured latency.
    pub(super) fn took(&mut self, time: Duration) {
        self.latency.saturating_record(time.as_nanos() as u64);
    }

    /// Counts errors of a cause. `what` describes the first error of the cause.
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
