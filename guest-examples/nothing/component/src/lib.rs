//! A codec that does nothing: a packet is a message without a route, and a message's packet is its body.
//!
//! What it costs is what the sandbox and its border cost: `wireplug codec bench` measures others against it. It
//! imports nothing.

use bindings::exports::wireplug::codec::{batch, codec};
use bindings::wireplug::codec::types;

mod bindings;

struct Component;

/// A session of the contract, which has nothing to remember.
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
            message: codec::MessageUnit::One,
            text: false,
            json: false,
            handshake: false,
            merges: false,
        }
    }

    /// It has no options, and takes those of the codec that it is compared with.
    fn configure(_options: String) -> Result<(), String> {
        Ok(())
    }
}

impl codec::GuestSession for Session {
    fn open(_peer: types::Peer, _now_ms: u64) -> Result<codec::Session, String> {
        Ok(codec::Session::new(Session))
    }

    fn decode(&self, packet: Vec<u8>, _now_ms: u64) -> Result<Vec<types::Event>, types::Fault> {
        let message = types::Message { id: None, route: String::new(), body: packet, status: 200 };
        Ok(vec![types::Event::Message(message)])
    }

    fn encode(&self, message: types::Message, _now_ms: u64) -> Result<Option<Vec<u8>>, types::Fault> {
        Ok(Some(message.body))
    }
}

impl batch::Guest for Component {
    fn decode_batch(
        _session: codec::SessionBorrow<'_>,
        packets: batch::Packets,
        _now_ms: u64,
    ) -> batch::Events {
        let mut route_end = 0;
        let head = |(packet, body_end)| {
            let head = batch::EventHead { kind: batch::Kind::Message, packet, id: None, route_end, body_end };
            route_end = body_end;
            head
        };
        let heads = (0..).zip(packets.ends).map(head).collect();
        batch::Events { bytes: packets.bytes, heads }
    }

    fn encode_batch(
        _session: codec::SessionBorrow<'_>,
        messages: batch::Messages,
        _now_ms: u64,
    ) -> Result<batch::Encoded, String> {
        let mut bytes = Vec::with_capacity(messages.bytes.len());
        let mut ends = Vec::with_capacity(messages.heads.len());
        for head in messages.heads {
            bytes.extend_from_slice(&messages.bytes[head.route_end as usize..head.body_end as usize]);
            ends.push(bytes.len() as u32);
        }
        Ok(batch::Encoded { packets: batch::Packets { bytes, ends }, refused: Vec::new() })
    }
}
