//! The inbound direction: splits bytes or messages into packets.

use super::{Cut, Layout, Packets, Payload, Span, SplitError};

/// Why a [`Splitter`] has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// The whole input is consumed.
    Done,
    /// The batch is full. The caller must clear it and call again with the rest of the input.
    Full,
}

/// Cuts what a client sends into packets.
///
/// Between calls it holds only the beginning of an incomplete packet, so it holds nothing while a
/// connection is idle. It never holds more bytes than have arrived, whatever length a head claims.
#[derive(Debug)]
pub struct Splitter {
    layout: Layout,
    payload: Payload,
    max_packet: usize,
    /// The size limit of a batch in bytes. Only a batch of a single packet may be larger.
    pub(super) max_batch: usize,
    pub(super) partial: Vec<u8>,
    /// The number of bytes of `partial` that were already searched for a delimiter.
    scanned: usize,
}

impl Splitter {
    /// Creates a splitter of packets of at most `max_packet` bytes, without their framing, into
    /// batches of at most `max_batch` bytes. Packets of the payload [`Payload::Text`] must be valid
    /// UTF-8.
    pub fn new(layout: Layout, payload: Payload, max_packet: usize, max_batch: usize) -> Self {
        Self { layout, payload, max_packet, max_batch, partial: Vec::new(), scanned: 0 }
    }

    /// Sets the largest packet and the largest batch, in bytes, from now on.
    pub fn set_max_packet(&mut self, max_packet: usize, max_batch: usize) {
        (self.max_packet, self.max_batch) = (max_packet, max_batch);
    }

    /// Returns the beginning of a packet that waits for the rest.
    pub fn partial(&self) -> &[u8] {
        &self.partial
    }

    /// Continues with the beginning of a packet that another splitter had.
    pub fn resume(&mut self, partial: Vec<u8>) {
        (self.partial, self.scanned) = (partial, 0);
    }

    /// Returns whether the beginning of an incomplete packet is held.
    pub fn is_partial(&self) -> bool {
        !self.partial.is_empty()
    }

    /// Moves whole packets from the front of `input` into `batch`. The input is a piece of a
    /// stream, or one message of a message transport, or what an earlier call left of it.
    /// `is_text` says whether the transport marked the message as text; it matters only if packets
    /// have tags.
    ///
    /// # Errors
    /// Returns an error if the input is not packets. Earlier packets are in the batch and valid;
    /// the rest of the input is lost.
    pub fn split(
        &mut self,
        input: &mut &[u8],
        is_text: bool,
        batch: &mut Packets,
    ) -> Result<Split, SplitError> {
        let must_be_text = match self.payload {
            Payload::Binary => false,
            Payload::Text => true,
            Payload::Tagged => is_text,
        };
        let Some(framing) = self.layout.framing() else {
            if input.len() > self.max_packet {
                return Err(SplitError::TooLong { length: input.len() as u64, max: self.max_packet });
            }
            let span = Span { head: 0, skip: 0, body: input.len(), tail: 0 };
            if !batch.has_room_for(span.packet(), self.max_batch) {
                return Ok(Split::Full);
            }
            let tag = match self.payload {
                Payload::Binary | Payload::Text => None,
                Payload::Tagged if is_text => Some(Payload::TEXT_TAG),
                Payload::Tagged => Some(Payload::BINARY_TAG),
            };
            push(batch, input, span, tag, must_be_text)?;
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
                        push(batch, &self.partial, span, None, must_be_text)?;
                        // A connection that once sent a large packet must not keep the memory for
                        // it.
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
                        push(batch, input, span, None, must_be_text)?;
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

fn push(
    batch: &mut Packets,
    bytes: &[u8],
    span: Span,
    tag: Option<u8>,
    must_be_text: bool,
) -> Result<(), SplitError> {
    let start = batch.bytes.len();
    batch.bytes.extend(tag);
    let packet = batch.bytes.len();
    batch.bytes.extend_from_slice(&bytes[..span.head]);
    batch.bytes.extend_from_slice(&bytes[span.head + span.skip..][..span.body]);
    if must_be_text && std::str::from_utf8(&batch.bytes[packet..]).is_err() {
        // All bytes in a batch must stay valid, also after an error.
        batch.bytes.truncate(start);
        return Err(SplitError::NotText);
    }
    batch.ends.push(batch.bytes.len() as u32);
    Ok(())
}
