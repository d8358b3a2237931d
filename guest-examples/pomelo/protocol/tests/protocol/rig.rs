//! Shared code of the tests: a sink that collects events, a server, and a pair of client and
//! server.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use serde_json::Value;
use wireplug_pomelo::client::{Client, Incoming};
use wireplug_pomelo::{Fault, Message, Options, Role, Session, Sink};

pub(crate) const ACK: &[u8] = b"\x02";
pub(crate) const HEARTBEAT: &[u8] = b"\x03";

/// The largest packet of the tests' listener in bytes.
pub(crate) const MAX_PACKET: usize = 64 << 10;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    Hello(Vec<u8>),
    Established,
    Notice(String, Vec<u8>),
    Request(u64, String, Vec<u8>),
    Reply(Vec<u8>),
    Timer(u32),
    Close(String),
}

impl Event {
    pub(crate) fn notice(route: &str, body: impl AsRef<[u8]>) -> Self {
        Self::Notice(route.to_owned(), body.as_ref().to_vec())
    }

    pub(crate) fn request(id: u64, route: &str, body: impl AsRef<[u8]>) -> Self {
        Self::Request(id, route.to_owned(), body.as_ref().to_vec())
    }
}

#[derive(Default)]
pub(crate) struct Events(pub(crate) Vec<Event>, usize);

impl Sink for Events {
    fn hello(&mut self, body: &[u8]) {
        self.0.push(Event::Hello(body.to_vec()));
    }
    fn established(&mut self) {
        self.0.push(Event::Established);
    }
    fn notice(&mut self, route: &str, body: &[u8]) {
        self.0.push(Event::notice(route, body));
    }
    fn request(&mut self, id: u64, route: &str, body: &[u8]) {
        self.0.push(Event::request(id, route, body));
    }
    fn reply(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut packet = Vec::new();
        write(&mut packet);
        self.0.push(Event::Reply(packet));
    }
    fn timer(&mut self, ms: u32) {
        self.0.push(Event::Timer(ms));
    }
    fn close(&mut self, reason: &str) {
        self.0.push(Event::Close(reason.to_owned()));
    }
    fn written(&self) -> usize {
        self.1
    }
}

/// Returns a push.
pub(crate) fn push<'a>(route: &'a str, body: &'a [u8]) -> Message<'a> {
    Message { role: Role::Notice, id: 0, route, body, status: 200 }
}

/// Returns a response.
pub(crate) fn response<'a>(id: u64, route: &'a str, status: u16, body: &'a [u8]) -> Message<'a> {
    Message { role: Role::Response, id, route, body, status }
}

/// A session and its time in milliseconds.
pub(crate) struct Server {
    pub(crate) session: Session,
    pub(crate) now: u64,
    /// The bytes of the events of earlier packets in the same call.
    pub(crate) written: usize,
}

impl Server {
    pub(crate) fn open(options: &str) -> Self {
        let options = Arc::new(Options::parse(options).expect("the options of a test are valid"));
        Self::with(Session::open(options, MAX_PACKET as u32), 0)
    }

    pub(crate) fn with(session: Session, now: u64) -> Self {
        Self { session, now, written: 0 }
    }

    /// Returns a server whose handshake is complete.
    pub(crate) fn working(options: &str) -> Self {
        let mut server = Self::greeted(options);
        server.answer(200, b"");
        server.decode(ACK).expect("the acknowledgement is due");
        server
    }

    /// Returns a server that waits for the application's answer to the handshake.
    pub(crate) fn greeted(options: &str) -> Self {
        let mut server = Self::open(options);
        server.decode(b"\x01{\"sys\":{}}").expect("the handshake is valid");
        server
    }

    /// Returns a server with the same session, moved to these options.
    pub(crate) fn moved_to(&self, options: &str) -> Self {
        let options = Arc::new(Options::parse(options).expect("the options of a test are valid"));
        let restored = Session::restore(options, MAX_PACKET as u32, &self.session.save(), self.now);
        Self::with(restored.expect("a saved session can be restored"), self.now)
    }

    /// Decodes a packet. Checks that there are no events after a fault, and that `hello` is the
    /// last event.
    pub(crate) fn decode(&mut self, packet: &[u8]) -> Result<Vec<Event>, Fault> {
        let mut events = Events(Vec::new(), self.written);
        let decoded = self.session.decode(packet, self.now, &mut events);
        assert!(decoded.is_ok() || events.0.is_empty(), "{decoded:?} with {:?}", events.0);
        let hello = events.0.iter().position(|event| matches!(event, Event::Hello(_)));
        assert!(hello.is_none_or(|index| index + 1 == events.0.len()), "{:?}", events.0);
        decoded.map(|()| events.0)
    }

