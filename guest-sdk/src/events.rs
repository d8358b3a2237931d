//! What packets mean: a list for one packet, one flat buffer for a batch. Authors see neither.

use std::borrow::Cow;
use std::error::Error;

use crate::Packet;

/// Takes the events of a packet, a tick or an answer, in order.
#[derive(Debug)]
pub struct Events(Out);

#[derive(Debug)]
enum Out {
    List(Vec<Event>),
    Flat(Flat),
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The client has introduced itself.
    Hello(Vec<u8>),
    /// The handshake is over.
    Established,
    /// A message for the application.
    Message {
        /// The request's id; none for a notification.
        id: Option<u64>,
        /// Where it goes.
        route: String,
        /// The payload.
        body: Vec<u8>,
    },
    /// A packet to send straight back.
    Reply(Vec<u8>),
    /// Call `tick` after so many milliseconds.
    Wake(u32),
    /// End the connection, for this reason.
    Close(String),
}

/// Why a packet or a message was refused. Any error is one of the first kind by `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Drop it, count it, and keep the connection.
    Rejected(Cow<'static, str>),
    /// End the connection.
    Fatal(Cow<'static, str>),
}

impl Fault {
    /// Drop the packet or message, count it, and keep the connection.
    pub fn rejected(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Rejected(reason.into())
    }

    /// End the connection.
    pub fn fatal(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Fatal(reason.into())
    }
}

impl<E: Error> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::rejected(error.to_string())
    }
}

impl Events {
    /// The client has introduced itself with this body. The application decides, and exactly one
    /// [`Handshake::answer`](crate::Handshake::answer) follows.
    pub fn hello(&mut self, body: &[u8]) {
        match &mut self.0 {
            Out::List(list) => list.push(Event::Hello(body.to_vec())),
            Out::Flat(flat) => flat.put(Kind::Hello, None, "", body),
        }
    }

    /// The handshake is over: from now on pushes flow, and messages are allowed. At most once in a session, and only where the
    /// description says `handshake`.
    pub fn established(&mut self) {
        match &mut self.0 {
            Out::List(list) => list.push(Event::Established),
            Out::Flat(flat) => flat.put(Kind::Established, None, "", b""),
        }
    }

    /// A message for the application: a request if it has an id, else a notification. The answer to a request carries its id.
    pub fn message(&mut self, id: Option<u64>, route: &str, body: &[u8]) {
        match &mut self.0 {
            Out::List(list) => list.push(Event::Message { id, route: route.to_owned(), body: body.to_vec() }),
            Out::Flat(flat) => flat.put(Kind::Message, id, route, body),
        }
    }

    /// A packet to send straight back. It goes out before every message that is not encoded yet.
    pub fn reply(&mut self, packet: &[u8]) {
        self.reply_with(|reply| reply.extend(packet));
    }

