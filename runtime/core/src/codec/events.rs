//! The events of packets, in one flat buffer, and their checks.
//!
//! A guest's answer is read as if an attacker had written it. [`EventReader`] checks each head
//! before it hands out the bytes to which the head points, so no code can use an answer unchecked.

use bytes::Bytes;
#[cfg(feature = "component-model")]
use wasmtime::component::{ComponentType, Lift, Lower};

use super::{MessageRef, is_close_code};

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
    #[cfg_attr(feature = "component-model", component(name = "timer"))]
    Timer,
    /// The client receives what is sent to its address.
    #[cfg_attr(feature = "component-model", component(name = "address-verified"))]
    AddressVerified,
    /// A line for the log.
    #[cfg_attr(feature = "component-model", component(name = "log"))]
    Log,
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

/// What a message is: `role` in `wit/codec.wit`. The same three roles go in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "component-model", derive(ComponentType, Lift, Lower))]
#[cfg_attr(feature = "component-model", component(enum))]
#[repr(u8)]
pub enum Role {
    /// The message expects no answer: a notification from the client, or a push to the client.
    #[cfg_attr(feature = "component-model", component(name = "notice"))]
    Notice,
    /// The message expects exactly one response with the same id.
    #[cfg_attr(feature = "component-model", component(name = "request"))]
    Request,
    /// The message answers the request with the same id.
    #[cfg_attr(feature = "component-model", component(name = "response"))]
    Response,
}

/// The level of a line for the log: `level` in `wit/codec.wit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "component-model", derive(ComponentType, Lift))]
#[cfg_attr(feature = "component-model", component(enum))]
#[repr(u8)]
pub enum Level {
    /// For the author of the codec.
    #[cfg_attr(feature = "component-model", component(name = "debug"))]
    Debug,
    /// A normal event.
    #[cfg_attr(feature = "component-model", component(name = "info"))]
    Info,
    /// Something that an operator should look at.
    #[cfg_attr(feature = "component-model", component(name = "warn"))]
    Warn,
    /// A failure.
    #[cfg_attr(feature = "component-model", component(name = "error"))]
    Error,
}

impl Level {
    /// All levels, in the order of the contract.
    pub const ALL: [Level; 4] = [Level::Debug, Level::Info, Level::Warn, Level::Error];

