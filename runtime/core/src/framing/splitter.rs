//! The way in: bytes or messages to packets.

use super::{Cut, Layout, Packets, Span, SplitError};

/// How far a [`Splitter`] got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// The input is used up.
    Done,
    /// The batch is full: clear it, and call again with what is left of the input.
    Full,
}

/// Cuts what a client sends into packets.
///
/// Holds nothing but the beginning of a packet that has not come whole, so it holds nothing while a
/// connection is idle; and never more than has really come, whatever length a head claims.
#[derive(Debug)]
pub struct Splitter {
    layout: Layout,
    text: bool,
    max_packet: usize,
    /// The bytes of one batch stay below this, but for a single packet that is longer.
    pub(super) max_batch: usize,
    pub(super) partial: Vec<u8>,
    /// How much of `partial` was searched for a delimiter already.
    scanned: usize,
}

impl Splitter {
    /// A splitter of packets of at most `max_packet` bytes, framing left out. `text`: packets must
    /// be UTF-8.
    pub fn new(layout: Layout, text: bool, max_packet: usize, max_batch: usize) -> Self {
        Self { layout, text, max_packet, max_batch, partial: Vec::new(), scanned: 0 }
    }

    /// Whether the beginning of a packet waits for the rest.
    pub fn is_partial(&self) -> bool {
        !self.partial.is_empty()
    }

    /// Moves whole packets from the front of `input` into `batch`. The input is a piece of a
    /// stream, or one message of a message transport, or what an earlier call left of it.
    ///
    /// # Errors
    /// Where the input is not packets. Those that came before are in the batch, and valid; what
    /// follows is lost.
    pub fn split(&mut self, input: &mut &[u8], batch: &mut Packets) -> Result<Split, SplitError> {
        let Some(framing) = self.layout.framing() else {
            if input.len() > self.max_packet {
                return Err(SplitError::TooLong { length: input.len() as u64, max: self.max_packet });
            }
            let span = Span { head: 0, skip: 0, body: input.len(), tail: 0 };
            if !batch.has_room_for(span.packet(), self.max_batch) {
                return Ok(Split::Full);
            }
            push(batch, input, span, self.text)?;
            *input = &[];
            return Ok(Split::Done);
        };
        let whole = matches!(self.layout, Layout::Framed(_));
        if whole && input.is_empty() {
            return Err(SplitError::EmptyMessage);
        }
        loop {
            if !self.partial.is_empty() {
                match framing.cut(&self.partial, self.scanned, self.max_packet)? {
                    Cut::Packet(span) => {
                        if !batch.has_room_for(span.packet(), self.max_batch) {
                            return Ok(Split::Full);
                        }
                        push(batch, &self.partial, span, self.text)?;
                        // A connection that sent one large packet must not keep its room for ever.
                        self.partial = Vec::new();
                        self.scanned = 0;
                    }
                    Cut::Partial if input.is_empty() => return Ok(Split::Done),
                    Cut::Partial => {
                        self.scanned = self.partial.len();
                        let (more, rest) = input.split_at(framing.wanted(&self.partial, input));
                        self.partial.extend_from_slice(more);
                        *input = rest;
                    }
                }
            } else if input.is_empty() {
                return Ok(Split::Done);
            } else {
                match framing.cut(input, 0, self.max_packet)? {
                    Cut::Packet(span) => {
                        if !batch.has_room_for(span.packet(), self.max_batch) {
                            return Ok(Split::Full);
                        }
                        push(batch, input, span, self.text)?;
                        *input = &input[span.consumed()..];
                    }
                    Cut::Partial if whole => return Err(SplitError::PartialMessage),
                    Cut::Partial => {
                        self.partial.extend_from_slice(input);
                        self.scanned = input.len();
                        *input = &[];
                    }
                }
            }
        }
    }
}

fn push(batch: &mut Packets, bytes: &[u8], span: Span, text: bool) -> Result<(), SplitError> {
    let start = batch.bytes.len();
    batch.bytes.extend_from_slice(&bytes[..span.head]);
    batch.bytes.extend_from_slice(&bytes[span.head + span.skip..][..span.body]);
    if text && std::str::from_utf8(&batch.bytes[start..]).is_err() {
        // What is in a batch is valid, whatever follows.
        batch.bytes.truncate(start);
        return Err(SplitError::NotText);
    }
    batch.ends.push(batch.bytes.len() as u32);
    Ok(())
}
