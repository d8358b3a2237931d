//! The framing by a LEB128 length, such as the remaining length of MQTT.

use super::{Cut, JoinError, Span, SplitError, checked_length};

/// The longest length field, in bytes; it holds lengths below 2^28.
const MAX_WIDTH: usize = 4;

/// The position of a packet's LEB128 length: after `offset` bytes that belong to the packet, in 1
/// to 4 bytes that do not.
///
/// The length is the number of bytes that follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Varint {
    pub(super) offset: usize,
}

impl Varint {
    /// Creates a framing with the length after `offset` bytes of the packet.
    pub fn new(offset: u8) -> Self {
        Self { offset: offset.into() }
    }

    pub(super) fn cut(&self, bytes: &[u8], max: usize) -> Result<Cut, SplitError> {
        let Some((value, width)) = self.read(bytes)? else {
            return Ok(Cut::Partial);
        };
        let body = checked_length(self.offset, value.into(), max)?;
        if bytes.len() - self.offset - width < body {
            return Ok(Cut::Partial);
        }
        Ok(Cut::Packet(Span { head: self.offset, skip: width, body, tail: 0 }))
    }

    pub(super) fn wanted(&self, partial: &[u8]) -> usize {
        match self.read(partial) {
            // `cut` has checked this length, so it is not too large.
            Ok(Some((value, width))) => self.offset + width + value as usize - partial.len(),
            _ => (self.offset + 1).saturating_sub(partial.len()),
        }
    }

    pub(super) fn join(&self, packet: &[u8], out: &mut Vec<u8>) -> Result<(), JoinError> {
        let Some((head, body)) = packet.split_at_checked(self.offset) else {
            return Err(JoinError::TooShort { length: packet.len(), offset: self.offset });
        };
        if body.len() >= 1 << (7 * MAX_WIDTH) {
            return Err(JoinError::LengthOverflow { length: body.len() });
        }
        out.extend_from_slice(head);
        let mut rest = body.len();
        while rest >= 0x80 {
            out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
        out.extend_from_slice(body);
        Ok(())
    }

    /// Returns the length and the width of its field in bytes, or `None` if the field is
    /// incomplete.
    ///
    /// # Errors
    /// Returns an error if the field has more than 4 bytes.
    fn read(&self, bytes: &[u8]) -> Result<Option<(u32, usize)>, SplitError> {
        let field = bytes.get(self.offset..).unwrap_or_default();
        let mut value = 0;
        for (i, &byte) in field.iter().take(MAX_WIDTH).enumerate() {
            value |= u32::from(byte & 0x7f) << (7 * i);
            if byte & 0x80 == 0 {
                return Ok(Some((value, i + 1)));
            }
        }
        if field.len() >= MAX_WIDTH { Err(SplitError::LongVarint) } else { Ok(None) }
    }
}
