//! Packets on their way out.

use std::io;
use std::ops::{Deref, DerefMut};

use crate::{Encoded, Fault};

/// A packet that is being written. It is the slice of what was written so far, so that a length can be put in afterwards, and it
/// can be written to with [`io::Write`].
#[derive(Debug)]
pub struct Packet<'a> {
    /// Other packets may lie before this one.
    bytes: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Packet<'a> {
    /// An empty packet at the end of a buffer.
    pub fn at_end_of(bytes: &'a mut Vec<u8>) -> Self {
        let start = bytes.len();
        Self { bytes, start }
    }

    /// Appends a byte.
    pub fn push(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Appends bytes, or a text.
    pub fn extend(&mut self, bytes: impl AsRef<[u8]>) {
        self.bytes.extend_from_slice(bytes.as_ref());
    }

    /// The buffer that the packet lies at the end of, for code that appends to one. What is in it may not be changed.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        self.bytes
    }
}

impl Deref for Packet<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

impl DerefMut for Packet<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..]
    }
}

impl io::Write for Packet<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.extend(bytes);
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.extend(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The packets of a batch of messages, flat.
#[derive(Debug, Default)]
pub struct Packets {
    /// All their bytes.
    pub bytes: Vec<u8>,
    /// Where each ends in `bytes`; it begins where the one before it ended.
    pub ends: Vec<u32>,
    /// The messages that were refused: index in the batch, which goes up, and why.
    pub refused: Vec<(u32, String)>,
}

impl Packets {
    /// With room for the packets of so many messages whose routes and bodies have so many bytes together.
    pub(crate) fn for_messages(bytes: usize, messages: usize) -> Self {
        /// More than what most protocols write beside route and body.
        const HEAD: usize = 16;
        Self {
            bytes: Vec::with_capacity(bytes + messages * HEAD),
            ends: Vec::with_capacity(messages),
            refused: Vec::new(),
        }
    }

    /// Adds the packet that `write` writes for the message of this index in its batch; or the refusal of it.
    ///
    /// # Errors
    /// Where the fault is fatal.
    pub fn push(
        &mut self,
        message: u32,
        write: impl FnOnce(&mut Packet<'_>) -> Result<Encoded, Fault>,
    ) -> Result<(), String> {
        let start = self.bytes.len();
        let written = write(&mut Packet::at_end_of(&mut self.bytes));
        if let Ok(Encoded::Packet) = written {
            self.ends.push(self.bytes.len() as u32);
            return Ok(());
        }
        self.bytes.truncate(start);
        match written {
            Ok(_) => Ok(()),
            Err(Fault::Rejected(reason)) => {
                self.refuse(message, reason);
                Ok(())
            }
            Err(Fault::Fatal(reason)) => Err(reason.into_owned()),
        }
    }

    /// Refuses the message of this index in its batch. Indexes go up.
    pub fn refuse(&mut self, message: u32, reason: impl Into<String>) {
        self.refused.push((message, reason.into()));
    }
}