    /// The same, written in place.
    pub fn reply_with(&mut self, write: impl FnOnce(&mut Packet<'_>)) {
        match &mut self.0 {
            Out::List(list) => {
                let mut reply = Vec::new();
                write(&mut Packet::at_end_of(&mut reply));
                list.push(Event::Reply(reply));
            }
            Out::Flat(flat) => {
                let route_end = flat.bytes.len();
                write(&mut Packet::at_end_of(&mut flat.bytes));
                flat.head(Kind::Reply, None, route_end);
            }
        }
    }

    /// The same with a packet that is no longer needed elsewhere: it is not copied if that can be avoided.
    pub fn reply_owned(&mut self, packet: Vec<u8>) {
        match &mut self.0 {
            Out::List(list) => list.push(Event::Reply(packet)),
            Out::Flat(flat) => flat.put(Kind::Reply, None, "", &packet),
        }
    }

    /// Call [`Clock::tick`](crate::Clock::tick) after so many milliseconds. Replaces the wake before it. 0 means 1.
    pub fn wake(&mut self, ms: u32) {
        match &mut self.0 {
            Out::List(list) => list.push(Event::Wake(ms)),
            Out::Flat(flat) => flat.put(Kind::Wake, Some(ms.into()), "", b""),
        }
    }

    /// End the connection, for this reason. For a last packet, put a reply before it. The session is then asked for nothing
    /// more but to encode the responses to messages that came before.
    pub fn close(&mut self, reason: &str) {
        match &mut self.0 {
            Out::List(list) => list.push(Event::Close(reason.to_owned())),
            Out::Flat(flat) => {
                flat.closed = true;
                flat.put(Kind::Close, None, "", reason.as_bytes());
            }
        }
    }

    /// For the events of a call that is about one packet, or none.
    pub(crate) fn list() -> Self {
        Self(Out::List(Vec::new()))
    }

    pub(crate) fn into_list(self) -> Vec<Event> {
        match self.0 {
            Out::List(list) => list,
            Out::Flat(_) => unreachable!("it was made by `list`"),
        }
    }

    /// For a batch of so many packets with so many bytes together, and room for what they mean in the common case: a message
    /// each, hardly longer than its packet.
    pub(crate) fn flat(bytes: usize, packets: usize) -> Self {
        Self(Out::Flat(Flat {
            bytes: Vec::with_capacity(bytes + packets * 32),
            heads: Vec::with_capacity(packets),
            packet: 0,
            closed: false,
        }))
    }

    pub(crate) fn flat_mut(&mut self) -> &mut Flat {
        match &mut self.0 {
            Out::Flat(flat) => flat,
            Out::List(_) => unreachable!("it was made by `flat`"),
        }
    }

    pub(crate) fn into_flat(self) -> Flat {
        match self.0 {
            Out::Flat(flat) => flat,
            Out::List(_) => unreachable!("it was made by `flat`"),
        }
    }
}

/// Which event a head stands for, as in the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the contract has them")]
pub enum Kind {
    Hello,
    Established,
    Message,
    Reply,
    Wake,
    Close,
    Rejected,
    Fatal,
}

/// The head of an event, as in the contract. It lies in memory as that of the bindings does, so that to make one of the other
/// costs nothing.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[expect(missing_docs, reason = "the contract has them")]
pub struct Head {
    pub kind: Kind,
    pub packet: u32,
    pub id: Option<u64>,
    pub route_end: u32,
    pub body_end: u32,
}

/// The events of a batch in the contract's shape.
#[derive(Debug)]
pub struct Flat {
    /// All routes and bodies.
    pub bytes: Vec<u8>,
    /// One head an event.
    pub heads: Vec<Head>,
    /// The index of the packet at hand.
    packet: u32,
    /// It ends the connection.
    closed: bool,
}

impl Flat {
    /// How many bytes and heads there are.
    pub(crate) fn mark(&self) -> (usize, usize) {
        (self.bytes.len(), self.heads.len())
    }

    /// Ends a packet that is not refused; false: none may follow.
    pub(crate) fn finish_packet(&mut self) -> bool {
        self.packet += 1;
        !self.closed
    }

    /// Ends a packet that is refused, and takes back what it put behind the mark; false: none may follow.
    #[cold]
    pub(crate) fn refuse_packet(&mut self, (bytes, heads): (usize, usize), fault: &Fault) -> bool {
        self.closed = false;
        self.bytes.truncate(bytes);
        self.heads.truncate(heads);
        let (kind, reason) = match fault {
            Fault::Rejected(reason) => (Kind::Rejected, reason),
            Fault::Fatal(reason) => (Kind::Fatal, reason),
        };
        self.put(kind, None, "", reason.as_bytes());
        self.packet += 1;
        kind == Kind::Rejected
    }

    #[inline]
    fn put(&mut self, kind: Kind, id: Option<u64>, route: &str, body: &[u8]) {
        self.bytes.extend_from_slice(route.as_bytes());
        let route_end = self.bytes.len();
        self.bytes.extend_from_slice(body);
        self.head(kind, id, route_end);
    }

    /// The head of an event whose bytes are in place.
    fn head(&mut self, kind: Kind, id: Option<u64>, route_end: usize) {
        let (route_end, body_end) = (route_end as u32, self.bytes.len() as u32);
        self.heads.push(Head { kind, packet: self.packet, id, route_end, body_end });
    }
}