    /// Returns the name of the level, as in `wit/codec.wit`.
    pub fn name(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        }
    }

    /// Returns the level with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }
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
    /// The role of a message, and [`Role::Notice`] for any other event.
    pub role: Role,
    /// The id of a message, the milliseconds of a timer, the level of a line for the log, or the
    /// code of a close; 0 for any other event.
    pub id: u64,
    /// The status of a message, and 200 for any other event.
    pub status: u16,
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
        /// The role of the message.
        role: Role,
        /// The id of a request or response; 0 in a notice.
        id: u64,
        /// The route of the message.
        route: &'a str,
        /// The payload.
        body: Bytes,
        /// The status of a response; 200 in a request and in a notice.
        status: u16,
    },
    /// A packet to send back immediately.
    Reply(&'a [u8]),
    /// A request to call `tick` after this number of milliseconds.
    Timer(u32),
    /// The client receives what is sent to its address.
    AddressVerified,
    /// A line for the log.
    Log {
        /// The level of the line.
        level: Level,
        /// The text, as the codec wrote it.
        text: &'a [u8],
    },
    /// A request to end the connection.
    Close {
        /// The WebSocket close code, or 0 if the runtime chooses one.
        code: u16,
        /// The reason, as the codec wrote it.
        reason: &'a [u8],
    },
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
    /// An event has a role, an id or a status that an event of its kind does not have.
    #[error("an event has a role, an id or a status that its kind does not have")]
    StrayField,
    /// A notice has an id.
    #[error("a notice has an id")]
    NoticeId,
    /// The status of a response is not between 100 and 599, or another message has a status other
    /// than 200.
    #[error("a status is out of range: 100 to 599 in a response, 200 in any other message")]
    Status,
    /// A timer is over 2^32 - 1 ms.
    #[error("the milliseconds of a timer are more than 32 bits")]
    Timer,
    /// The level of a line for the log is not one of the four.
    #[error("the level of a log entry is over 3")]
    Level,
    /// The code of a close is not one that an endpoint may send.
    #[error("a close code is not 0, 1000 to 1003, 1007 to 1014 or 3000 to 4999")]
    CloseCode,
    /// A response comes from a codec whose description has no client requests.
    #[error("a response from a codec whose `client-requests` is 0")]
    StrayResponse,
    /// An event follows a hello in the same call.
    #[error("an event after `hello`, which must be the last event of a call")]
    AfterHello,
    /// There is a second hello before the first one is answered.
    #[error("a second `hello` before the first one is answered")]
    SecondHello,
    /// The ends of packets in a stream are out of order or out of range, or more than 256.
    #[error("the ends of packets are out of order or out of range, or more than 256")]
    Ends,
    /// An event is about the rest of a stream, and is not allowed there.
    #[error(
        "events about the rest of a stream that do not end with `close` or `fatal`, or are not `reply` and `log`"
    )]
    AboutRest,
    /// A call with a stream has no packet, and does not ask for more bytes than there are.
    #[error("an answer without progress: no packet, and no need for more bytes than there are")]
    NoProgress,
    /// TLS is to begin where it cannot.
    #[error("`start-tls` without a packet before it, or on a connection without the attribute `starttls`")]
    StartTls,
    /// A complete packet cannot be sent, and the stream would not make sense without it.
    #[error("a packet for a stream cannot be sent: it is too long, or not valid UTF-8")]
    Unsendable,
    /// The answer to a farewell has an event that is not allowed there.
    #[error("a `{0}` event in a farewell: only `reply`, `log` and `close` are allowed")]
    Farewell(&'static str),
    /// A timer or hello comes from a codec without the interface that this event needs.
    #[error("a {0} event from a codec that does not export the interface it needs")]
    MissingAbility(&'static str),
    /// A message comes before the handshake is over.
    #[error("a message before `established`")]
    EarlyMessage,
    /// There is a second `established`, or one from a codec whose description has no handshake.
    #[error("an `established` event that was not due")]
    StrayEstablished,
    /// The sources of packets do not name one message for each packet, in order.
    #[error("the sources of packets are out of order or out of range, or not one for each packet")]
    Sources,
    /// A message that was refused has a packet.
    #[error("a message that was refused has a packet")]
    RefusedSource,
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

    /// Returns whether the last event ends the call, so that the packets behind it must not be
    /// decoded in it: it ends the session, or it is a hello.
    pub fn ends_call(&self) -> bool {
        self.heads.last().is_some_and(|head| matches!(head.kind, Kind::Hello | Kind::Close | Kind::Fatal))
    }

    /// Adds an event that has only a body; `write` appends the body to the buffer. A close that is
    /// added in this way has the code 0.
    pub fn push_with(&mut self, packet: u32, kind: Kind, write: impl FnOnce(&mut Vec<u8>)) {
        self.push_number_with(packet, kind, 0, write);
    }

    /// Adds an event that has only a body. A close that is added in this way has the code 0.
    pub fn push(&mut self, packet: u32, kind: Kind, body: &[u8]) {
        self.push_with(packet, kind, |bytes| bytes.extend_from_slice(body));
    }

    /// Adds a message.
    pub fn push_message(&mut self, packet: u32, message: MessageRef<'_>) {
        let MessageRef { role, id, route, body, status } = message;
        self.bytes.extend_from_slice(route.as_bytes());
        let route_end = self.end();
        self.bytes.extend_from_slice(body);
        let body_end = self.end();
        self.heads.push(EventHead { kind: Kind::Message, packet, role, id, status, route_end, body_end });
    }

    /// Adds a timer of `ms` milliseconds.
    pub fn push_timer(&mut self, packet: u32, ms: u32) {
        self.push_number_with(packet, Kind::Timer, ms.into(), |_| ());
    }

    /// Adds a line for the log.
    pub fn push_log(&mut self, packet: u32, level: Level, text: &str) {
        self.push_number_with(packet, Kind::Log, level as u64, |bytes| {
            bytes.extend_from_slice(text.as_bytes())
        });
    }

    /// Adds a close with this WebSocket close code.
    pub fn push_close(&mut self, packet: u32, code: u16, reason: &str) {
        self.push_number_with(packet, Kind::Close, code.into(), |bytes| {
            bytes.extend_from_slice(reason.as_bytes())
        });
    }

    fn push_number_with(&mut self, packet: u32, kind: Kind, id: u64, write: impl FnOnce(&mut Vec<u8>)) {
        let route_end = self.end();
        write(&mut self.bytes);
        let body_end = self.end();
        self.heads.push(EventHead {
            kind,
            packet,
            role: Role::Notice,
            id,
            status: MessageRef::OK,
            route_end,
            body_end,
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

    /// Returns whether there is another event to read.
    pub(super) fn has_next(&self) -> bool {
        self.next < self.heads.len()
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
        let body = route_end..body_end;
        if head.kind == Kind::Message {
            return self.check_message(head, start);
        }
        if route_end != start {
            return Err(Violation::StrayRoute);
        }
        let has_number = matches!(head.kind, Kind::Timer | Kind::Log | Kind::Close);
        let has_stray_number = !has_number && head.id != 0;
        if head.role != Role::Notice || head.status != MessageRef::OK || has_stray_number {
            return Err(Violation::StrayField);
        }
        Ok(match head.kind {
            Kind::Hello => Event::Hello(self.bytes.slice(body)),
            Kind::Established => Event::Established,
            Kind::Message => unreachable!("messages are checked above"),
            Kind::Reply => Event::Reply(&self.bytes[body]),
            Kind::Timer => Event::Timer(u32::try_from(head.id).map_err(|_| Violation::Timer)?),
            Kind::AddressVerified => Event::AddressVerified,
            Kind::Log => {
                let level = Level::ALL.into_iter().find(|&level| level as u64 == head.id);
                Event::Log { level: level.ok_or(Violation::Level)?, text: &self.bytes[body] }
            }
            Kind::Close if !is_close_code(head.id) => return Err(Violation::CloseCode),
            Kind::Close => Event::Close { code: head.id as u16, reason: &self.bytes[body] },
            Kind::Rejected => Event::Rejected(&self.bytes[body]),
            Kind::Fatal => Event::Fatal(&self.bytes[body]),
        })
    }

    fn check_message(&self, head: EventHead, start: usize) -> Result<Event<'_>, Violation> {
        let EventHead { role, id, status, .. } = head;
        if role == Role::Notice && id != 0 {
            return Err(Violation::NoticeId);
        }
        let is_status = match role {
            Role::Response => (100..600).contains(&status),
            Role::Notice | Role::Request => status == MessageRef::OK,
        };
        if !is_status {
            return Err(Violation::Status);
        }
        let (route_end, body_end) = (head.route_end as usize, head.body_end as usize);
        let route = std::str::from_utf8(&self.bytes[start..route_end]).map_err(|_| Violation::Route)?;
        Ok(Event::Message { role, id, route, body: self.bytes.slice(route_end..body_end), status })
    }
}
