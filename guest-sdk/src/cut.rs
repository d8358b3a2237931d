//! Cuts the usual kinds of packets from a stream. For [`Framer::cut`](crate::Framer::cut).
//!
//! Each function looks at the front of `bytes`, the rest of the stream, and finds where the first
//! packet ends. A [`Limit`] is the largest packet in bytes, its framing included. A function
//! returns an error as soon as the bytes can no longer become a packet within the limit. It asks
//! for as many bytes as the packet is known to need, and takes time in proportion to the bytes that
//! it gets.
//!
//! ```
//! use wireplug_guest::cut::{self, Cut, Digits};
//!
//! /// A netstring: `5:hello,`.
//! fn netstring(bytes: &[u8]) -> Result<Cut, wireplug_guest::Fault> {
//!     match cut::digits(bytes, 0, b':', 1000)? {
//!         Digits::Number { value, end } => cut::fixed(bytes, end + value + 1, (1006, "netstring")),
//!         Digits::Need(total) => Ok(Cut::Need(total)),
//!     }
//! }
//! assert_eq!(netstring(b""), Ok(Cut::Need(1)));
//! assert_eq!(netstring(b"5:hel"), Ok(Cut::Need(8)));
//! assert_eq!(netstring(b"5:hello,3:"), Ok(Cut::Packet(8)));
//! assert!(netstring(b"1001:").is_err());
//! ```

// A need must never pass over a length of the rest at which the function would return an error.
// Otherwise the division of the stream would decide whether there is an error.

use memchr::{memchr, memchr2, memmem};

use crate::Fault;

/// What stands at the front of the rest of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// A packet of this many bytes, framing included: at least 1, and no more than there are.
    Packet(usize),
    /// No whole packet. `cut` is called again when the rest has at least this many bytes, more than
    /// it has now. A packet that needs more bytes than the listener allows ends the connection.
    Need(usize),
    /// The rest and everything behind it is TLS. Only after a packet, on a connection with the
    /// attribute `starttls`, if the codec implements [`TlsUpgrade`](crate::TlsUpgrade).
    StartTls,
}

/// The largest packet in bytes, or the largest number.
///
/// Every function takes a number, such as `512`, or a number and a noun: `(512, "header line")`.
/// Reasons call the packet or the number by this noun. Without one it is a packet or a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    max: usize,
    noun: Option<&'static str>,
}

impl From<usize> for Limit {
    fn from(max: usize) -> Self {
        Self { max, noun: None }
    }
}

impl From<(usize, &'static str)> for Limit {
    fn from((max, noun): (usize, &'static str)) -> Self {
        Self { max, noun: Some(noun) }
    }
}

impl Limit {
    /// Returns a fault about a packet.
    #[cold]
    fn fault(self, what: &str) -> Fault {
        Fault::fatal(format!("the {} {what}", self.noun.unwrap_or("packet")))
    }

    #[cold]
    fn too_long(self) -> Fault {
        self.fault(&format!("has more than {} bytes", self.max))
    }

    #[cold]
    fn no_number(self) -> Fault {
        let noun = self.noun.unwrap_or("length");
        Fault::fatal(format!("the {noun} is not a decimal number from 0 to {}", self.max))
    }
}

/// Cuts a packet whose length is known. Also the last step for a codec that has read the length
/// itself.
///
/// # Errors
/// Returns an error if the packet has no bytes, or more than the limit.
pub fn fixed(bytes: &[u8], length: usize, limit: impl Into<Limit>) -> Result<Cut, Fault> {
    bounded(bytes, length as u64, limit.into())
}

/// Cuts a packet whose length may be larger than any that this machine can have.
fn bounded(bytes: &[u8], length: u64, limit: Limit) -> Result<Cut, Fault> {
    match usize::try_from(length) {
        Ok(0) => Err(limit.fault("has 0 bytes")),
        Ok(length) if length <= limit.max => {
            Ok(if bytes.len() < length { Cut::Need(length) } else { Cut::Packet(length) })
        }
        _ => Err(limit.too_long()),
    }
}

/// Returns the answer for bytes without an end: at least `missing` bytes follow. The bytes are
/// refused only when they reach the limit, and no need is above the limit.
fn search_on(bytes: &[u8], missing: usize, limit: Limit) -> Result<Cut, Fault> {
    if bytes.len() < limit.max {
        Ok(Cut::Need(limit.max.min(bytes.len() + missing)))
    } else {
        Err(limit.too_long())
    }
}

/// A binary length of fixed width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LengthField {
    /// The number of bytes before the field.
    pub offset: usize,
    /// The width of the field in bytes, 1 to 4.
    pub width: usize,
    /// The field is little-endian; otherwise it is big-endian.
    pub little_endian: bool,
    /// Added to the value of the field to get the number of bytes that follow it.
    pub adjust: i32,
}

