//! The events of packets, in one flat buffer, and their checks.
//!
//! A guest's answer is read as if an attacker had written it. [`EventReader`] checks each head
//! before it hands out the bytes to which the head points, so no code can use an answer unchecked.

use bytes::Bytes;
#[cfg(feature = "component-model")]
use wasmtime::component::{ComponentType, Lift};

/// The kind of the event of a head: `kind` in `wit/codec.wit`.
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
    /// A packet to send back immediately.
    #[cfg_attr(feature = "component-model", component(name = "reply"))]
    Reply,
    /// A request to call `tick` after a number of milliseconds.
    #[cfg_attr(feature = "component-model", component(name = "wake"))]
    Wake,
    /// A request to end the connection.
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
    /// The kind of the event.
    pub kind: Kind,
    /// The index in the batch of the packet from which the event comes.
    pub packet: u32,
    /// The id of a message that is a request, or the milliseconds of a wake.
    pub id: Option<u64>,
    /// Where the event's route ends in the bytes.
    #[cfg_attr(feature = "component-model", component(name = "route-end"))]
    pub route_end: u32,
    /// Where the event's body ends in the bytes.
    #[cfg_attr(feature = "component-model", component(name = "body-end"))]
    pub body_end: u32,
}

/// Events as a codec returns them: `events` in `wit/codec.wit`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "component-model", derive(ComponentType, Lift))]
#[cfg_attr(feature = "component-model", component(record))]
pub struct Events {
    /// All routes and bodies.
    pub bytes: Vec<u8>,
    /// The events, in order.
    pub heads: Vec<EventHead>,
}

/// One checked event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The client has introduced itself with this body.
    Hello(Bytes),
    /// The handshake is over.
    Established,
    /// A message for the application.
    Message {
        /// The id of a request, or `None` for a notification.
        id: Option<u64>,
        /// The route of the message.
        route: &'a str,
        /// The payload.
        body: Bytes,
    },
    /// A packet to send back immediately.
    Reply(&'a [u8]),
    /// A request to call `tick` after this number of milliseconds.
    Wake(u32),
    /// A request to end the connection, for this reason.
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
    /// A route is not valid UTF-8.
    #[error("a route is not valid UTF-8")]
    Route,
    /// An event other than a message has a route.
    #[error("an event other than a message has a route")]
    StrayRoute,
    /// A wake has no time, or one over 2^32 - 1 ms.
    #[error("a wake's milliseconds are missing or too many")]
    Wake,
    /// A wake or hello comes from a codec without the interface that this event needs.
    #[error("a {0} event from a codec that does not export the interface it needs")]
    MissingAbility(&'static str),
    /// A message comes before the handshake is over.
    #[error("a message before `established`")]
    EarlyMessage,
    /// There is a second `established`, or one from a codec whose description has no handshake.
    #[error("an `established` event that was not due")]
    StrayEstablished,
    /// There are more packets and refusals than messages.
    #[error("packets and refusals do not fit the messages")]
    Count,
    /// A refusal names a message that was not in the batch, or is out of order.
    #[error("a message index is out of order or out of range")]
    MessageIndex,
}

impl Events {
    /// Creates an empty list of events.
    pub fn new() -> Self {
        Self::default()
    }

    /// Removes all events; the buffers stay allocated.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.heads.clear();
    }

    /// Reserves room for this number of events, whose routes and bodies have `bytes` bytes
    /// together.
    pub fn reserve(&mut self, bytes: usize, events: usize) {
        self.bytes.reserve(bytes);
        self.heads.reserve(events);
    }

    /// Returns the number of events.
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// Returns whether there are no events.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Returns whether the last event ends the session, so that no later event counts.
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

    /// Adds a wake after `ms` milliseconds.
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

    /// Takes all events out for reading, as the answer to a call with this number of packets.
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
        // Native codecs fill this buffer from batches that are far below 4 GiB. A guest's answer
        // does not use this method.
        self.bytes.len() as u32
    }
}

/// Reads events in order and checks each one before it is returned. Ends after the first `close` or
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
    /// Returns the next event, or the violation of the contract in its place.
    pub fn next_event(&mut self) -> Option<Result<Event<'_>, Violation>> {
        self.next_with_packet().map(|next| next.map(|(_, event)| event))
    }

    /// Returns the next event with the index of its packet, or the violation of the contract in its
    /// place.
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
