//! A codec for RESP2 and RESP3, the protocol of Redis. A command becomes a request to the route of
//! its name. The application answers in RESP3, and the codec translates for clients of RESP2.
//!
//! | module | content |
//! |---|---|
//! | `command` | cuts commands from the stream, and reads their arguments |
//! | `inline` | splits a command that a person has typed |
//! | `client` | the session: what the codec does itself, and the order of answers |
//! | `hello` | reads HELLO, and writes its answer |
//! | `pending` | what the codec does when the application has answered |
//! | `subscriptions` | channels and patterns, and their confirmations |
//! | `value` | checks values of the application, and translates them to RESP2 |
//! | `write` | writes single values |
//! | `failure` | the errors that stand for the status of a failed request |
//! | `handoff` | saves and restores a session |

mod client;
mod command;
mod failure;
mod handoff;
mod hello;
mod inline;
mod pending;
mod subscriptions;
#[cfg(test)]
mod tests;
mod value;
mod write;

use std::rc::Rc;

use wireplug_guest::{Codec, Description, Instant, MessageFraming, Peer};

use client::Client;
use hello::Server;

wireplug_guest::export!(Redis: Framer + Handoff);

/// The codec with its options.
#[derive(Debug)]
struct Redis(Rc<Server>);

impl Codec for Redis {
    type Session = Client;

    fn describe() -> Description {
        Description {
            // Over WebSocket a stream is a stream: commands may run across messages.
            messages: MessageFraming::Continuous,
            ..Description::new("redis", env!("CARGO_PKG_VERSION"))
        }
    }

    fn configure(options: &str) -> Result<Self, String> {
        Ok(Self(Rc::new(wireplug_guest::options(options)?)))
    }

    fn open(&self, peer: Peer, _now: Instant) -> Result<Client, String> {
        Ok(Client::new(Rc::clone(&self.0), &peer))
    }
}