impl LengthField {
    /// Cuts a packet with this length field.
    ///
    /// # Errors
    /// Returns an error if the length is negative, or the packet has more bytes than the limit.
    ///
    /// # Panics
    /// Panics if the width is not 1 to 4.
    pub fn cut(&self, bytes: &[u8], limit: impl Into<Limit>) -> Result<Cut, Fault> {
        let limit = limit.into();
        let &Self { offset, width, little_endian, adjust } = self;
        assert!((1..=4).contains(&width), "the width of a length field is 1 to 4 bytes");
        let head = offset + width;
        let Some(field) = bytes.get(offset..head) else { return bounded(bytes, head as u64, limit) };
        let add = |value: i64, byte: &u8| (value << 8) | i64::from(*byte);
        let value = if little_endian { field.iter().rev().fold(0, add) } else { field.iter().fold(0, add) };
        let Ok(behind) = u64::try_from(value + i64::from(adjust)) else {
            let least = i64::from(adjust).abs();
            return Err(Fault::fatal(format!("the length field is {value}, and at least {least} is needed")));
        };
        bounded(bytes, head as u64 + behind, limit)
    }
}

/// Cuts a packet that ends with a delimiter, which belongs to the packet.
///
/// # Errors
/// Returns an error if the packet has more bytes than the limit.
///
/// # Panics
/// Panics if the delimiter is empty.
pub fn line(bytes: &[u8], delimiter: &[u8], limit: impl Into<Limit>) -> Result<Cut, Fault> {
    let limit = limit.into();
    assert!(!delimiter.is_empty(), "a delimiter has at least one byte");
    let seen = &bytes[..bytes.len().min(limit.max)];
    if let Some(at) = memmem::find(seen, delimiter) {
        return Ok(Cut::Packet(at + delimiter.len()));
    }
    // The last bytes may be the beginning of the delimiter.
    let begun = (1..delimiter.len()).rev().find(|length| bytes.ends_with(&delimiter[..*length]));
    search_on(bytes, delimiter.len() - begun.unwrap_or(0), limit)
}

/// A decimal number in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digits {
    /// The number, and where the bytes behind its delimiter begin.
    Number {
        /// The number.
        value: usize,
        /// The index of the first byte behind the delimiter.
        end: usize,
    },
    /// The number is not complete. The rest must have at least this many bytes.
    Need(usize),
}

/// Reads a decimal number that begins at the index `at` and ends before a delimiter. The limit is
/// the largest number. The number has no more digits than the limit, and no sign and no space.
///
/// # Errors
/// Returns an error if there are no digits, too many or other bytes, or if the number is above the
/// limit.
pub fn digits(bytes: &[u8], at: usize, delimiter: u8, limit: impl Into<Limit>) -> Result<Digits, Fault> {
    let limit = limit.into();
    let most_digits = limit.max.checked_ilog10().map_or(1, |log| log as usize + 1);
    let mut value: usize = 0;
    for (index, &byte) in bytes.get(at..).unwrap_or_default().iter().enumerate() {
        if byte == delimiter && index > 0 {
            return Ok(Digits::Number { value, end: at + index + 1 });
        }
        if !byte.is_ascii_digit() || index == most_digits {
            return Err(limit.no_number());
        }
        let longer = value.checked_mul(10).and_then(|value| value.checked_add(usize::from(byte - b'0')));
        value = longer.filter(|value| *value <= limit.max).ok_or_else(|| limit.no_number())?;
    }
    Ok(Digits::Need(bytes.len().max(at) + 1))
}

