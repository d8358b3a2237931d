//! MQTT 3.1.1 as a codec: a PUBLISH is a message to the route of its topic, and a push goes to those who subscribed to its topic.
//!
//! | module | its job |
//! |---|---|
//! | `reader` | the fields of a control packet, as the specification codes them |
//! | `connect` | CONNECT, and its answer |
//! | `topic` | topics and routes, filters and what they match |
//! | `options` | what the person who runs the listener may choose |
//! | `client` | the session: which packet is allowed when, and what it means |
//! | `handoff` | carries a session over to another version |
//!
//! Numbers in brackets are the specification's normative statements, [MQTT-x.y.z-n].

mod client;
mod connect;
mod handoff;
mod options;
mod reader;
#[cfg(test)]
mod tests;
mod topic;

use std::rc::Rc;

use wireplug_guest::{Codec, Description, Framing, MessageUnit, Peer};

use client::Client;
use options::Options;

wireplug_guest::export!(Mqtt: Handshake + Clock + Handoff);

#[derive(Debug)]
struct Mqtt(Rc<Options>);

impl Codec for Mqtt {
    type Session = Client;

    fn describe() -> Description {
        Description {
            // `type and flags: u8 | remaining length: varint | what remains`
            framing: Some(Framing::Varint { offset: 1 }),
            // [MQTT-6.0.0-1]: packets may run across WebSocket messages.
            message: MessageUnit::Bytes,
            json: true,
            handshake: true,
            ..Description::new("mqtt", env!("CARGO_PKG_VERSION"))
        }
    }

    fn configure(options: &str) -> Result<Self, String> {
        Ok(Self(Rc::new(wireplug_guest::options(options)?)))
    }

    fn open(&self, _peer: Peer, _now_ms: u64) -> Result<Client, String> {
        Ok(Client::new(Rc::clone(&self.0)))
    }
}
