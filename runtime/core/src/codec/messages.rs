//! Messages in one flat buffer, the packets that a codec makes from them, and the check of these
//! packets.

#[cfg(feature = "component-model")]
use wasmtime::component::{ComponentType, Lift, Lower};

use super::Violation;
use crate::framing::Packets;

/// One message of a batch: `message-head` in `wit/codec.wit`.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "component-model", derive(ComponentType, Lower))]
#[cfg_attr(feature = "component-model", component(record))]
pub struct MessageHead {
    /// The id of the request that the message answers, or `None` for a push.
    pub id: Option<u64>,
    /// The status of a response.
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
    /// The id of the request that the message answers, or `None` for a push.
    pub id: Option<u64>,
    /// The route of the message.
    pub route: &'a str,
    /// The payload.
    pub body: &'a [u8],
    /// The status of a response, as in HTTP.
    pub status: u16,
}

impl MessageRef<'_> {
    /// The status of a response that could not be encoded.
    pub const FAILED: u16 = 500;

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
        self.heads.push(MessageHead { id: message.id, status: message.status, route_end, body_end });
    }

    /// Returns the messages in order.
    pub fn iter(&self) -> impl Iterator<Item = MessageRef<'_>> {
        let mut start = 0;
        self.heads.iter().map(move |head| {
            let (route_end, body_end) = (head.route_end as usize, head.body_end as usize);
            let route = std::str::from_utf8(&self.bytes[start..route_end]).expect("pushed as a str");
            let body = &self.bytes[route_end..body_end];
            start = body_end;
            MessageRef { id: head.id, route, body, status: head.status }
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
    /// The messages that could not be encoded, in order.
    pub refused: Vec<Refusal>,
}

impl Encoded {
    /// Removes all packets and refusals; the buffers stay allocated.
    pub fn clear(&mut self) {
        self.packets.clear();
        self.refused.clear();
    }

    /// Checks whether this can be the answer to this number of messages. A guest's answer must be
    /// checked before any other use.
    ///
    /// # Errors
    /// Returns an error if an offset, the number of packets and refusals, or the index of a message
    /// is wrong.
    pub fn check(&self, messages: usize) -> Result<(), Violation> {
        if !self.packets.is_well_formed() {
            return Err(Violation::Offset);
        }
        if self.packets.len() + self.refused.len() > messages {
            return Err(Violation::Count);
        }
        let in_order = self.refused.windows(2).all(|pair| pair[0].message < pair[1].message);
        if !in_order || self.refused.last().is_some_and(|refusal| refusal.message as usize >= messages) {
            return Err(Violation::MessageIndex);
        }
        Ok(())
    }
}
