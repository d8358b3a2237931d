//! What packets mean, and what a session wants.

use std::borrow::Cow;
use std::error::Error;

use crate::flat::{FlatEvents, Kind};
use crate::{Packet, Role};

/// Takes the events of a call, in order.
#[derive(Debug, Default)]
pub struct Events(FlatEvents);

/// One event, as tests see it. A codec calls the methods of [`Events`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The client has introduced itself with this body.
    Hello(Vec<u8>),
    /// The handshake is complete.
    Established,
    /// A notification from the client.
    Notice {
        /// Where the notification goes.
        route: String,
        /// The payload.
        body: Vec<u8>,
    },
    /// A request from the client.
    Request {
        /// The id that the client chose.
        id: u64,
        /// Where the request goes.
        route: String,
        /// The payload.
        body: Vec<u8>,
    },
    /// The client's response to a request of the application.
    Response {
        /// The id of the request.
        id: u64,
        /// The outcome, as in HTTP.
        status: u16,
        /// The payload.
        body: Vec<u8>,
    },
    /// A packet to send back at once.
    Reply(Vec<u8>),
    /// Call `tick` after this many milliseconds.
    Timer(u32),
    /// The client receives what is sent to its address.
    AddressVerified,
    /// A line for the server's log.
    Log {
        /// The importance of the line.
        level: Level,
        /// The line.
        text: String,
    },
    /// End the connection.
    Close {
        /// The WebSocket close code, or 0.
        code: u16,
        /// The reason, for the log and the application.
        reason: String,
    },
}

/// The importance of a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the usual ones")]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// Why a session refuses a packet or a message. `?` turns any error into [`Fault::Rejected`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Drops and counts the packet or message, and keeps the connection.
    Rejected(Cow<'static, str>),
    /// Ends the connection.
    Fatal(Cow<'static, str>),
}

impl Fault {
    /// Returns a fault that drops the packet or message and keeps the connection.
    pub fn rejected(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Rejected(reason.into())
    }

    /// Returns a fault that ends the connection.
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
    /// Passes a notification to the application.
    #[inline]
    pub fn notice(&mut self, route: &str, body: &[u8]) {
        self.0.add(Kind::Message, route, body);
    }

    /// Passes a request to the application. The response comes back with the same id.
    #[inline]
    pub fn request(&mut self, id: u64, route: &str, body: &[u8]) {
        let head = self.0.add(Kind::Message, route, body);
        (head.role, head.id) = (Role::Request, id);
    }

    /// Passes the client's response to a request of the application. The status is that of HTTP:
    /// 200 unless the request failed. Only if `client_requests` is above 0.
    pub fn response(&mut self, id: u64, status: u16, body: &[u8]) {
        let head = self.0.add(Kind::Message, "", body);
        (head.role, head.id, head.status) = (Role::Response, id, status);
    }

    /// Sends a packet back at once. It goes out before every message that is not encoded yet.
    pub fn reply(&mut self, packet: &[u8]) {
        self.0.add(Kind::Reply, "", packet);
    }

    /// Sends a packet back at once, as [`reply`](Self::reply) does. `write` writes it in place.
    pub fn reply_with(&mut self, write: impl FnOnce(&mut Packet<'_>)) {
        self.0.add_reply(write);
    }

    /// Sends a packet back at once, as [`reply`](Self::reply) does, without copying it if it is the
    /// first event with bytes in its call. For a long packet that was written with the options:
    /// sandboxes share that memory until they write to it.
    pub fn reply_owned(&mut self, packet: Vec<u8>) {
        self.0.add_owned_reply(packet);
    }

    /// Passes the client's introduction to the application, whose decision comes back in
    /// [`Handshake::answer`](crate::Handshake::answer). This must be the last event of the call.
    pub fn hello(&mut self, body: &[u8]) {
        self.0.add(Kind::Hello, "", body);
    }

    /// Completes the handshake: from now on messages are allowed and pushes flow. At most once in a
    /// session, and only if the description says `handshake`.
    pub fn established(&mut self) {
        self.0.add(Kind::Established, "", b"");
    }

    /// Asks for a call of [`Clock::tick`](crate::Clock::tick) after this many milliseconds, or
    /// later if the listener sets a least interval. Replaces the timer before it.
    pub fn timer(&mut self, ms: u32) {
        self.0.add(Kind::Timer, "", b"").id = ms.into();
    }

    /// Reports that the client has shown that it receives what is sent to its address. Lifts the
    /// limit that datagram transports put on answers to unverified addresses.
    pub fn address_verified(&mut self) {
        self.0.add(Kind::AddressVerified, "", b"");
    }

    /// Writes a line to the server's log. The runtime limits the rate, escapes the text and cuts it
    /// to 256 bytes.
    pub fn log(&mut self, level: Level, text: &str) {
        self.0.add(Kind::Log, "", text.as_bytes()).id = level as u64;
    }

    /// Ends the connection. The runtime ignores the events behind it. To send a last packet, put a
    /// [`reply`](Self::reply) before it.
    ///
    /// Afterwards the session is asked only to encode the responses to messages that came before,
    /// and it may reject them.
    pub fn close(&mut self, reason: &str) {
        self.close_with(0, reason);
    }

    /// Ends the connection as [`close`](Self::close) does, with a WebSocket close code: 1000 to
    /// 1003, 1007 to 1014 or 3000 to 4999. Other transports ignore the code. Code 0 leaves the
    /// choice to the runtime.
    pub fn close_with(&mut self, code: u16, reason: &str) {
        self.0.add(Kind::Close, "", reason.as_bytes()).id = code.into();
    }

    /// Returns the number of bytes of all routes and payloads that this call has added so far. For
    /// a codec whose events are longer than its packets: the runtime takes an answer of at least 1
    /// MiB, and ends the session of a longer one.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.0.bytes.len()
    }

    pub(crate) fn flat(flat: FlatEvents) -> Self {
        Self(flat)
    }

    pub(crate) fn flat_mut(&mut self) -> &mut FlatEvents {
        &mut self.0
    }

    pub(crate) fn into_flat(self) -> FlatEvents {
        self.0
    }
}
