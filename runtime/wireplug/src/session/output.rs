//! Packets that are joined and wait to be written.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use wireplug_base::reused::Reused;
use wireplug_core::framing::{JoinError, Joiner};

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
    pub(super) bytes: Reused<Vec<u8>>,
    written: usize,
}

/// The next item for a message transport: a message, an acknowledgement, or a message that is sent
/// as an acknowledgement.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) message: Option<Bytes>,
    /// Whether the message is text.
    pub(crate) is_text: bool,
    /// The number that the client gave the acknowledgement.
    pub(crate) ack: Option<u64>,
}

/// Messages for a message transport. `bytes` is the size of all of them.
#[derive(Debug)]
pub(crate) struct MessageOutput {
    queue: VecDeque<Queued>,
    bytes: usize,
    /// The rules for datagrams, if the messages are datagrams.
    datagrams: Option<Datagrams>,
}

/// An item that waits to be written.
#[derive(Debug)]
struct Queued {
    message: Option<Vec<u8>>,
    is_text: bool,
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

impl Datagrams {
    fn check(&self, message: &[u8]) -> Result<(), JoinError> {
        match message.len() {
            length if length > self.max => Err(JoinError::Datagram { length, max: self.max }),
            _ => Ok(()),
        }
    }
}

/// What was to be written in another process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum SavedOutput {
    /// Bytes for a stream.
    Stream(Vec<u8>),
    /// Messages, each with whether it is text. No acknowledgement waits.
    Messages(Vec<(Vec<u8>, bool)>),
}

impl Output {
    /// Returns what is still to be written. It must have no acknowledgements.
    pub(super) fn save(&self) -> SavedOutput {
        match self {
            Output::Stream(output) => SavedOutput::Stream(output.front().to_vec()),
            Output::Messages(output) => {
                let message = |next: &Queued| next.message.clone().map(|message| (message, next.is_text));
                SavedOutput::Messages(output.queue.iter().filter_map(message).collect())
            }
        }
    }

    /// Puts what was to be written in another process into an output that is empty.
    pub(super) fn resume(&mut self, saved: SavedOutput) {
        match (self, saved) {
            (Output::Stream(output), SavedOutput::Stream(bytes)) => {
                if !bytes.is_empty() {
                    *output.bytes.get_mut() = bytes;
                }
            }
            (Output::Messages(output), SavedOutput::Messages(messages)) => {
                for (message, is_text) in messages {
                    output.add(Queued { message: Some(message), is_text, ack: None });
                }
            }
            _ => unreachable!("a session moves between listeners of the same kind"),
        }
    }

    pub(crate) fn stream() -> Self {
        Output::Stream(StreamOutput::default())
    }

    pub(crate) fn messages() -> Self {
        Output::Messages(MessageOutput { queue: VecDeque::new(), bytes: 0, datagrams: None })
    }

    /// Creates an output of datagrams of at most `max` bytes. A datagram may hold several whole
    /// packets if `shared` is set, and otherwise holds one packet.
    pub(crate) fn datagrams(max: usize, shared: bool) -> Self {
        let datagrams = Some(Datagrams { max, shared });
        Output::Messages(MessageOutput { queue: VecDeque::new(), bytes: 0, datagrams })
    }

    /// Adds a packet.
    ///
    /// # Errors
    /// Returns an error if the packet cannot be framed.
    pub(crate) fn push(&mut self, packet: &[u8], joiner: &Joiner) -> Result<(), JoinError> {
        match self {
            Output::Stream(output) => joiner.join(packet, output.bytes.get_mut()).map(drop),
            Output::Messages(output) => output.push(packet, joiner),
        }
    }

    /// Adds the packets of one message, either all of them or none. The first one is sent as the
    /// acknowledgement with the number `ack`, if the client waits for one; a stream has no
    /// acknowledgements.
    ///
    /// # Errors
    /// Returns an error if one of the packets cannot be framed.
    pub(crate) fn push_all<'a>(
        &mut self,
        packets: impl ExactSizeIterator<Item = &'a [u8]> + Clone,
        ack: Option<u64>,
        joiner: &Joiner,
    ) -> Result<(), JoinError> {
        if packets.len() > 1 {
            packets.clone().try_for_each(|packet| self.check(packet, joiner))?;
        }
        let mut ack = ack;
        packets.into_iter().try_for_each(|packet| match (&mut *self, ack.take()) {
            (Output::Messages(output), ack @ Some(_)) => {
                let (message, is_text) = MessageOutput::join(packet, joiner)?;
                output.add(Queued { message: Some(message), is_text, ack });
                Ok(())
            }
            (output, _) => output.push(packet, joiner),
        })
    }

    /// Checks whether a packet can be added.
    fn check(&self, packet: &[u8], joiner: &Joiner) -> Result<(), JoinError> {
        let (message, _) = MessageOutput::join(packet, joiner)?;
        match self {
            Output::Messages(MessageOutput { datagrams: Some(datagrams), .. }) => datagrams.check(&message),
            _ => Ok(()),
        }
    }

    /// Adds the acknowledgement with the number `ack`, without a response. Does nothing for a
    /// stream, which has no acknowledgements.
    pub(crate) fn acknowledge(&mut self, ack: u64) {
        if let Output::Messages(output) = self {
            output.add(Queued { message: None, is_text: false, ack: Some(ack) });
        }
    }

    /// Frees the memory of the queue, if nothing is to be written. A stream holds none then.
    pub(crate) fn free(&mut self) {
        if let Output::Messages(output) = self
            && output.is_empty()
        {
            output.queue = VecDeque::new();
        }
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
        self.bytes.get().map_or(&[], |bytes| &bytes[self.written..])
    }

    /// Notes that `count` bytes of the front are written.
    pub(crate) fn advance(&mut self, count: usize) {
        self.written += count;
        let rest = self.front().len();
        if rest == 0 {
            self.bytes.release();
            self.written = 0;
        } else if self.written >= rest {
            // If a client never reads all bytes, the written ones must not pile up. This moves at
            // most as many bytes as were written.
            self.bytes.get_mut().drain(..self.written);
            self.written = 0;
        }
    }
}

impl MessageOutput {
    fn push(&mut self, packet: &[u8], joiner: &Joiner) -> Result<(), JoinError> {
        let (message, is_text) = Self::join(packet, joiner)?;
        if let Some(datagrams @ Datagrams { max, shared }) = self.datagrams {
            datagrams.check(&message)?;
            let last = self.queue.back_mut().and_then(|last| last.message.as_mut());
            if let Some(last) = last.filter(|last| shared && last.len() + message.len() <= max) {
                self.bytes += message.len();
                last.extend(message);
                return Ok(());
            }
        }
        self.add(Queued { message: Some(message), is_text, ack: None });
        Ok(())
    }

    /// Returns the message that carries a packet, and whether the message is text.
    fn join(packet: &[u8], joiner: &Joiner) -> Result<(Vec<u8>, bool), JoinError> {
        let mut message = Vec::with_capacity(packet.len() + 8);
        let is_text = joiner.join(packet, &mut message)?;
        Ok((message, is_text))
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
        Some(Outgoing { message: next.message.map(Bytes::from), is_text: next.is_text, ack: next.ack })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}
