//! A codec for MQTT 3.1.1. A PUBLISH becomes a message to the route of its topic. A push goes to
//! the clients that have subscribed to its topic.
//!
//! | module | content |
//! |---|---|
//! | `reader` | reads the fields of a control packet |
//! | `connect` | reads CONNECT, and writes its answer |
//! | `topic` | translates topics and routes, and matches filters |
//! | `options` | the options of the codec |
//! | `client` | the session: which packets are allowed when, and what they mean |
//! | `handoff` | saves and restores a session |
//!
//! Numbers in brackets are normative statements of the specification, \[MQTT-x.y.z-n\].

mod client;
mod connect;
mod handoff;
mod options;
mod reader;
#[cfg(test)]
mod tests;
mod topic;

use std::rc::Rc;

use wireplug_guest::{Codec, Description, Framing, Instant, MessageFraming, Peer};

use client::Client;
use options::Options;

wireplug_guest::export!(Mqtt: Handshake + Clock + Handoff);

/// The codec with its options.
#[derive(Debug)]
struct Mqtt(Rc<Options>);

impl Codec for Mqtt {
    type Session = Client;

    fn describe() -> Description {
        Description {
            // `type and flags: u8 | remaining length: varint | what remains`
            framing: Some(Framing::Varint { offset: 1 }),
            // [MQTT-6.0.0-1]: packets may run across WebSocket messages.
            messages: MessageFraming::Continuous,
            json: true,
            handshake: true,
            ..Description::new("mqtt", env!("CARGO_PKG_VERSION"))
        }
    }

    fn configure(options: &str) -> Result<Self, String> {
        Ok(Self(Rc::new(wireplug_guest::options(options)?)))
    }

    fn open(&self, _peer: Peer, _now: Instant) -> Result<Client, String> {
        Ok(Client::new(Rc::clone(&self.0)))
    }
}
