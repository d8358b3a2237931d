//! Messages of a client: how they are cut, and how their fields are read.

use wireplug_guest::Fault;
use wireplug_guest::cut::{self, Cut, LengthField};

use crate::report::{Report, code};

/// The largest packet before the session is established, in bytes. PostgreSQL has the same limit.
const MAX_STARTUP: usize = 10_000;

/// The longest name of a statement or a portal, in bytes. PostgreSQL cuts longer names to this
/// length, so two of them could become one.
const MAX_NAME: usize = 63;

/// The type and the length of a message.
const HEAD: usize = 5;

/// Cuts a packet without a type: a length that counts itself, and what it counts.
pub(crate) fn cut_startup(bytes: &[u8]) -> Result<Cut, Fault> {
    const LENGTH: LengthField = LengthField { offset: 0, width: 4, little_endian: false, adjust: -4 };
    LENGTH.cut(bytes, (MAX_STARTUP, "startup packet"))
}

/// Cuts the message with a client's password.
pub(crate) fn cut_password(bytes: &[u8]) -> Result<Cut, Fault> {
    cut(bytes, MAX_STARTUP)
}

/// Cuts a message: a type, a length that counts itself, and what it counts.
///
/// Only the head is cut of a message with an impossible length. [`split`] refuses it, so that the
/// client learns why the connection ends.
pub(crate) fn cut(bytes: &[u8], max: usize) -> Result<Cut, Fault> {
    let Some(head) = bytes.first_chunk::<HEAD>() else { return Ok(Cut::Need(HEAD)) };
    match length(head) {
        length if (HEAD..=max).contains(&length) => cut::fixed(bytes, length, (max, "message")),
        _ => Ok(Cut::Packet(HEAD)),
    }
}

/// Returns the length of a message with its type, in bytes.
fn length(head: &[u8; HEAD]) -> usize {
    let [_, length @ ..] = *head;
    (u32::from_be_bytes(length) as usize).saturating_add(1)
}

/// Returns the type and the fields of a message that [`cut`] has cut.
pub(crate) fn split(message: &[u8]) -> Result<(u8, Reader<'_>), Report> {
    let Some((head, fields)) = message.split_first_chunk::<HEAD>() else {
        return Err(Report::new(code::PROTOCOL_VIOLATION, "the message has no length"));
    };
    match length(head) {
        length if length == message.len() => Ok((head[0], Reader(fields))),
        length if length < HEAD => Err(Report::new(code::PROTOCOL_VIOLATION, "invalid message length")),
        length => {
            let text = format!("a message of {length} bytes is longer than this server allows");
            Err(Report::new(code::LIMIT_EXCEEDED, text))
        }
    }
}

/// Takes the first message off the front of messages that [`cut`] has cut.
pub(crate) fn take_first<'a>(messages: &mut &'a [u8]) -> &'a [u8] {
    let length = messages.first_chunk().map_or(messages.len(), length);
    // A message with an impossible length ends the session, so nothing stands behind it.
    let (first, rest) = messages.split_at_checked(length).unwrap_or((messages, &[]));
    *messages = rest;
    first
}

/// The fields of a message, which are read from the front.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn u8(&mut self) -> Result<u8, Report> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Report> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Report> {
        self.array().map(u32::from_be_bytes)
    }

    /// Reads a text that ends with a zero byte.
    pub(crate) fn text(&mut self) -> Result<&'a str, Report> {
        let Some(end) = self.0.iter().position(|byte| *byte == 0) else {
            return Err(Report::new(code::PROTOCOL_VIOLATION, "invalid string in message"));
        };
        let text = &self.0[..end];
        self.0 = &self.0[end + 1..];
        utf8(text)
    }

    /// Reads the name of a statement or a portal.
    pub(crate) fn name(&mut self) -> Result<&'a str, Report> {
        let name = self.text()?;
        if name.len() > MAX_NAME {
            let text = format!("the name of a statement or a portal has more than {MAX_NAME} bytes");
            return Err(Report::new(code::NAME_TOO_LONG, text));
        }
        Ok(name)
    }

    /// Reads numbers of 16 bits behind their count.
    pub(crate) fn u16_list(&mut self) -> Result<Vec<u16>, Report> {
        let count = self.u16()?;
        (0..count).map(|_| self.u16()).collect()
    }

    /// Reads a value behind its length, or `None` for NULL.
    pub(crate) fn value(&mut self) -> Result<Option<&'a [u8]>, Report> {
        /// The length of NULL.
        const NULL: u32 = u32::MAX;
        match self.u32()? {
            NULL => Ok(None),
            length => self.bytes(length as usize).map(Some),
        }
    }

    /// Checks that nothing is left.
    pub(crate) fn end(self) -> Result<(), Report> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(Report::new(code::PROTOCOL_VIOLATION, "invalid message format: bytes are left behind the fields"))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Report> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or_else(cut_short)?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn bytes(&mut self, length: usize) -> Result<&'a [u8], Report> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or_else(cut_short)?;
        self.0 = rest;
        Ok(bytes)
    }
}

/// Returns bytes as text. No text of PostgreSQL contains U+0000.
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, Report> {
    match str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err(Report::new(code::INVALID_ENCODING, "invalid byte sequence for encoding \"UTF8\"")),
    }
}

fn cut_short() -> Report {
    Report::new(code::PROTOCOL_VIOLATION, "insufficient data left in message")
}
