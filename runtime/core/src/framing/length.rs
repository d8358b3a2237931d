//! A length field of fixed width.

use super::{Cut, InvalidFraming, JoinError, Span, SplitError, checked_length};

/// The position of a packet's length: after `offset` bytes that belong to the packet, in `width`
/// bytes that do not.
///
/// The field's value plus `adjust` is the number of bytes that follow the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LengthField {
    pub(super) offset: usize,
    pub(super) width: usize,
    pub(super) little_endian: bool,
    pub(super) adjust: i32,
}

impl LengthField {
    /// Creates a field of `width` bytes (1 to 4) after `offset` bytes.
    pub fn new(offset: u8, width: u8, little_endian: bool, adjust: i32) -> Result<Self, InvalidFraming> {
        if !(1..=4).contains(&width) {
            return Err(InvalidFraming("a length field is 1 to 4 bytes wide"));
        }
        Ok(Self { offset: offset.into(), width: width.into(), little_endian, adjust })
    }

    fn header(&self) -> usize {
        self.offset + self.width
    }

    pub(super) fn cut(&self, bytes: &[u8], max: usize) -> Result<Cut, SplitError> {
        let Some(field) = bytes.get(self.offset..self.header()) else {
            return Ok(Cut::Partial);
        };
        let value = self.read(field);
        let body = i64::from(value) + i64::from(self.adjust);
        let body = u64::try_from(body).map_err(|_| SplitError::NegativeLength { value })?;
        let body = checked_length(self.offset, body, max)?;
        if bytes.len() - self.header() < body {
            return Ok(Cut::Partial);
        }
        Ok(Cut::Packet(Span { head: self.offset, skip: self.width, body, tail: 0 }))
    }

    pub(super) fn wanted(&self, partial: &[u8]) -> usize {
        match partial.get(self.offset..self.header()) {
            None => self.header() - partial.len(),
            // `cut` has checked this length, so it is neither negative nor too large.
            Some(field) => {
                (i64::from(self.read(field)) + i64::from(self.adjust)) as usize + self.header()
                    - partial.len()
            }
        }
    }

    pub(super) fn join(&self, packet: &[u8], out: &mut Vec<u8>) -> Result<(), JoinError> {
        let Some((head, body)) = packet.split_at_checked(self.offset) else {
            return Err(JoinError::TooShort { length: packet.len(), offset: self.offset });
        };
        let overflow = JoinError::LengthOverflow { length: body.len() };
        let Ok(length) = i64::try_from(body.len()) else {
            return Err(overflow);
        };
        let value = length - i64::from(self.adjust);
        let Ok(value) = u32::try_from(value) else {
            return Err(overflow);
        };
        if self.width < 4 && value >> (8 * self.width) != 0 {
            return Err(overflow);
        }
        out.extend_from_slice(head);
        if self.little_endian {
            out.extend_from_slice(&value.to_le_bytes()[..self.width]);
        } else {
            out.extend_from_slice(&value.to_be_bytes()[4 - self.width..]);
        }
        out.extend_from_slice(body);
        Ok(())
    }

    fn read(&self, field: &[u8]) -> u32 {
        let mut value = [0; 4];
        if self.little_endian {
            value[..self.width].copy_from_slice(field);
            u32::from_le_bytes(value)
        } else {
            value[4 - self.width..].copy_from_slice(field);
            u32::from_be_bytes(value)
        }
    }
}
