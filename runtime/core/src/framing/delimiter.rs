//! Packets that end with a fixed sequence of bytes.

use memchr::{memchr, memmem};

use super::{Cut, InvalidFraming, JoinError, Span, SplitError};

/// The bytes that end a packet. They are not part of the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delimiter {
    pub(super) bytes: Vec<u8>,
}

impl Delimiter {
    /// The longest delimiter, in bytes.
    pub const MAX: usize = 16;

    /// Creates a delimiter of 1 to 16 bytes.
    ///
    /// # Errors
    /// Returns an error if `bytes` is empty or too long.
    pub fn new(bytes: &[u8]) -> Result<Self, InvalidFraming> {
        if !(1..=Self::MAX).contains(&bytes.len()) {
            return Err(InvalidFraming("a delimiter has 1 to 16 bytes"));
        }
        Ok(Self { bytes: bytes.to_vec() })
    }

    pub(super) fn cut(&self, bytes: &[u8], scanned: usize, max: usize) -> Result<Cut, SplitError> {
        // Bytes after the point where the longest packet would end are not searched.
        let until = bytes.len().min(max.saturating_add(self.bytes.len()));
        // A delimiter may have begun in the bytes that were already scanned. The maximum may have
        // become smaller since then.
        let from = scanned.saturating_sub(self.bytes.len() - 1).min(until);
        match memmem::find(&bytes[from..until], &self.bytes) {
            Some(at) => Ok(Cut::Packet(Span { head: 0, skip: 0, body: from + at, tail: self.bytes.len() })),
            None if bytes.len() >= max.saturating_add(self.bytes.len()) => {
                // The error gives the least possible length and not the number of bytes so far,
                // because it must not depend on how the stream was cut.
                Err(SplitError::TooLong { length: max as u64 + 1, max })
            }
            None => Ok(Cut::Partial),
        }
    }

    pub(super) fn wanted(&self, chunk: &[u8]) -> usize {
        let last = self.bytes[self.bytes.len() - 1];
        memchr(last, chunk).map_or(chunk.len(), |at| at + 1)
    }

    pub(super) fn join(&self, packet: &[u8], out: &mut Vec<u8>) -> Result<(), JoinError> {
        let start = out.len();
        out.extend_from_slice(packet);
        out.extend_from_slice(&self.bytes);
        // The delimiter is searched in the joined bytes: a packet that ends with the beginning of
        // the delimiter may complete it too early.
        if memmem::find(&out[start..], &self.bytes) != Some(packet.len()) {
            out.truncate(start);
            return Err(JoinError::HoldsDelimiter);
        }
        Ok(())
    }
}
