//! Messages in one flat buffer, the packets that a codec makes from them, and the check of these
//! packets.

#[cfg(feature = "component-model")]
use wasmtime::component::{ComponentType, Lift, Lower};

use super::{Role, Violation};
use crate::framing::Packets;

/// One message of a batch: `message-head` in `wit/codec.wit`.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "component-model", derive(ComponentType, Lower))]
#[cfg_attr(feature = "component-model", component(record))]
pub struct MessageHead {
    /// The role of the message.
    pub role: Role,
    /// The id of a request or response; 0 in a notice.
    pub id: u64,
    /// The status of a response; 200 in any other message.
    pub status: u16,
    /// Where the message's route ends in the bytes.
    #[cfg_attr(feature = "component-model", component(name = "route-end"))]
    pub route_end: u32,
    /// Where the message's body ends in the bytes.
    #[cfg_attr(feature = "component-model", component(name = "body-end"))]
    pub body_end: u32,
}

/// A batch of messages: `messages` in `wit/codec.wit`.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "component-model", derive(ComponentType, Lower))]
#[cfg_attr(feature = "component-model", component(record))]
pub struct Messages {
    /// All routes and bodies.
    pub bytes: Vec<u8>,
    /// The messages, in order.
    pub heads: Vec<MessageHead>,
}

/// One message of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageRef<'a> {
    /// The role of the message.
    pub role: Role,
    /// The id of a request or response; 0 in a notice.
    pub id: u64,
    /// The route of the message.
    pub route: &'a str,
    /// The payload.
    pub body: &'a [u8],
    /// The status of a response, as in HTTP; 200 in any other message.
    pub status: u16,
}

impl<'a> MessageRef<'a> {
    /// The status of a request that did not fail.
    pub const OK: u16 = 200;

    /// The status of a response that could not be encoded.
    pub const FAILED: u16 = 500;

    /// Creates a message that expects no answer.
    pub fn notice(route: &'a str, body: &'a [u8]) -> Self {
        Self { role: Role::Notice, id: 0, route, body, status: Self::OK }
    }

    /// Creates a request with this id.
    pub fn request(id: u64, route: &'a str, body: &'a [u8]) -> Self {
        Self { role: Role::Request, id, route, body, status: Self::OK }
    }

    /// Creates the response to the request with this id.
    pub fn response(id: u64, route: &'a str, status: u16, body: &'a [u8]) -> Self {
        Self { role: Role::Response, id, route, body, status }
    }

    /// Returns the same response as it is encoded the second time: failed, and without a body.
    pub fn as_failed(&self) -> Self {
        Self { body: &[], status: Self::FAILED, ..*self }
    }
}

impl Messages {
    /// The largest number of messages in one batch. The contract with codecs sets it.
    pub const MAX: usize = 256;

    /// Creates an empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of messages.
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// Returns whether the batch is empty.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Returns the number of bytes of all routes and bodies together.
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns whether another message of this size, including its route, fits a batch of at most
    /// `max_bytes`. The first message always fits.
    pub fn has_room_for(&self, bytes: usize, max_bytes: usize) -> bool {
        self.is_empty() || (self.len() < Self::MAX && self.byte_len() + bytes <= max_bytes)
    }

    /// Removes all messages; the buffers stay allocated.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.heads.clear();
    }

    /// Frees capacity above this number of bytes.
    pub fn shrink_to(&mut self, bytes: usize) {
        self.bytes.shrink_to(bytes);
        self.heads.shrink_to(bytes / size_of::<MessageHead>());
    }

    /// Adds a message.
    pub fn push(&mut self, message: MessageRef<'_>) {
        self.bytes.extend_from_slice(message.route.as_bytes());
        let route_end = self.bytes.len() as u32;
        self.bytes.extend_from_slice(message.body);
        let body_end = self.bytes.len() as u32;
        let MessageRef { role, id, status, .. } = message;
        self.heads.push(MessageHead { role, id, status, route_end, body_end });
    }

    /// Returns the messages in order.
    pub fn iter(&self) -> impl Iterator<Item = MessageRef<'_>> {
        let mut start = 0;
        self.heads.iter().map(move |head| {
            let (route_end, body_end) = (head.route_end as usize, head.body_end as usize);
            let route = std::str::from_utf8(&self.bytes[start..route_end]).expect("pushed as a str");
            let body = &self.bytes[route_end..body_end];
            start = body_end;
            MessageRef { role: head.role, id: head.id, route, body, status: head.status }
        })
    }
}

