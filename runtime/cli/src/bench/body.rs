//! Request bodies. Each body holds a number of its own.

use memchr::memmem;

/// The text before the number. A receiver searches a message for this text and the tag of this run,
/// because each server puts the text of a message in another place.
const MARK: &str = "wireplug-bench-";

/// The hexadecimal digits of a number.
const DIGITS: usize = 16;

/// A JSON object with one text, which consists of the mark, the tag, a number and padding.
#[derive(Clone)]
pub(super) struct Numbered {
    bytes: Vec<u8>,
    /// The offset of the number in `bytes`.
    number: usize,
    least: usize,
}

impl Numbered {
    /// Makes bodies of `size` bytes, or of the least size if `size` is smaller.
    pub(super) fn new(key: &str, size: usize) -> Self {
        let mut bytes = format!("{{\"{key}\":\"{}", tag()).into_bytes();
        let number = bytes.len();
        let least = number + DIGITS + 2;
        bytes.resize(size.max(least) - 2, b'.');
        bytes.extend_from_slice(b"\"}");
        Self { bytes, number, least }
    }

    /// Returns the least size of a body, in bytes.
    pub(super) fn least(&self) -> usize {
        self.least
    }

    /// Returns the body with this number.
    pub(super) fn with(&mut self, number: u64) -> &[u8] {
        for (place, digit) in self.bytes[self.number..][..DIGITS].iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(number >> (60 - 4 * place) & 15) as usize];
        }
        &self.bytes
    }
}

/// Finds the numbers of this run's bodies in the messages that a server makes of them.
pub(super) struct Finder(memmem::Finder<'static>);

impl Finder {
    pub(super) fn new() -> Self {
        Self(memmem::Finder::new(&tag()).into_owned())
    }

    /// Returns the number in a message, or `None` if the message does not belong to this run.
    pub(super) fn number(&self, body: &[u8]) -> Option<u64> {
        let number = body.get(self.0.find(body)? + self.0.needle().len()..)?.get(..DIGITS)?;
        u64::from_str_radix(str::from_utf8(number).ok()?, 16).ok()
    }
}

/// Returns the text that distinguishes the messages of this process from those of other processes
/// that load the same server.
fn tag() -> String {
    format!("{MARK}{:x}-", std::process::id())
}
