//! Cuts the usual kinds of packets from a stream. For [`Framer::cut`](crate::Framer::cut).
//!
//! Each function looks at the front of `bytes`, the rest of the stream, and finds where the first
//! packet ends. `max` is the largest packet in bytes, its framing included. A function returns an
//! error as soon as the bytes can no longer become a packet of at most `max` bytes. It asks for as
//! many bytes as the packet is known to need, and takes time in proportion to the bytes that it
//! gets.
//!
//! ```
//! use wireplug_guest::cut::{self, Cut, Digits};
//!
//! /// A netstring: `5:hello,`.
//! fn netstring(bytes: &[u8]) -> Result<Cut, wireplug_guest::Fault> {
//!     Ok(match cut::digits(bytes, 0, b':', 1000)? {
//!         Digits::Number { value, end } => cut::fixed(bytes, end + value + 1),
//!         Digits::Need(total) => Cut::Need(total),
//!     })
//! }
//! assert_eq!(netstring(b""), Ok(Cut::Need(2)));
//! assert_eq!(netstring(b"5:hel"), Ok(Cut::Need(8)));
//! assert_eq!(netstring(b"5:hello,3:"), Ok(Cut::Packet(8)));
//! assert!(netstring(b"1001:").is_err());
//! ```

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

/// Cuts a packet whose length is known. The length is at least 1; compare it with the largest
/// packet before.
pub fn fixed(bytes: &[u8], length: usize) -> Cut {
    if bytes.len() < length { Cut::Need(length) } else { Cut::Packet(length) }
}

/// Cuts a packet whose length is known, but may be too large.
fn bounded(bytes: &[u8], length: u64, max: usize) -> Result<Cut, Fault> {
    match usize::try_from(length) {
        Ok(length) if length <= max => Ok(fixed(bytes, length)),
        _ => Err(too_long(length, max)),
    }
}

#[cold]
fn too_long(length: u64, max: usize) -> Fault {
    Fault::fatal(format!("a packet of {length} bytes: at most {max} are allowed"))
}

