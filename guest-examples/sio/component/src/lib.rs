//! Pomelo's message format over Socket.IO as a component: a thin cover over `wireplug_sio`.
//!
//! It translates between the contract's types and the library's. It imports nothing.

use std::cell::Cell;

use wireplug_sio::{self as sio, Options};

use bindings::exports::wireplug::codec::{batch, broadcast, codec, farewell, handoff};
use bindings::wireplug::codec::types;

mod bindings;

struct Component;

thread_local! {
    /// What `configure` read, once for the instance.
    static OPTIONS: Cell<Options> = Cell::default();
}

/// A session of the contract, which has nothing to remember.
struct Session;

/// All there is to hand over: the number of a format without anything in it.
const STATE: &[u8] = &[1];

/// Clients differ in nothing, so all share.
const CLASS: u32 = 0;

impl codec::Guest for Component {
    type Session = Session;

    fn describe() -> codec::Description {
        codec::Description {
            name: "sio".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            framing: None,
            message: codec::MessageUnit::One,
            text: true,
            json: true,
            handshake: false,
            merges: true,
        }
    }

    fn configure(options: String) -> Result<(), String> {
        OPTIONS.set(Options::parse(&options)?);
        Ok(())
    }
}

impl codec::GuestSession for Session {
    fn open(_peer: types::Peer, _now_ms: u64) -> Result<codec::Session, String> {
        Ok(codec::Session::new(Session))
    }

    fn decode(&self, packet: Vec<u8>, _now_ms: u64) -> Result<Vec<types::Event>, types::Fault> {
        let request = sio::decode(&packet).map_err(|why| types::Fault::Rejected(why.to_owned()))?;
        let sio::Request { id, route, body } = request;
        let (route, body) = (route.to_owned(), body.to_vec());
        Ok(vec![types::Event::Message(types::Message { id, route, body, status: 200 })])
    }

    fn encode(&self, message: types::Message, _now_ms: u64) -> Result<Option<Vec<u8>>, types::Fault> {
        let mut packet = Vec::new();
        sio::encode(&borrowed(&message), &mut packet).map_err(types::Fault::Rejected)?;
        Ok(Some(packet))
    }
}

fn borrowed(message: &types::Message) -> sio::Message<'_> {
    sio::Message { id: message.id, route: &message.route, body: &message.body, status: message.status }
}

impl batch::Guest for Component {
    fn decode_batch(
        _session: codec::SessionBorrow<'_>,
        packets: batch::Packets,
        _now_ms: u64,
    ) -> batch::Events {
        // Bodies may grow from nothing to `{}`.
        let mut bytes = Vec::with_capacity(packets.bytes.len());
        let mut heads = Vec::with_capacity(packets.ends.len());
        let mut start = 0;
        for (packet, end) in (0..).zip(packets.ends) {
            let end = end as usize;
            let (kind, id, route, body) = match sio::decode(&packets.bytes[start..end]) {
                Ok(sio::Request { id, route, body }) => (batch::Kind::Message, id, route, body),
                Err(why) => (batch::Kind::Rejected, None, "", why.as_bytes()),
            };
            bytes.extend_from_slice(route.as_bytes());
            let route_end = bytes.len() as u32;
            bytes.extend_from_slice(body);
            heads.push(batch::EventHead { kind, packet, id, route_end, body_end: bytes.len() as u32 });
            start = end;
        }
        batch::Events { bytes, heads }
    }

    fn encode_batch(
        _session: codec::SessionBorrow<'_>,
        messages: batch::Messages,
        _now_ms: u64,
    ) -> Result<batch::Encoded, String> {
        /// More than stands around a route or a body.
        const AROUND: usize = 32;
        let room = messages.bytes.len() + messages.heads.len() * AROUND;
        let mut merged = sio::Batch::new(OPTIONS.get().max_batch, room);
        let mut refused = Vec::new();
        let mut start = 0;
        for (message, head) in (0..).zip(&messages.heads) {
            let (route_end, end) = (head.route_end as usize, head.body_end as usize);
            let pushed = match str::from_utf8(&messages.bytes[start..route_end]) {
                Ok(route) => merged.push(&sio::Message {
                    id: head.id,
                    route,
                    body: &messages.bytes[route_end..end],
                    status: head.status,
                }),
                Err(_) => Err("route is not UTF-8".to_owned()),
            };
            if let Err(reason) = pushed {
                refused.push(batch::Refusal { message, reason });
            }
            start = end;
        }
        let sio::Batch { bytes, ends, .. } = merged.finish();
        Ok(batch::Encoded { packets: batch::Packets { bytes, ends }, refused })
    }
}

impl farewell::Guest for Component {
    fn farewell(_session: codec::SessionBorrow<'_>, reason: String, _now_ms: u64) -> Option<Vec<u8>> {
        let mut packet = Vec::new();
        sio::farewell(&reason, &mut packet);
        Some(packet)
    }
}

impl broadcast::Guest for Component {
    fn share_class(_session: codec::SessionBorrow<'_>) -> Option<u32> {
        Some(CLASS)
    }

    fn encode_shared(class: u32, message: types::Message) -> Result<Option<Vec<u8>>, String> {
        if class != CLASS {
            return Err(format!("there is no class {class}"));
        }
        let mut packet = Vec::new();
        sio::encode(&borrowed(&message), &mut packet)?;
        Ok(Some(packet))
    }
}

impl handoff::Guest for Component {
    fn save(_session: codec::SessionBorrow<'_>) -> Result<Vec<u8>, String> {
        Ok(STATE.to_vec())
    }

    fn restore(_peer: types::Peer, state: Vec<u8>, _now_ms: u64) -> Result<codec::Session, String> {
        if state != STATE {
            return Err("a state of another format".to_owned());
        }
        Ok(codec::Session::new(Session))
    }
}
