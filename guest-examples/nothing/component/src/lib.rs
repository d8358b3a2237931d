//! A codec that does nothing. A packet becomes a notice without a route, and a message becomes a
//! packet that is its body.
//!
//! The codec costs what the sandbox, its boundary and the SDK cost. `wireplug codec bench` compares
//! other codecs with it.

use wireplug_guest::{Codec, Description, Events, Fault, Framing, Instant, Message, Packets, Peer, Session};

wireplug_guest::export!(Nothing);

/// The codec and a session, which know nothing.
#[derive(Debug)]
struct Nothing;

impl Codec for Nothing {
    type Session = Self;

    fn describe() -> Description {
        Description {
            framing: Some(Framing::Length { offset: 0, width: 4, little_endian: false, adjust: 0 }),
            ..Description::new("nothing", env!("CARGO_PKG_VERSION"))
        }
    }

    /// Accepts all options, because a benchmark passes the options of the codec that it measures.
    fn configure(_options: &str) -> Result<Self, String> {
        Ok(Self)
    }

    fn open(&self, _peer: Peer, _now: Instant) -> Result<Self, String> {
        Ok(Self)
    }
}

impl Session for Nothing {
    fn decode(&mut self, packet: &[u8], _now: Instant, events: &mut Events) -> Result<(), Fault> {
        events.notice("", packet);
        Ok(())
    }

    fn encode(&mut self, message: &Message, _now: Instant, packets: &mut Packets) -> Result<(), Fault> {
        packets.push(message.body);
        Ok(())
    }
}