/// Returns `Need` for a packet that has at least this many bytes.
fn need(total: usize, max: usize) -> Result<Cut, Fault> {
    if total <= max {
        Ok(Cut::Need(total))
    } else {
        Err(Fault::fatal(format!("a packet does not end within {max} bytes")))
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
    /// Returns an error if the length is negative, or the packet has more than `max` bytes.
    ///
    /// # Panics
    /// Panics if the width is not 1 to 4.
    pub fn cut(&self, bytes: &[u8], max: usize) -> Result<Cut, Fault> {
        let &Self { offset, width, little_endian, adjust } = self;
        assert!((1..=4).contains(&width), "the width of a length field is 1 to 4 bytes");
        let head = offset + width;
        let Some(field) = bytes.get(offset..head) else { return need(head, max) };
        let add = |value: i64, byte: &u8| (value << 8) | i64::from(*byte);
        let value = if little_endian { field.iter().rev().fold(0, add) } else { field.iter().fold(0, add) };
        let Ok(behind) = u64::try_from(value + i64::from(adjust)) else {
            return Err(Fault::fatal(format!("the length {value} is too small")));
        };
        bounded(bytes, head as u64 + behind, max)
    }
}

/// Cuts a packet that ends with a delimiter, which belongs to the packet.
///
/// # Errors
/// Returns an error if there is no delimiter in the first `max` bytes.
///
/// # Panics
/// Panics if the delimiter is empty.
pub fn line(bytes: &[u8], delimiter: &[u8], max: usize) -> Result<Cut, Fault> {
    assert!(!delimiter.is_empty(), "a delimiter has at least one byte");
    let seen = &bytes[..bytes.len().min(max)];
    if let Some(at) = memmem::find(seen, delimiter) {
        return Ok(Cut::Packet(at + delimiter.len()));
    }
    // The last bytes may be the beginning of the delimiter.
    let begun = (1..delimiter.len()).rev().find(|length| bytes.ends_with(&delimiter[..*length]));
    need(bytes.len() + delimiter.len() - begun.unwrap_or(0), max)
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

/// Reads a decimal number that begins at the index `at` and ends before a delimiter. Leading zeros
/// are allowed, up to 20 digits.
///
/// # Errors
/// Returns an error if there are no digits, more than 20 digits or other bytes, or if the number is
/// above `max`.
pub fn digits(bytes: &[u8], at: usize, delimiter: u8, max: usize) -> Result<Digits, Fault> {
    const MOST: usize = 20;
    let found = bytes.get(at..).unwrap_or_default();
    let mut value = 0;
    for (index, &byte) in found.iter().enumerate() {
        match byte {
            b'0'..=b'9' if index < MOST => {
                let longer =
                    usize::checked_mul(value, 10).and_then(|value| value.checked_add((byte - b'0').into()));
                match longer {
                    Some(longer) if longer <= max => value = longer,
                    _ => return Err(Fault::fatal(format!("a number is above {max}"))),
                }
            }
            b'0'..=b'9' => return Err(Fault::fatal(format!("a number has more than {MOST} digits"))),
            _ if byte == delimiter && index > 0 => {
                return Ok(Digits::Number { value, end: at + index + 1 });
            }
            _ => return Err(Fault::fatal(format!("a number has the byte {byte:#04x}"))),
        }
    }
    // At least one digit and the delimiter.
    Ok(Digits::Need(if found.is_empty() { at + 2 } else { bytes.len() + 1 }))
}

/// Cuts a value in BER or DER: tag, length and content. The length is definite: one byte, or the
/// long form with up to 4 bytes.
///
/// # Errors
/// Returns an error if the length is indefinite or has more than 4 bytes, if the tag has more than
/// 5 bytes, or if the packet has more than `max` bytes.
pub fn ber(bytes: &[u8], max: usize) -> Result<Cut, Fault> {
    /// The low bits of a first byte that is followed by the number of the tag.
    const LONG_TAG: u8 = 0x1f;
    /// Set in each byte of a tag's number except the last, and in the first byte of a long length.
    const MORE: u8 = 0x80;
    let mut at = 1;
    if bytes.first().is_some_and(|first| first & LONG_TAG == LONG_TAG) {
        loop {
            let Some(byte) = bytes.get(at) else { return need(at + 2, max) };
            at += 1;
            if byte & MORE == 0 {
                break;
            }
            if at == 5 {
                return Err(Fault::fatal("a BER tag has more than 5 bytes"));
            }
        }
    }
    let Some(&first) = bytes.get(at) else { return need(at + 1, max) };
    at += 1;
    if first & MORE == 0 {
        return bounded(bytes, at as u64 + u64::from(first), max);
    }
    let width = usize::from(first & !MORE);
    if width == 0 {
        return Err(Fault::fatal("a BER length is indefinite"));
    }
    if width > 4 {
        return Err(Fault::fatal("a BER length has more than 4 bytes"));
    }
    let Some(length) = bytes.get(at..at + width) else { return need(at + width, max) };
    let length = length.iter().fold(0, |length, byte| (length << 8) | u64::from(*byte));
    bounded(bytes, (at + width) as u64 + length, max)
}

/// Cuts a packet that ends with a delimiter, which belongs to the packet. An escape byte makes the
/// byte behind it an ordinary one, even if it is the delimiter or an escape byte.
///
/// # Errors
/// Returns an error if there is no delimiter in the first `max` bytes.
pub fn escaped(bytes: &[u8], delimiter: u8, escape: u8, max: usize) -> Result<Cut, Fault> {
    let seen = &bytes[..bytes.len().min(max)];
    let mut at = 0;
    while let Some(found) = seen.get(at..).and_then(|rest| memchr2(delimiter, escape, rest)) {
        at += found;
        if seen[at] == delimiter {
            return Ok(Cut::Packet(at + 1));
        }
        at += 2;
    }
    // After an escape byte, `at` counts the byte behind it, which may not be there.
    need(at.max(bytes.len()) + 1, max)
}

/// Cuts a packet that begins and ends with the same delimiter, as in `7e … 7e`. Both belong to the
/// packet. The delimiter does not occur between them, not even behind an escape byte. Further
/// delimiters at the beginning belong to the packet too.
///
/// # Errors
/// Returns an error if another byte is the first one, or if the packet has more than `max` bytes.
pub fn enclosed(bytes: &[u8], delimiter: u8, max: usize) -> Result<Cut, Fault> {
    if let Some(&first) = bytes.first()
        && first != delimiter
    {
        return Err(Fault::fatal(format!("a packet begins with {first:#04x} in place of {delimiter:#04x}")));
    }
    let seen = &bytes[..bytes.len().min(max)];
    match seen.iter().position(|byte| *byte != delimiter) {
        // At least one delimiter, one other byte and a delimiter.
        None => need(bytes.len().max(1) + 2, max),
        Some(content) => match memchr(delimiter, &seen[content..]) {
            Some(length) => Ok(Cut::Packet(content + length + 1)),
            None => need(bytes.len() + 1, max),
        },
    }
}