/// Cuts a value in BER or DER: tag, length and content. The length is definite: one byte, or the
/// long form with up to 4 bytes.
///
/// # Errors
/// Returns an error if the length is indefinite or has more than 4 bytes, if the tag has more than
/// 5 bytes, or if the packet has more bytes than the limit.
pub fn ber(bytes: &[u8], limit: impl Into<Limit>) -> Result<Cut, Fault> {
    /// The low bits of a first byte that is followed by the number of the tag.
    const LONG_TAG: u8 = 0x1f;
    /// Set in each byte of a tag's number except the last, and in the first byte of a long length.
    const MORE: u8 = 0x80;
    let limit = limit.into();
    let need = |total: usize| bounded(bytes, total as u64, limit);
    let mut at = 1;
    if bytes.first().is_some_and(|first| first & LONG_TAG == LONG_TAG) {
        loop {
            let Some(byte) = bytes.get(at) else { return need(at + 1) };
            at += 1;
            if byte & MORE == 0 {
                break;
            }
            if at == 5 {
                return Err(Fault::fatal("the tag has more than 5 bytes"));
            }
        }
    }
    let Some(&first) = bytes.get(at) else { return need(at + 1) };
    at += 1;
    if first & MORE == 0 {
        return bounded(bytes, at as u64 + u64::from(first), limit);
    }
    let width = usize::from(first & !MORE);
    if width == 0 {
        return Err(Fault::fatal("the length is indefinite"));
    }
    if width > 4 {
        return Err(Fault::fatal("the length has more than 4 bytes"));
    }
    let Some(length) = bytes.get(at..at + width) else { return need(at + width) };
    let length = length.iter().fold(0, |length, byte| (length << 8) | u64::from(*byte));
    bounded(bytes, (at + width) as u64 + length, limit)
}

/// Cuts a packet that ends with a delimiter, which belongs to the packet. An escape byte makes the
/// byte behind it an ordinary one, even if it is the delimiter or an escape byte.
///
/// # Errors
/// Returns an error if the packet has more bytes than the limit.
pub fn escaped(bytes: &[u8], delimiter: u8, escape: u8, limit: impl Into<Limit>) -> Result<Cut, Fault> {
    let limit = limit.into();
    let seen = &bytes[..bytes.len().min(limit.max)];
    let mut at = 0;
    while let Some(found) = seen.get(at..).and_then(|rest| memchr2(delimiter, escape, rest)) {
        at += found;
        if seen[at] == delimiter {
            return Ok(Cut::Packet(at + 1));
        }
        at += 2;
    }
    // After an escape byte, `at` counts the byte behind it, which may not be there.
    search_on(bytes, at.max(bytes.len()) + 1 - bytes.len(), limit)
}

/// Cuts a packet that begins and ends with the same delimiter, as in `7e … 7e`. Both belong to the
/// packet. The delimiter does not occur between them, not even behind an escape byte. Further
/// delimiters at the beginning belong to the packet too.
///
/// # Errors
/// Returns an error if another byte is the first one, or if the packet has more bytes than the
/// limit.
pub fn enclosed(bytes: &[u8], delimiter: u8, limit: impl Into<Limit>) -> Result<Cut, Fault> {
    let limit = limit.into();
    match bytes.first() {
        None => return search_on(bytes, 1, limit),
        Some(&first) if first != delimiter => {
            return Err(limit.fault(&format!("begins with {first:#04x}, and not with {delimiter:#04x}")));
        }
        Some(_) => {}
    }
    let seen = &bytes[..bytes.len().min(limit.max)];
    let Some(content) = seen.iter().position(|byte| *byte != delimiter) else {
        // Another byte and the delimiter are missing.
        return search_on(bytes, 2, limit);
    };
    match memchr(delimiter, &seen[content..]) {
        Some(length) => Ok(Cut::Packet(content + length + 1)),
        None => search_on(bytes, 1, limit),
    }
}