    /// Encodes a message. Checks that a fault leaves the buffer unchanged.
    pub(crate) fn encode(&mut self, message: &Message<'_>) -> Result<Vec<u8>, Fault> {
        let mut out = b"before".to_vec();
        let encoded = self.session.encode(message, &mut out);
        assert!(out.starts_with(b"before") && (encoded.is_ok() || out.len() == 6));
        encoded.map(|()| out.split_off(6))
    }

    pub(crate) fn respond(&mut self, id: u64, body: &[u8]) -> Result<Vec<u8>, Fault> {
        self.encode(&response(id, "not.in.it", 200, body))
    }

    pub(crate) fn push(&mut self, route: &str, body: &[u8]) -> Result<Vec<u8>, Fault> {
        self.encode(&push(route, body))
    }

    pub(crate) fn answer(&mut self, status: u16, body: &[u8]) -> Vec<Event> {
        let mut events = Events::default();
        self.session.answer(status, body, &mut events);
        events.0
    }

    pub(crate) fn tick(&mut self) -> Vec<Event> {
        let mut events = Events::default();
        self.session.tick(self.now, &mut events);
        events.0
    }

    pub(crate) fn farewell(&mut self, reason: &str) -> Vec<Event> {
        let mut events = Events::default();
        self.session.farewell(reason, &mut events);
        events.0
    }
}

/// A client and a server. The pair does the work of the framing between them.
pub(crate) struct Pair {
    pub(crate) client: Client,
    pub(crate) server: Server,
    /// The number of bytes that the client gets at a time.
    pub(crate) chunk: usize,
}

impl Pair {
    pub(crate) fn connect(
        client: Client,
        options: &str,
        user: Option<&Value>,
        chunk: usize,
    ) -> (Self, Incoming) {
        let mut pair = Self { client, server: Server::open(options), chunk };
        let mut sent = Vec::new();
        pair.client.connect(user, &mut sent);
        let hello = pair.send(&sent);
        assert!(matches!(&hello[..], [Event::Hello(_)]), "{hello:?}");
        let answer = pair.server.answer(200, b"{\"name\":\"\xf0\x9f\x98\x80\"}");
        let [Event::Reply(answer)] = &answer[..] else { panic!("{answer:?}") };
        let (incoming, acknowledgement) = pair.receive(&raw(answer));
        assert_eq!(pair.send(&acknowledgement)[0], Event::Established);
        let [ready] = &incoming[..] else { panic!("{incoming:?}") };
        (pair, ready.clone())
    }

    /// Passes bytes of the client to the session. Returns the session's events.
    pub(crate) fn send(&mut self, mut bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        while !bytes.is_empty() {
            let end = 4 + u32::from_be_bytes([0, bytes[1], bytes[2], bytes[3]]) as usize;
            events.extend(self.server.decode(&packet(&bytes[..end])).expect("a client sends valid packets"));
            bytes = &bytes[end..];
        }
        events
    }

    /// Passes bytes of the session to the client. Returns the client's events and the bytes that it
    /// sends back.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> (Vec<Incoming>, Vec<u8>) {
        let (mut incoming, mut out) = (Vec::new(), Vec::new());
        for chunk in bytes.chunks(self.chunk) {
            self.client.receive(chunk, &mut out, &mut incoming).expect("a session sends valid bytes");
        }
        (incoming, out)
    }
}

pub(crate) fn hex(hex: &str) -> Vec<u8> {
    HEXLOWER.decode(hex.as_bytes()).expect("the hex of a test is valid")
}

/// Removes the length of a package, as the framing does.
pub(crate) fn packet(raw: &[u8]) -> Vec<u8> {
    let length = u32::from_be_bytes([0, raw[1], raw[2], raw[3]]) as usize;
    assert_eq!(length, raw.len() - 4, "the length of {raw:02x?}");
    [&raw[..1], &raw[4..]].concat()
}

/// Inserts the length of a packet, as the framing does.
pub(crate) fn raw(packet: &[u8]) -> Vec<u8> {
    let length = u32::try_from(packet.len() - 1).expect("the packets of a test are short").to_be_bytes();
    [&packet[..1], &length[1..], &packet[1..]].concat()
}

/// Returns the JSON of an answer to the handshake.
pub(crate) fn json(packet: &[u8]) -> Value {
    assert_eq!(packet[0], 1);
    serde_json::from_slice(&packet[1..]).expect("the answer is JSON")
}
