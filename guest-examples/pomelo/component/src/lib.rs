//! The Pomelo protocol as a component: a thin cover over `wireplug_pomelo`.
//!
//! It translates between the contract's types and the library's. It imports nothing.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use wireplug_pomelo as pomelo;

use bindings::exports::wireplug::codec::{batch, broadcast, clock, codec, farewell, handoff, handshake};
use bindings::wireplug::codec::types;
use events::{Flat, List};

mod bindings;
mod events;

struct Component;

/// Bytes behind the answer to the handshake, so that it need not move for a short word of the application.
const ROOM_FOR_WORD: usize = 256;

thread_local! {
    /// What `configure` made of the options, once for the instance.
    static OPTIONS: RefCell<Arc<pomelo::Options>> = RefCell::default();

    /// The answer that most clients get, made with the options: with a large dictionary it is long, and sandboxes share the
    /// memory that none of them writes to.
    static WELCOME: Cell<Vec<u8>> = Cell::default();
}

/// A session of the contract. The runtime calls it from one place at a time.
struct Session(RefCell<pomelo::Session>);

impl codec::Guest for Component {
    type Session = Session;

    fn describe() -> codec::Description {
        codec::Description {
            name: "pomelo".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            // `type: u8 | length: u24 | body`
            framing: Some(codec::Framing::Length(codec::LengthField {
                offset: 1,
                width: 3,
                little_endian: false,
                adjust: 0,
            })),
            message: codec::MessageUnit::Framed,
            text: false,
            json: true,
            handshake: true,
            merges: false,
        }
    }

    fn configure(options: String) -> Result<(), String> {
        let options = Arc::new(pomelo::Options::parse(&options)?);
        let mut welcome = Vec::new();
        options.welcome().write(&mut welcome);
        welcome.reserve_exact(ROOM_FOR_WORD);
        WELCOME.set(welcome);
        OPTIONS.set(options);
        Ok(())
    }
}

impl codec::GuestSession for Session {
    fn open(_peer: types::Peer, _now_ms: u64) -> Result<codec::Session, String> {
        let options = OPTIONS.with_borrow(Arc::clone);
        Ok(resource(pomelo::Session::open(options)))
    }

    fn decode(&self, packet: Vec<u8>, now_ms: u64) -> Result<Vec<types::Event>, types::Fault> {
        let mut events = List::default();
        self.0.borrow_mut().decode(&packet, now_ms, &mut events).map_err(events::fault)?;
        Ok(events.0)
    }

    fn encode(&self, message: types::Message, _now_ms: u64) -> Result<Option<Vec<u8>>, types::Fault> {
        let mut packet = Vec::new();
        let written = self.0.borrow_mut().encode(&borrowed(&message), &mut packet).map_err(events::fault)?;
        Ok(written.then_some(packet))
    }
}

fn resource(session: pomelo::Session) -> codec::Session {
    codec::Session::new(Session(RefCell::new(session)))
}

fn borrowed(message: &types::Message) -> pomelo::Message<'_> {
    pomelo::Message { id: message.id, route: &message.route, body: &message.body, status: message.status }
}

impl batch::Guest for Component {
    fn decode_batch(
        session: codec::SessionBorrow<'_>,
        packets: batch::Packets,
        now_ms: u64,
    ) -> batch::Events {
        let mut session = session.get::<Session>().0.borrow_mut();
        let mut events = Flat::for_packets(packets.bytes.len(), packets.ends.len());
        let mut start = 0;
        for end in packets.ends {
            let end = end as usize;
            let decoded = session.decode(&packets.bytes[start..end], now_ms, &mut events);
            if events.finish_packet(decoded).is_break() {
                break;
            }
            start = end;
        }
        events.into_events()
    }

    fn encode_batch(
        session: codec::SessionBorrow<'_>,
        messages: batch::Messages,
        _now_ms: u64,
    ) -> Result<batch::Encoded, String> {
        /// More than stands on the wire in front of a route or a body: type, flag, id or the route's length.
        const HEAD: usize = 16;
        let mut session = session.get::<Session>().0.borrow_mut();
        let mut bytes = Vec::with_capacity(messages.bytes.len() + messages.heads.len() * HEAD);
        let mut ends = Vec::with_capacity(messages.heads.len());
        let mut refused = Vec::new();
        let mut start = 0;
        for (index, head) in messages.heads.iter().enumerate() {
            let (route_end, end) = (head.route_end as usize, head.body_end as usize);
            let message = str::from_utf8(&messages.bytes[start..route_end]).map(|route| pomelo::Message {
                id: head.id,
                route,
                body: &messages.bytes[route_end..end],
                status: head.status,
            });
            let encoded = match message {
                Ok(message) => session.encode(&message, &mut bytes),
                Err(_) => Err(pomelo::Fault::Rejected("route is not UTF-8".into())),
            };
            match encoded {
                Ok(true) => ends.push(bytes.len() as u32),
                Ok(false) => {}
                Err(pomelo::Fault::Rejected(reason)) => {
                    refused.push(batch::Refusal { message: index as u32, reason: reason.into_owned() });
                }
                Err(pomelo::Fault::Fatal(reason)) => return Err(reason.into_owned()),
            }
            start = end;
        }
        Ok(batch::Encoded { packets: batch::Packets { bytes, ends }, refused })
    }
}

impl handshake::Guest for Component {
    fn answer(
        session: codec::SessionBorrow<'_>,
        status: u16,
        body: Vec<u8>,
        now_ms: u64,
    ) -> Vec<types::Event> {
        let mut events = List::default();
        session.get::<Session>().0.borrow_mut().answer(status, &body, now_ms, &mut events);
        events.0
    }
}

impl clock::Guest for Component {
    fn tick(session: codec::SessionBorrow<'_>, now_ms: u64) -> Vec<types::Event> {
        let mut events = List::default();
        session.get::<Session>().0.borrow_mut().tick(now_ms, &mut events);
        events.0
    }
}

impl farewell::Guest for Component {
    fn farewell(session: codec::SessionBorrow<'_>, reason: String, _now_ms: u64) -> Option<Vec<u8>> {
        let mut packet = Vec::new();
        let written = session.get::<Session>().0.borrow_mut().farewell(&reason, &mut packet);
        written.then_some(packet)
    }
}

impl broadcast::Guest for Component {
    fn share_class(session: codec::SessionBorrow<'_>) -> Option<u32> {
        session.get::<Session>().0.borrow().share_class()
    }

    fn encode_shared(class: u32, message: types::Message) -> Result<Option<Vec<u8>>, String> {
        let mut packet = Vec::new();
        OPTIONS.with_borrow(|options| options.encode_shared(class, &borrowed(&message), &mut packet))?;
        Ok(Some(packet))
    }
}

impl handoff::Guest for Component {
    fn save(session: codec::SessionBorrow<'_>) -> Result<Vec<u8>, String> {
        Ok(session.get::<Session>().0.borrow().save())
    }

    fn restore(_peer: types::Peer, state: Vec<u8>, now_ms: u64) -> Result<codec::Session, String> {
        let options = OPTIONS.with_borrow(Arc::clone);
        Ok(resource(pomelo::Session::restore(options, &state, now_ms)?))
    }
}
