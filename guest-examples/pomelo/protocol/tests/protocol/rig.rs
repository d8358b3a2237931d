//! What the tests share: a sink that keeps what it is told, and the two ends of the wire.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use serde_json::Value;
use wireplug_pomelo::client::{Client, Incoming};
use wireplug_pomelo::{Fault, Message, Options, Session, Sink};

pub(crate) const ACK: &[u8] = b"\x02";
pub(crate) const HEARTBEAT: &[u8] = b"\x03";

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    Hello(Vec<u8>),
    Established,
    Message(Option<u64>, String, Vec<u8>),
    Reply(Vec<u8>),
    Wake(u32),
    Close(String),
}

impl Event {
    pub(crate) fn message(id: Option<u64>, route: &str, body: impl AsRef<[u8]>) -> Self {
        Self::Message(id, route.to_owned(), body.as_ref().to_vec())
    }
}

#[derive(Default)]
pub(crate) struct Events(pub(crate) Vec<Event>);

impl Sink for Events {
    fn hello(&mut self, body: &[u8]) {
        self.0.push(Event::Hello(body.to_vec()));
    }
    fn established(&mut self) {
        self.0.push(Event::Established);
    }
    fn message(&mut self, id: Option<u64>, route: &str, body: &[u8]) {
        self.0.push(Event::message(id, route, body));
    }
    fn reply(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut packet = Vec::new();
        write(&mut packet);
        self.0.push(Event::Reply(packet));
    }
    fn wake(&mut self, ms: u32) {
        self.0.push(Event::Wake(ms));
    }
    fn close(&mut self, reason: &str) {
        self.0.push(Event::Close(reason.to_owned()));
    }
}

/// A session and its time.
pub(crate) struct Server {
    pub(crate) session: Session,
    pub(crate) now: u64,
}

impl Server {
    pub(crate) fn open(options: &str) -> Self {
        let options = Arc::new(Options::parse(options).expect("the test's options are good"));
        Self { session: Session::open(options), now: 0 }
    }

    /// One whose handshake is over.
    pub(crate) fn working(options: &str) -> Self {
        let mut server = Self::greeted(options);
        server.answer(200, b"");
        server.decode(ACK).expect("the acknowledgement is in its place");
        server
    }

    /// One that waits for the application's answer to the handshake.
    pub(crate) fn greeted(options: &str) -> Self {
        let mut server = Self::open(options);
        server.decode(b"\x01{\"sys\":{}}").expect("the handshake is good");
        server
    }

    /// Its session carried over to these options.
    pub(crate) fn handed_over(&self, options: &str) -> Self {
        let options = Arc::new(Options::parse(options).expect("the test's options are good"));
        let restored = Session::restore(options, &self.session.save(), self.now);
        Self { session: restored.expect("what was saved is restored"), now: self.now }
    }

    /// Checks besides that a fault leaves no event behind.
    pub(crate) fn decode(&mut self, packet: &[u8]) -> Result<Vec<Event>, Fault> {
        let mut events = Events::default();
        let decoded = self.session.decode(packet, self.now, &mut events);
        assert!(decoded.is_ok() || events.0.is_empty(), "{decoded:?} with {:?}", events.0);
        decoded.map(|()| events.0)
    }

    /// Checks besides that a fault leaves the buffer as it was.
    pub(crate) fn encode(&mut self, message: &Message<'_>) -> Result<Vec<u8>, Fault> {
        let mut out = b"before".to_vec();
        let encoded = self.session.encode(message, &mut out);
        assert!(out.starts_with(b"before") && (encoded.is_ok() || out.len() == 6));
        encoded.map(|written| {
            assert!(written, "each message has a form");
            out.split_off(6)
        })
    }

    pub(crate) fn respond(&mut self, id: u64, body: &[u8]) -> Result<Vec<u8>, Fault> {
        self.encode(&Message { id: Some(id), route: "not.in.it", body, status: 200 })
    }

    pub(crate) fn push(&mut self, route: &str, body: &[u8]) -> Result<Vec<u8>, Fault> {
        self.encode(&Message { id: None, route, body, status: 200 })
    }

    pub(crate) fn answer(&mut self, status: u16, body: &[u8]) -> Vec<Event> {
        let mut events = Events::default();
        self.session.answer(status, body, self.now, &mut events);
        events.0
    }

    pub(crate) fn tick(&mut self) -> Vec<Event> {
        let mut events = Events::default();
        self.session.tick(self.now, &mut events);
        events.0
    }

    pub(crate) fn farewell(&mut self, reason: &str) -> Option<Vec<u8>> {
        let mut packet = Vec::new();
        let written = self.session.farewell(reason, &mut packet);
        assert_eq!(written, !packet.is_empty());
        written.then_some(packet)
    }
}

/// A client and a session, with the framing's work done between them.
pub(crate) struct Pair {
    pub(crate) client: Client,
    pub(crate) server: Server,
    /// The client is fed so many bytes at a time.
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

    /// Hands the session what the client wrote.
    pub(crate) fn send(&mut self, mut bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        while !bytes.is_empty() {
            let end = 4 + u32::from_be_bytes([0, bytes[1], bytes[2], bytes[3]]) as usize;
            events.extend(self.server.decode(&packet(&bytes[..end])).expect("a client sends no nonsense"));
            bytes = &bytes[end..];
        }
        events
    }

    /// Hands the client what the session wrote; returns what the client understood and what it sends back.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> (Vec<Incoming>, Vec<u8>) {
        let (mut incoming, mut out) = (Vec::new(), Vec::new());
        for chunk in bytes.chunks(self.chunk) {
            self.client.receive(chunk, &mut out, &mut incoming).expect("a session sends no nonsense");
        }
        (incoming, out)
    }
}

pub(crate) fn hex(hex: &str) -> Vec<u8> {
    HEXLOWER.decode(hex.as_bytes()).expect("the test's hex is good")
}

/// What the framing makes of a whole package: its length taken out.
pub(crate) fn packet(raw: &[u8]) -> Vec<u8> {
    let length = u32::from_be_bytes([0, raw[1], raw[2], raw[3]]) as usize;
    assert_eq!(length, raw.len() - 4, "the length of {raw:02x?}");
    [&raw[..1], &raw[4..]].concat()
}

/// What the framing makes of a packet: its length put in.
pub(crate) fn raw(packet: &[u8]) -> Vec<u8> {
    let length = u32::try_from(packet.len() - 1).expect("the test's packets are short").to_be_bytes();
    [&packet[..1], &length[1..], &packet[1..]].concat()
}

/// The JSON of a handshake's answer.
pub(crate) fn json(packet: &[u8]) -> Value {
    assert_eq!(packet[0], 1);
    serde_json::from_slice(&packet[1..]).expect("the answer is JSON")
}
