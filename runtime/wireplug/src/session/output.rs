//! Packets that are joined and wait to be written.

use std::collections::VecDeque;

use bytes::Bytes;

use wireplug_core::framing::{JoinError, Joiner};

/// The capacity that an empty buffer keeps, in bytes. It is small, so that an idle connection holds
/// little memory.
const KEPT: usize = 4 << 10;

/// The memory that a message takes up beside its content, in bytes. It is counted, so that the
/// number of empty messages that wait is bounded too.
pub(super) const MESSAGE: usize = 64;

/// The packets that are to be written, in order. No packet in it is ever dropped or moved.
#[derive(Debug)]
pub(crate) enum Output {
    /// Bytes for a stream.
    Stream(StreamOutput),
    /// Messages for a message transport.
    Messages(MessageOutput),
}

/// Bytes for a stream. The first `written` of them are written already.
#[derive(Debug, Default)]
pub(crate) struct StreamOutput {
    pub(super) bytes: Vec<u8>,
    written: usize,
}

/// The next item for a message transport: a message, an acknowledgement, or a message that is sent
/// as an acknowledgement.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) message: Option<Bytes>,
    /// The number that the client gave the acknowledgement.
    pub(crate) ack: Option<u64>,
}

/// Messages for a message transport. `bytes` is the size of all of them, and `text` says whether
/// they are text.
#[derive(Debug)]
pub(crate) struct MessageOutput {
    queue: VecDeque<Queued>,
    bytes: usize,
    text: bool,
    /// The rules for datagrams, if the messages are datagrams.
    datagrams: Option<Datagrams>,
}

/// An item that waits to be written.
#[derive(Debug)]
struct Queued {
    message: Option<Vec<u8>>,
    ack: Option<u64>,
}

impl Queued {
    fn len(&self) -> usize {
        self.message.as_ref().map_or(0, Vec::len)
    }
}

/// The rules for messages that are datagrams.
#[derive(Clone, Copy, Debug)]
struct Datagrams {
    /// The largest datagram, in bytes.
    max: usize,
    /// Whether one datagram may hold several whole packets.
    shared: bool,
}

impl Output {
    pub(crate) fn stream() -> Self {
        Output::Stream(StreamOutput::default())
    }

    pub(crate) fn messages(text: bool) -> Self {
        Output::Messages(MessageOutput { queue: VecDeque::new(), bytes: 0, text, datagrams: None })
    }

    /// Creates an output of datagrams of at most `max` bytes. A datagram may hold several whole
    /// packets if `shared` is set, and otherwise holds one packet.
    pub(crate) fn datagrams(text: bool, max: usize, shared: bool) -> Self {
        let datagrams = Some(Datagrams { max, shared });
        Output::Messages(MessageOutput { queue: VecDeque::new(), bytes: 0, text, datagrams })
    }

    pub(crate) fn push(&mut self, packet: &[u8], joiner: &Joiner) -> Result<(), JoinError> {
        match self {
            Output::Stream(output) => joiner.join(packet, &mut output.bytes),
            Output::Messages(output) => output.push(packet, joiner),
        }
    }

    /// Adds the acknowledgement with the number `ack`. `packet` is the response that is sent as the
    /// acknowledgement, if there is one. Does nothing for a stream, which has no acknowledgements.
    pub(crate) fn acknowledge(
        &mut self,
        ack: u64,
        packet: Option<&[u8]>,
        joiner: &Joiner,
    ) -> Result<(), JoinError> {
        let Output::Messages(output) = self else { return Ok(()) };
        let message = packet.map(|packet| MessageOutput::join(packet, joiner)).transpose()?;
        output.add(Queued { message, ack: Some(ack) });
        Ok(())
    }

    /// Returns the size of everything that is still to be written, in bytes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Output::Stream(output) => output.front().len(),
            Output::Messages(output) => output.bytes,
        }
    }
}

impl StreamOutput {
    /// Returns the bytes that are to be written next.
    pub(crate) fn front(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// Notes that `count` bytes of the front are written.
    pub(crate) fn advance(&mut self, count: usize) {
        self.written += count;
        if self.written == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT);
            self.written = 0;
        } else if self.written >= self.front().len() {
            // If a client never reads all bytes, the written ones must not pile up. This moves at
            // most as many bytes as were written.
            self.bytes.drain(..self.written);
            self.written = 0;
        }
    }
}

impl MessageOutput {
    fn push(&mut self, packet: &[u8], joiner: &Joiner) -> Result<(), JoinError> {
        let message = Self::join(packet, joiner)?;
        if let Some(Datagrams { max, shared }) = self.datagrams {
            if message.len() > max {
                return Err(JoinError::Datagram { length: message.len(), max });
            }
            let last = self.queue.back_mut().and_then(|last| last.message.as_mut());
            if let Some(last) = last.filter(|last| shared && last.len() + message.len() <= max) {
                self.bytes += message.len();
                last.extend(message);
                return Ok(());
            }
        }
        self.add(Queued { message: Some(message), ack: None });
        Ok(())
    }

    fn join(packet: &[u8], joiner: &Joiner) -> Result<Vec<u8>, JoinError> {
        let mut message = Vec::with_capacity(packet.len() + 8);
        joiner.join(packet, &mut message)?;
        Ok(message)
    }

    fn add(&mut self, next: Queued) {
        self.bytes += next.len() + MESSAGE;
        self.queue.push_back(next);
    }

    /// Takes out the next item.
    pub(crate) fn pop(&mut self) -> Option<Outgoing> {
        let next = self.queue.pop_front()?;
        self.bytes -= next.len() + MESSAGE;
        if self.queue.is_empty() {
            self.queue.shrink_to(16);
        }
        Some(Outgoing { message: next.message.map(Bytes::from), ack: next.ack })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn is_text(&self) -> bool {
        self.text
    }
}
