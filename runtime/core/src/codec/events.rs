//! What packets meant, in one flat buffer, and the check of it.
//!
//! A guest's answer is read as if an attacker wrote it: [`EventReader`] checks each head before it
//! hands out what the head points to, so there is no way to use an answer unchecked.

use bytes::Bytes;
#[cfg(feature = "component-model")]
use wasmtime::component::{ComponentType, Lift};

/// Which event a head stands for: `kind` in `wit/codec.wit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "component-model", derive(ComponentType, Lift))]
#[cfg_attr(feature = "component-model", component(enum))]
#[repr(u8)]
pub enum Kind {
    /// The client has introduced itself.
    #[cfg_attr(feature = "component-model", component(name = "hello"))]
    Hello,
    /// The handshake is over.
    #[cfg_attr(feature = "component-model", component(name = "established"))]
    Established,
    /// A message for the application.
    #[cfg_attr(feature = "component-model", component(name = "message"))]
    Message,
    /// A packet to send straight back.
    #[cfg_attr(feature = "component-model", component(name = "reply"))]
    Reply,
    /// Call `tick` after so many milliseconds.
    #[cfg_attr(feature = "component-model", component(name = "wake"))]
    Wake,
    /// End the connection.
    #[cfg_attr(feature = "component-model", component(name = "close"))]
    Close,
    /// The packet was dropped.
    #[cfg_attr(feature = "component-model", component(name = "rejected"))]
    Rejected,
    /// The packet ends the connection.
    #[cfg_attr(feature = "component-model", component(name = "fatal"))]
    Fatal,
}

/// One event of a batch: `event-head` in `wit/codec.wit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "component-model", derive(ComponentType, Lift))]
#[cfg_attr(feature = "component-model", component(record))]
pub struct EventHead {
    /// What it is.
    pub kind: Kind,
    /// The number of the packet in its batch that it comes from.
    pub packet: u32,
    /// The request to which a message belongs.
    pub id: Option<u64>,
    /// Where its route ends in the bytes.
    #[cfg_attr(feature = "component-model", component(name = "route-end"))]
    pub route_end: u32,
    /// Where its body ends in the bytes.
    #[cfg_attr(feature = "component-model", component(name = "body-end"))]
    pub body_end: u32,
}

/// Events as a codec answers them: `events` in `wit/codec.wit`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "component-model", derive(ComponentType, Lift))]
#[cfg_attr(feature = "component-model", component(record))]
pub struct Events {
    /// All routes and bodies.
    pub bytes: Vec<u8>,
    /// The events, in order.
    pub heads: Vec<EventHead>,
}

