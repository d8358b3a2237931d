//! A codec that does nothing. A packet becomes a notice without a route, and a message becomes a
//! packet that is its body.
//!
//! The codec costs what the sandbox and its boundary cost. `wireplug codec bench` compares other
//! codecs with it.

use bindings::exports::wireplug::codec::{batch, codec};
use bindings::wireplug::codec::{flat, types};

mod bindings;

struct Component;

/// A session, which knows nothing.
struct Session;

impl codec::Guest for Component {
    type Session = Session;

    fn describe() -> codec::Description {
        codec::Description {
            name: "nothing".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            framing: Some(codec::Framing::Length(codec::LengthField {
                offset: 0,
                width: 4,
                little_endian: false,
                adjust: 0,
            })),
            messages: codec::MessageFraming::One,
            payload: codec::Payload::Binary,
            json: false,
            handshake: false,
            client_requests: 0,
            coalesces: false,
            max_packet: None,
        }
    }

    /// Accepts all options, because a benchmark passes the options of the codec that it measures.
    fn configure(_options: String) -> Result<(), String> {
        Ok(())
    }
}

impl codec::GuestSession for Session {
    fn open(_peer: types::Peer, _now: types::Instant) -> Result<codec::Session, String> {
        Ok(codec::Session::new(Session))
    }

    fn decode(&self, packet: Vec<u8>, _now: types::Instant) -> Result<Vec<types::Event>, types::Fault> {
        let message = types::Message {
            role: types::Role::Notice,
            id: 0,
            route: String::new(),
            body: packet,
            status: 200,
        };
        Ok(vec![types::Event::Message(message)])
    }

    fn encode(&self, message: types::Message, _now: types::Instant) -> Result<Vec<Vec<u8>>, types::Fault> {
        Ok(vec![message.body])
    }
}

impl batch::Guest for Component {
    fn decode_batch(
        _session: codec::SessionBorrow<'_>,
        packets: flat::Packets,
        _now: types::Instant,
    ) -> flat::Events {
        let mut route_end = 0;
        let head = |(packet, body_end)| {
            let head = flat::EventHead {
                kind: flat::Kind::Message,
                packet,
                role: types::Role::Notice,
                id: 0,
                status: 200,
                route_end,
                body_end,
            };
            route_end = body_end;
            head
        };
        let heads = (0..).zip(packets.ends).map(head).collect();
        flat::Events { bytes: packets.bytes, heads }
    }

    fn encode_batch(
        _session: codec::SessionBorrow<'_>,
        messages: flat::Messages,
        _now: types::Instant,
    ) -> Result<flat::Encoded, String> {
        let mut bytes = Vec::with_capacity(messages.bytes.len());
        let mut ends = Vec::with_capacity(messages.heads.len());
        for head in &messages.heads {
            bytes.extend_from_slice(&messages.bytes[head.route_end as usize..head.body_end as usize]);
            ends.push(bytes.len() as u32);
        }
        Ok(flat::Encoded {
            packets: flat::Packets { bytes, ends },
            sources: (0..messages.heads.len() as u32).collect(),
            refused: Vec::new(),
        })
    }
}
