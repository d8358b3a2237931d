//! The Pomelo protocol as a component: a thin cover over `wireplug_pomelo`.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use wireplug_guest::{
    Broadcast, Clock, Codec, Description, Encoded, Events, Farewell, Fault, Framing, Handoff, Handshake,
    Message, MessageUnit, Packet, Peer, Session,
};
use wireplug_pomelo::{self as pomelo, Answer, Sink};

wireplug_guest::export!(Pomelo: Handshake + Clock + Farewell + Broadcast + Handoff);

/// Bytes behind the answer to the handshake, so that it need not move for a short word of the application.
const ROOM_FOR_WORD: usize = 256;

struct Pomelo {
    options: Arc<pomelo::Options>,
    welcome: Rc<Welcome>,
}

/// The answer to the handshake that most clients get, made with the options: with a large dictionary it is long, and sandboxes
/// share the memory that none of them writes to. An instance has one session, which takes it.
type Welcome = Cell<Vec<u8>>;

struct Client {
    session: pomelo::Session,
    welcome: Rc<Welcome>,
}

impl Codec for Pomelo {
    type Session = Client;

    fn describe() -> Description {
        Description {
            // `type: u8 | length: u24 | body`
            framing: Some(Framing::Length { offset: 1, width: 3, little_endian: false, adjust: 0 }),
            message: MessageUnit::Framed,
            json: true,
            handshake: true,
            ..Description::new("pomelo", env!("CARGO_PKG_VERSION"))
        }
    }

    fn configure(options: &str) -> Result<Self, String> {
        let options = Arc::new(pomelo::Options::parse(options)?);
        let mut welcome = Vec::new();
        options.welcome().write(&mut welcome);
        welcome.reserve_exact(ROOM_FOR_WORD);
        Ok(Self { options, welcome: Rc::new(Cell::new(welcome)) })
    }

    fn open(&self, _peer: Peer, _now_ms: u64) -> Result<Client, String> {
        Ok(self.client(pomelo::Session::open(Arc::clone(&self.options))))
    }
}

impl Pomelo {
    fn client(&self, session: pomelo::Session) -> Client {
        Client { session, welcome: Rc::clone(&self.welcome) }
    }
}

impl Session for Client {
    fn decode(&mut self, packet: &[u8], now_ms: u64, events: &mut Events) -> Result<(), Fault> {
        let Self { session, welcome } = self;
        session.decode(packet, now_ms, &mut Out { events, welcome }).map_err(fault)
    }

    fn encode(&mut self, message: &Message, _now_ms: u64, packet: &mut Packet) -> Result<Encoded, Fault> {
        self.session.encode(&translated(message), packet.buffer()).map(encoded).map_err(fault)
    }
}

impl Handshake for Client {
    fn answer(&mut self, status: u16, body: &[u8], now_ms: u64, events: &mut Events) {
        let Self { session, welcome } = self;
        session.answer(status, body, now_ms, &mut Out { events, welcome });
    }
}

impl Clock for Client {
    fn tick(&mut self, now_ms: u64, events: &mut Events) {
        let Self { session, welcome } = self;
        session.tick(now_ms, &mut Out { events, welcome });
    }
}

impl Farewell for Client {
    fn farewell(&mut self, reason: &str, _now_ms: u64, packet: &mut Packet) -> Encoded {
        encoded(self.session.farewell(reason, packet.buffer()))
    }
}

impl Broadcast for Pomelo {
    fn share_class(client: &Client) -> Option<u32> {
        client.session.share_class()
    }

    fn encode_shared(&self, class: u32, message: &Message, packet: &mut Packet) -> Result<Encoded, String> {
        self.options.encode_shared(class, &translated(message), packet.buffer())?;
        Ok(Encoded::Packet)
    }
}

impl Handoff for Pomelo {
    fn save(client: &Client) -> Result<Vec<u8>, String> {
        Ok(client.session.save())
    }

    fn restore(&self, _peer: Peer, state: &[u8], now_ms: u64) -> Result<Client, String> {
        let session = pomelo::Session::restore(Arc::clone(&self.options), state, now_ms)?;
        Ok(self.client(session))
    }
}

fn translated<'a>(message: &Message<'a>) -> pomelo::Message<'a> {
    pomelo::Message { id: message.id, route: message.route, body: message.body, status: message.status }
}

fn encoded(written: bool) -> Encoded {
    if written { Encoded::Packet } else { Encoded::Nothing }
}

fn fault(fault: pomelo::Fault) -> Fault {
    match fault {
        pomelo::Fault::Rejected(reason) => Fault::Rejected(reason),
        pomelo::Fault::Fatal(reason) => Fault::Fatal(reason),
    }
}

/// Where the session's events go.
struct Out<'a> {
    events: &'a mut Events,
    welcome: &'a Welcome,
}

impl Sink for Out<'_> {
    fn hello(&mut self, body: &[u8]) {
        self.events.hello(body);
    }

    fn established(&mut self) {
        self.events.established();
    }

    fn message(&mut self, id: Option<u64>, route: &str, body: &[u8]) {
        self.events.message(id, route, body);
    }

    fn reply(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.events.reply_with(|packet| write(packet.buffer()));
    }

    fn welcome(&mut self, answer: &Answer<'_>) {
        let mut packet = self.welcome.take();
        answer.rewrite(&mut packet);
        self.events.reply_owned(packet);
    }

    fn wake(&mut self, ms: u32) {
        self.events.wake(ms);
    }

    fn close(&mut self, reason: &str) {
        self.events.close(reason);
    }
}
