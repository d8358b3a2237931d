//! Request bodies, each with a number of its own.

use memchr::memmem;

/// What stands before the number. A receiver looks for it, and for this run's tag, wherever a
/// server puts a message's text.
const MARK: &str = "wireplug-bench-";

/// Hexadecimal digits of a number.
const DIGITS: usize = 16;

/// A JSON object with one text: the mark, the tag, a number, and what fills it up to a size.
#[derive(Clone)]
pub(super) struct Numbered {
    bytes: Vec<u8>,
    /// Where the number begins.
    number: usize,
    least: usize,
}

impl Numbered {
    /// Of exactly `size` bytes, or of the least that it takes.
    pub(super) fn new(key: &str, size: usize) -> Self {
        let mut bytes = format!("{{\"{key}\":\"{}", tag()).into_bytes();
        let number = bytes.len();
        let least = number + DIGITS + 2;
        bytes.resize(size.max(least) - 2, b'.');
        bytes.extend_from_slice(b"\"}");
        Self { bytes, number, least }
    }

    /// The least size.
    pub(super) fn least(&self) -> usize {
        self.least
    }

    /// The body with this number.
    pub(super) fn with(&mut self, number: u64) -> &[u8] {
        for (place, digit) in self.bytes[self.number..][..DIGITS].iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(number >> (60 - 4 * place) & 15) as usize];
        }
        &self.bytes
    }
}

/// Finds the numbers of this run's bodies in what a server made of them.
pub(super) struct Finder(memmem::Finder<'static>);

impl Finder {
    pub(super) fn new() -> Self {
        Self(memmem::Finder::new(&tag()).into_owned())
    }

    /// The number; none in what is not of this run.
    pub(super) fn number(&self, body: &[u8]) -> Option<u64> {
        let number = body.get(self.0.find(body)? + self.0.needle().len()..)?.get(..DIGITS)?;
        u64::from_str_radix(str::from_utf8(number).ok()?, 16).ok()
    }
}

/// Tells this process from others that load the same server.
fn tag() -> String {
    format!("{MARK}{:x}-", std::process::id())
}
