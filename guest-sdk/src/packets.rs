//! Packets on their way to the client.

use std::io;
use std::ops::{Deref, DerefMut};

use crate::Fault;

/// A packet that is written in place.
///
/// It dereferences to the bytes written so far, so that a length can be filled in afterwards, and
/// it implements [`io::Write`].
#[derive(Debug)]
pub struct Packet<'a> {
    /// May contain other packets before `start`.
    bytes: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Packet<'a> {
    /// Returns an empty packet at the end of a buffer.
    pub(crate) fn at_end_of(bytes: &'a mut Vec<u8>) -> Self {
        let start = bytes.len();
        Self { bytes, start }
    }

    /// Appends a byte.
    pub fn push(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Appends bytes or text.
    pub fn extend(&mut self, bytes: impl AsRef<[u8]>) {
        self.bytes.extend_from_slice(bytes.as_ref());
    }

    /// Returns the buffer whose end this packet is, for code that appends to a `Vec`. The bytes
    /// that are already in the buffer must stay, because other packets may be among them.
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

/// Takes the packets of one message, in order.
///
/// Most messages are one packet. A message without packets has no form in the protocol, which is no
/// failure.
#[derive(Debug)]
pub struct Packets<'a> {
    bytes: &'a mut Vec<u8>,
    /// Where each packet ends. The last end moves when the next packet begins or the message is
    /// complete.
    ends: &'a mut Vec<u32>,
}

impl Packets<'_> {
    /// Begins a packet, which is written in place. It ends when the next packet begins or the
    /// message is complete.
    pub fn begin(&mut self) -> Packet<'_> {
        let Self { bytes, ends } = self;
        end_last(bytes, ends);
        ends.push(bytes.len() as u32);
        Packet::at_end_of(bytes)
    }

    /// Adds a finished packet.
    pub fn push(&mut self, packet: &[u8]) {
        self.begin().extend(packet);
    }
}

/// Writes the packets of one message: their bytes, and where each ends.
///
/// # Errors
/// Returns the error of `write`.
pub fn write<E>(
    bytes: &mut Vec<u8>,
    ends: &mut Vec<u32>,
    write: impl FnOnce(&mut Packets<'_>) -> Result<(), E>,
) -> Result<(), E> {
    write(&mut Packets { bytes, ends })?;
    end_last(bytes, ends);
    Ok(())
}

/// The packets of a batch of messages. All packets lie one after the other in one buffer.
#[derive(Debug, Default)]
pub struct Encoded {
    /// The bytes of all packets.
    pub bytes: Vec<u8>,
    /// Where each packet ends in `bytes`. It begins where the packet before it ended.
    pub ends: Vec<u32>,
    /// For each packet, the index of the message that it came from. Never goes down. If the codec
    /// coalesces, a packet carries the messages behind the source of the packet before it, up to
    /// its own source, except the refused ones.
    pub sources: Vec<u32>,
    /// The refused messages in order: the index of each message, and the reason.
    pub refused: Vec<(u32, String)>,
}

impl Encoded {
    /// Makes room for this number of messages, whose routes and bodies have `bytes` bytes together.
    pub(crate) fn reserve(&mut self, bytes: usize, messages: usize) {
        /// More bytes than most protocols write beside the route and the body.
        const HEAD: usize = 16;
        self.bytes.reserve(bytes + messages * HEAD);
        self.ends.reserve(messages);
        self.sources.reserve(messages);
    }

    /// Adds the packets that `write` adds for the message with this index, or the refusal of the
    /// message. Indexes go up.
    ///
    /// # Errors
    /// Returns the reason if the fault is fatal.
    pub fn add(
        &mut self,
        message: u32,
        write: impl FnOnce(&mut Packets<'_>) -> Result<(), Fault>,
    ) -> Result<(), String> {
        let Self { bytes, ends, sources, .. } = self;
        let (start, count) = (bytes.len(), ends.len());
        let Err(fault) = self::write(bytes, ends, write) else {
            sources.resize(ends.len(), message);
            return Ok(());
        };
        bytes.truncate(start);
        ends.truncate(count);
        match fault {
            Fault::Rejected(reason) => {
                self.refuse(message, reason);
                Ok(())
            }
            Fault::Fatal(reason) => Err(reason.into_owned()),
        }
    }

    /// Refuses the message with this index. Indexes go up.
    pub fn refuse(&mut self, message: u32, reason: impl Into<String>) {
        self.refused.push((message, reason.into()));
    }
}

/// Ends the last packet where the buffer ends. A packet that has ended before ends there already.
fn end_last(bytes: &[u8], ends: &mut [u32]) {
    if let Some(end) = ends.last_mut() {
        *end = bytes.len() as u32;
    }
}
