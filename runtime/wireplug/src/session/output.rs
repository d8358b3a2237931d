//! Packets that are joined and wait to be written.

use std::collections::VecDeque;

use bytes::Bytes;

use wireplug_core::framing::{JoinError, Joiner};

/// A buffer larger than this is given back when it is empty, so that an idle connection holds
/// little.
const KEPT: usize = 4 << 10;

/// What a message takes up beside its bytes. Counted, so that empty messages cannot wait without
/// bound.
pub(super) const MESSAGE: usize = 64;

/// What is to be written next, in order. Nothing in it is ever dropped or moved.
#[derive(Debug)]
pub(crate) enum Output {
    /// Bytes for a stream.
    Stream(StreamOutput),
    /// Messages for a message transport.
    Messages(MessageOutput),
}

/// Bytes for a stream, of which `written` are gone.
#[derive(Debug, Default)]
pub(crate) struct StreamOutput {
    pub(super) bytes: Vec<u8>,
    written: usize,
}

/// What is written next to a message transport: a message, an acknowledgement, or a message that is
/// one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) message: Option<Bytes>,
    /// The number that the client gave the acknowledgement.
    pub(crate) ack: Option<u64>,
}

/// Messages for a message transport, `bytes` in all; as text or not.
#[derive(Debug)]
pub(crate) struct MessageOutput {
    queue: VecDeque<Queued>,
    bytes: usize,
    text: bool,
    /// The messages are datagrams.
    datagrams: Option<Datagrams>,
}

/// What waits to be written.
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

/// What holds where messages are datagrams.
#[derive(Clone, Copy, Debug)]
struct Datagrams {
    /// The largest, in bytes.
    max: usize,
    /// Whole packets share one.
    shared: bool,
}

impl Output {
    pub(crate) fn stream() -> Self {
        Output::Stream(StreamOutput::default())
    }

    pub(crate) fn messages(text: bool) -> Self {
        Output::Messages(MessageOutput { queue: VecDeque::new(), bytes: 0, text, datagrams: None })
    }

    /// Messages of at most `max` bytes, which whole packets share if they are framed, and else have
    /// each for itself.
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

    /// Adds the acknowledgement with this number, and the packet that is the response to what the
    /// client wants acknowledged, if there is one. A stream has none.
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

    /// What is still to be written, in bytes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Output::Stream(output) => output.front().len(),
            Output::Messages(output) => output.bytes,
        }
    }
}

impl StreamOutput {
    /// What is to be written next.
    pub(crate) fn front(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// So many bytes of the front are written.
    pub(crate) fn advance(&mut self, count: usize) {
        self.written += count;
        if self.written == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT);
            self.written = 0;
        } else if self.written >= self.front().len() {
            // A client that never reads all must not make this hold all that it ever read. Fewer
            // bytes are moved than were written.
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

    /// Takes out what is to be written next.
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