/// A message that could not be encoded: `refusal` in `wit/codec.wit`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "component-model", derive(ComponentType, Lift))]
#[cfg_attr(feature = "component-model", component(record))]
pub struct Refusal {
    /// The index of the message in the batch.
    pub message: u32,
    /// The reason.
    pub reason: String,
}

/// The packets of a batch of messages: `encoded` in `wit/codec.wit`.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "component-model", derive(ComponentType, Lift))]
#[cfg_attr(feature = "component-model", component(record))]
pub struct Encoded {
    /// The packets, in the order of their messages.
    pub packets: Packets,
    /// For each packet, the index of its message. A message may have no packet, one or several. If
    /// the codec coalesces, packet i carries the messages after `sources[i - 1]` up to `sources[i]`
    /// that were not refused.
    pub sources: Vec<u32>,
    /// The messages that could not be encoded, in order.
    pub refused: Vec<Refusal>,
}

wireplug_base::reusable!(Messages, Messages::is_empty, |messages, kept| {
    messages.clear();
    messages.shrink_to(kept);
});

wireplug_base::reusable!(
    Encoded,
    |encoded| encoded.packets.is_empty() && encoded.refused.is_empty(),
    |encoded, kept| {
        encoded.clear();
        encoded.shrink_to(kept);
    }
);

impl Encoded {
    /// Removes all packets and refusals; the buffers stay allocated.
    pub fn clear(&mut self) {
        self.packets.clear();
        self.sources.clear();
        self.refused.clear();
    }

    /// Frees capacity above this number of bytes.
    fn shrink_to(&mut self, bytes: usize) {
        self.packets.shrink_to(bytes);
        self.sources.shrink_to(bytes / size_of::<u32>());
    }

    /// Adds a packet of the message with this index.
    pub fn push(&mut self, message: u32, packet: &[u8]) {
        self.push_with(message, |bytes| bytes.extend_from_slice(packet));
    }

    /// Adds the packet that `write` appends to the buffer, for the message with this index. `write`
    /// must not change the bytes that are already there.
    pub fn push_with(&mut self, message: u32, write: impl FnOnce(&mut Vec<u8>)) {
        self.packets.push_with(write);
        self.sources.push(message);
    }

    /// Checks whether this can be the answer to this number of messages. A guest's answer must be
    /// checked before any other use.
    ///
    /// # Errors
    /// Returns an error if an offset, a source, or the index of a message is wrong.
    pub fn check(&self, messages: usize) -> Result<(), Violation> {
        if !self.packets.is_well_formed() {
            return Err(Violation::Offset);
        }
        let is_message = |last: Option<u32>| last.is_none_or(|last| (last as usize) < messages);
        let one_each = self.sources.len() == self.packets.len();
        if !one_each || !self.sources.is_sorted() || !is_message(self.sources.last().copied()) {
            return Err(Violation::Sources);
        }
        let in_order = self.refused.windows(2).all(|pair| pair[0].message < pair[1].message);
        if !in_order || !is_message(self.refused.last().map(|refusal| refusal.message)) {
            return Err(Violation::MessageIndex);
        }
        if self.refused.iter().any(|refusal| self.sources.binary_search(&refusal.message).is_ok()) {
            return Err(Violation::RefusedSource);
        }
        Ok(())
    }
}
