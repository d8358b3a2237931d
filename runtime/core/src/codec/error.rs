//! Why a codec call failed.

use std::borrow::Cow;

use super::{Failure, Violation};

/// Why a codec call failed. Each error ends the session, because the state of the codec is unknown
/// after it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The codec refused to be configured, to open the session, or to continue encoding.
    #[error("refused: {0}")]
    Refused(Reason),
    /// The guest's code trapped.
    #[error("trap: {0}")]
    Trap(Failure),
    /// The call exceeded its time limit.
    #[error("deadline: {0}")]
    Deadline(Failure),
    /// Too many calls in a second were slow.
    #[error("slow: {0}")]
    Slow(Reason),
    /// The session stayed over its budget of CPU time.
    #[error("budget: {0}")]
    Budget(Reason),
    /// The guest requested more memory than its limit.
    #[error("memory: {0}")]
    Memory(Failure),
    /// The answer is larger than the limit for an answer.
    #[error("answer too large: {0}")]
    Oversized(Reason),
    /// The answer breaks the contract.
    #[error("answer breaks the contract: {0}")]
    Violation(#[from] Violation),
    /// The runtime has no room for another sandbox, or for the memory of all sandboxes of the codec
    /// together.
    #[error("no room: {0}")]
    Exhausted(Reason),
}

impl CodecError {
    /// Returns the cause in one word, for metrics and log fields.
    pub fn cause(&self) -> &'static str {
        match self {
            CodecError::Refused(_) => "refused",
            CodecError::Trap(_) => "trap",
            CodecError::Deadline(_) => "deadline",
            CodecError::Slow(_) => "slow",
            CodecError::Budget(_) => "budget",
            CodecError::Memory(_) => "memory",
            CodecError::Oversized(_) => "oversized",
            CodecError::Violation(_) => "violation",
            CodecError::Exhausted(_) => "exhausted",
        }
    }

    /// Returns the failure if the call ended inside the guest's code.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            CodecError::Trap(failure) | CodecError::Deadline(failure) | CodecError::Memory(failure) => {
                Some(failure)
            }
            _ => None,
        }
    }

    /// Returns the error without the input of the call, which is the client's data, and without the
    /// backtrace.
    #[must_use]
    pub fn without_input(&self) -> Self {
        let mut error = self.clone();
        if let Some(failure) = error.failure_mut() {
            *failure = failure.without_input();
        }
        error
    }

    /// Returns the failure, to add what is known, if the call ended inside the guest's code.
    pub fn failure_mut(&mut self) -> Option<&mut Failure> {
        match self {
            CodecError::Trap(failure) | CodecError::Deadline(failure) | CodecError::Memory(failure) => {
                Some(failure)
            }
            _ => None,
        }
    }

    /// Adds the input of the call if the call ended inside the guest's code. `describe` gets the
    /// position in the input, if the guest gave one, and returns what the input is, and its bytes.
    #[must_use]
    pub fn with_input<'a>(mut self, describe: impl FnOnce(Option<usize>) -> (String, Cow<'a, [u8]>)) -> Self {
        if let Some(failure) = self.failure_mut() {
            failure.set_input(describe);
        }
        self
    }
}

/// A text from a guest or a client that is safe to log: at most 256 bytes, in one line, with
/// control characters escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    /// The longest reason, in bytes.
    pub const MAX: usize = 256;

    /// Creates a reason from text of any length and content.
    pub fn new(text: impl AsRef<[u8]>) -> Self {
        Self(escaped(text, Self::MAX))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns at most `max` bytes of a text of any length and content, in one line, with control
/// characters escaped.
pub(super) fn escaped(text: impl AsRef<[u8]>, max: usize) -> String {
    let text = text.as_ref();
    // Escaping only makes text longer, so text after the limit is never needed. But a character
    // that crosses the limit must be read whole, or it would look like invalid UTF-8.
    let lossy = String::from_utf8_lossy(&text[..text.len().min(max + 3)]);
    let mut safe = String::new();
    for c in lossy.chars() {
        let escaped = c.escape_debug();
        // Quotes are safe in a log line, and escaping them would make it hard to read.
        let plain = matches!(c, '"' | '\'');
        let length = if plain { 1 } else { escaped.clone().map(char::len_utf8).sum() };
        if safe.len() + length > max {
            break;
        }
        if plain { safe.push(c) } else { safe.extend(escaped) }
    }
    safe
}