/// One event, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The client has introduced itself with this body.
    Hello(Bytes),
    /// The handshake is over.
    Established,
    /// A message for the application.
    Message {
        /// The request's id; none for a notification.
        id: Option<u64>,
        /// Where it goes.
        route: &'a str,
        /// The payload.
        body: Bytes,
    },
    /// A packet to send straight back.
    Reply(&'a [u8]),
    /// Call `tick` after so many milliseconds.
    Wake(u32),
    /// End the connection, for this reason.
    Close(&'a [u8]),
    /// The packet was dropped, for this reason.
    Rejected(&'a [u8]),
    /// The packet ends the connection, for this reason.
    Fatal(&'a [u8]),
}

/// How an answer breaks the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// An offset goes back or points past the end.
    #[error("an offset is out of order or out of range")]
    Offset,
    /// A head names a packet that was not in the batch, or goes back.
    #[error("a packet index is out of order or out of range")]
    PacketIndex,
    /// A route that is not valid UTF-8.
    #[error("a route is not valid UTF-8")]
    Route,
    /// A route where none belongs.
    #[error("an event other than a message has a route")]
    StrayRoute,
    /// A wake without a time, or with one over 2^32 - 1 ms.
    #[error("a wake's milliseconds are missing or too many")]
    Wake,
    /// A wake or hello from a codec without the interface that answers it.
    #[error("a {0} event from a codec that does not export the interface it needs")]
    MissingAbility(&'static str),
    /// A message before the handshake is over.
    #[error("a message before `established`")]
    EarlyMessage,
    /// A second `established`, or one from a codec whose description knows no handshake.
    #[error("an `established` event that was not due")]
    StrayEstablished,
    /// More packets than messages, or fewer without a reason.
    #[error("packets and refusals do not fit the messages")]
    Count,
    /// A refusal of a message that was not in the batch, or out of order.
    #[error("a message index is out of order or out of range")]
    MessageIndex,
}

impl Events {
    /// No events.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes all events out; the buffers stay allocated.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.heads.clear();
    }

    /// Makes room for so many events whose routes and bodies have so many bytes together.
    pub fn reserve(&mut self, bytes: usize, events: usize) {
        self.bytes.reserve(bytes);
        self.heads.reserve(events);
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Whether the last event ends the session, so that nothing behind it counts.
    pub fn ends_session(&self) -> bool {
        self.heads.last().is_some_and(|head| matches!(head.kind, Kind::Close | Kind::Fatal))
    }

    /// Adds an event other than a message or a wake; `write` appends its body to the buffer.
    pub fn push_with(&mut self, packet: u32, kind: Kind, write: impl FnOnce(&mut Vec<u8>)) {
        let route_end = self.end();
        write(&mut self.bytes);
        self.heads.push(EventHead { kind, packet, id: None, route_end, body_end: self.end() });
    }

    /// Adds an event other than a message or a wake.
    pub fn push(&mut self, packet: u32, kind: Kind, body: &[u8]) {
        self.push_with(packet, kind, |bytes| bytes.extend_from_slice(body));
    }

    /// Adds a message.
    pub fn push_message(&mut self, packet: u32, id: Option<u64>, route: &str, body: &[u8]) {
        self.bytes.extend_from_slice(route.as_bytes());
        let route_end = self.end();
        self.bytes.extend_from_slice(body);
        self.heads.push(EventHead { kind: Kind::Message, packet, id, route_end, body_end: self.end() });
    }

    /// Adds a wake after so many milliseconds.
    pub fn push_wake(&mut self, packet: u32, ms: u32) {
        let end = self.end();
        self.heads.push(EventHead {
            kind: Kind::Wake,
            packet,
            id: Some(ms.into()),
            route_end: end,
            body_end: end,
        });
    }

    /// Takes the events out to be read, as the answer to a call with so many packets.
    pub fn read(&mut self, packets: usize) -> EventReader {
        EventReader {
            bytes: Bytes::from(std::mem::take(&mut self.bytes)),
            heads: std::mem::take(&mut self.heads),
            next: 0,
            start: 0,
            packet: 0,
            packets: packets as u32,
        }
    }

    fn end(&self) -> u32 {
        // Native codecs fill this from batches that are bounded far below 4 GiB; a guest's answer
        // never comes this way.
        self.bytes.len() as u32
    }
}

/// Reads events in order, each checked before it is handed out. Ends behind the first `close` or
/// `fatal`.
#[derive(Debug)]
pub struct EventReader {
    bytes: Bytes,
    heads: Vec<EventHead>,
    next: usize,
    start: usize,
    packet: u32,
    packets: u32,
}

impl EventReader {
    /// Returns the next event, or how the answer breaks the contract there.
    pub fn next_event(&mut self) -> Option<Result<Event<'_>, Violation>> {
        self.next_with_packet().map(|next| next.map(|(_, event)| event))
    }

    /// Returns the next event with the index of its packet, or how the answer breaks the contract
    /// there.
    pub(super) fn next_with_packet(&mut self) -> Option<Result<(usize, Event<'_>), Violation>> {
        let head = *self.heads.get(self.next)?;
        self.next += 1;
        if matches!(head.kind, Kind::Close | Kind::Fatal) {
            self.next = self.heads.len();
        }
        Some(self.check(head).map(|event| (head.packet as usize, event)))
    }

    fn check(&mut self, head: EventHead) -> Result<Event<'_>, Violation> {
        let (start, route_end, body_end) = (self.start, head.route_end as usize, head.body_end as usize);
        if start > route_end || route_end > body_end || body_end > self.bytes.len() {
            return Err(Violation::Offset);
        }
        if head.packet < self.packet || head.packet >= self.packets {
            return Err(Violation::PacketIndex);
        }
        self.packet = head.packet;
        self.start = body_end;
        if head.kind != Kind::Message && route_end != start {
            return Err(Violation::StrayRoute);
        }
        let body = route_end..body_end;
        Ok(match head.kind {
            Kind::Hello => Event::Hello(self.bytes.slice(body)),
            Kind::Established => Event::Established,
            Kind::Message => Event::Message {
                id: head.id,
                route: std::str::from_utf8(&self.bytes[start..route_end]).map_err(|_| Violation::Route)?,
                body: self.bytes.slice(body),
            },
            Kind::Reply => Event::Reply(&self.bytes[body]),
            Kind::Wake => Event::Wake(head.id.and_then(|ms| u32::try_from(ms).ok()).ok_or(Violation::Wake)?),
            Kind::Close => Event::Close(&self.bytes[body]),
            Kind::Rejected => Event::Rejected(&self.bytes[body]),
            Kind::Fatal => Event::Fatal(&self.bytes[body]),
        })
    }
}
