//! The Pomelo protocol as a component: a thin layer over `wireplug_pomelo`. With the feature
//! `framer`, the component cuts its stream itself. The package in `../framer` builds that one.

#[cfg_attr(feature = "framer", path = "framed.rs")]
#[cfg_attr(not(feature = "framer"), path = "bare.rs")]
mod packet;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use wireplug_guest::{
    Broadcast, Cause, Clock, Codec, Description, Events, Farewell, Fault, Handoff, Handshake, Instant,
    Message, MessageFraming, Packets, Peer, Role, Session,
};
use wireplug_pomelo::{self as pomelo, Answer, Sink};

#[cfg(feature = "framer")]
wireplug_guest::export!(Pomelo: Framer + Handshake + Clock + Farewell + Broadcast + Handoff);
#[cfg(not(feature = "framer"))]
wireplug_guest::export!(Pomelo: Handshake + Clock + Farewell + Broadcast + Handoff);

/// The spare capacity of the default answer in bytes, so that a short body from the application
/// does not move the answer to another buffer.
const SPARE_CAPACITY: usize = 256;

struct Pomelo {
    shared: Shared,
    /// For the first session, which is the only one of its instance. It takes these references over
    /// instead of counting new ones: a count lies beside its value, in memory that sandboxes share
    /// until they write to it.
    first: Cell<Option<Shared>>,
}

/// What is written with the options.
#[derive(Clone)]
struct Shared {
    options: Arc<pomelo::Options>,
    default_answer: Rc<AnswerBuffer>,
}

/// The packet of the answer to the handshake that most clients get. It is written with the options,
/// and the only session of an instance takes it.
///
/// With a large dictionary the answer is long. Sandboxes share memory until they write to it, so a
/// session does not write the parts that are there already.
type AnswerBuffer = Cell<Vec<u8>>;

struct Client {
    session: pomelo::Session,
    default_answer: Rc<AnswerBuffer>,
}

impl Codec for Pomelo {
    type Session = Client;

    fn describe() -> Description {
        Description {
            framing: packet::FRAMING,
            messages: MessageFraming::Framed,
            json: true,
            handshake: true,
            max_packet: Some(packet::MAX_PACKET as u32),
            ..Description::new("pomelo", env!("CARGO_PKG_VERSION"))
        }
    }

    fn configure(options: &str) -> Result<Self, String> {
        let options = Arc::new(pomelo::Options::parse(options)?);
        let mut answer = Vec::new();
        options.default_answer().write(&mut answer);
        answer.reserve_exact(SPARE_CAPACITY);
        let shared = Shared { options, default_answer: Rc::new(Cell::new(answer)) };
        Ok(Self { first: Cell::new(Some(shared.clone())), shared })
    }

    fn open(&self, peer: Peer, _now: Instant) -> Result<Client, String> {
        let Shared { options, default_answer } = self.shared();
        Ok(Client { session: pomelo::Session::open(options, peer.max_packet), default_answer })
    }
}

impl Pomelo {
    fn shared(&self) -> Shared {
        self.first.take().unwrap_or_else(|| self.shared.clone())
    }
}

impl Session for Client {
    fn decode(&mut self, packet: &[u8], now: Instant, events: &mut Events) -> Result<(), Fault> {
        let Self { session, default_answer } = self;
        packet::decode(session, packet, now.session_ms, &mut EventSink { events, default_answer })
    }

    fn encode(
        &mut self,
        message: &Message<'_>,
        _now: Instant,
        packets: &mut Packets<'_>,
    ) -> Result<(), Fault> {
        let encode = |out: &mut Vec<u8>| self.session.encode(&translated(message), out).map_err(fault);
        packet::write(packets.begin().buffer(), encode)
    }
}

impl Handshake for Client {
    fn answer(&mut self, status: u16, body: &[u8], _now: Instant, events: &mut Events) {
        let Self { session, default_answer } = self;
        session.answer(status, body, &mut EventSink { events, default_answer });
    }
}

impl Clock for Client {
    fn tick(&mut self, now: Instant, events: &mut Events) {
        let Self { session, default_answer } = self;
        session.tick(now.session_ms, &mut EventSink { events, default_answer });
    }
}

impl Farewell for Client {
    fn farewell(&mut self, _cause: Cause, reason: &str, _now: Instant, events: &mut Events) {
        let Self { session, default_answer } = self;
        session.farewell(reason, &mut EventSink { events, default_answer });
    }
}

impl Broadcast for Pomelo {
    fn broadcast_class(client: &Client) -> Option<u32> {
        client.session.broadcast_class()
    }

    fn encode_shared(
        &self,
        class: u32,
        message: &Message<'_>,
        packets: &mut Packets<'_>,
    ) -> Result<(), String> {
        let encode = |out: &mut Vec<u8>| self.shared.options.encode_shared(class, &translated(message), out);
        packet::write(packets.begin().buffer(), encode)
    }
}

impl Handoff for Pomelo {
    fn save(client: &Client) -> Result<Vec<u8>, String> {
        Ok(client.session.save())
    }

    fn restore(&self, peer: Peer, state: &[u8], now: Instant) -> Result<Client, String> {
        let Shared { options, default_answer } = self.shared();
        let session = pomelo::Session::restore(options, peer.max_packet, state, now.session_ms)?;
        Ok(Client { session, default_answer })
    }
}

fn translated<'a>(message: &Message<'a>) -> pomelo::Message<'a> {
    let &Message { role, id, route, body, status } = message;
    let role = match role {
        Role::Notice => pomelo::Role::Notice,
        Role::Request => pomelo::Role::Request,
        Role::Response => pomelo::Role::Response,
    };
    pomelo::Message { role, id, route, body, status }
}

fn fault(fault: pomelo::Fault) -> Fault {
    match fault {
        pomelo::Fault::Rejected(reason) => Fault::Rejected(reason),
        pomelo::Fault::Fatal(reason) => Fault::Fatal(reason),
    }
}

/// Passes the session's events to the runtime.
struct EventSink<'a> {
    events: &'a mut Events,
    default_answer: &'a AnswerBuffer,
}

impl Sink for EventSink<'_> {
    fn hello(&mut self, body: &[u8]) {
        self.events.hello(body);
    }

    fn established(&mut self) {
        self.events.established();
    }

    fn notice(&mut self, route: &str, body: &[u8]) {
        self.events.notice(route, body);
    }

    fn request(&mut self, id: u64, route: &str, body: &[u8]) {
        self.events.request(id, route, body);
    }

    fn reply(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.events.reply_with(|reply| packet::write(reply.buffer(), write));
    }

    fn reply_answer(&mut self, answer: &Answer<'_>) {
        let mut packet = self.default_answer.take();
        answer.rewrite(&mut packet);
        packet::reply(packet, self.events);
    }

    fn timer(&mut self, ms: u32) {
        self.events.timer(ms);
    }

    fn close(&mut self, reason: &str) {
        self.events.close(reason);
    }

    fn written(&self) -> usize {
        self.events.byte_len()
    }
}
