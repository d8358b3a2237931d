//! A codec for STOMP 1.2. A SEND becomes a message to the route of its destination. A push goes to
//! the clients that have subscribed to its destination.
//!
//! | module | content |
//! |---|---|
//! | `frame` | cuts frames from the stream, and reads them |
//! | `write` | writes frames |
//! | `connect` | reads CONNECT |
//! | `heart_beat` | when each side must have sent something |
//! | `options` | the options of the codec |
//! | `subscriptions` | the subscriptions of a client, and the routes of destinations |
//! | `transactions` | frames that wait for a COMMIT |
//! | `client` | the session: which frames are allowed when, and what they mean |
//! | `delivery` | messages of the application, and their acknowledgments |
//! | `handoff` | saves and restores a session |

mod client;
mod connect;
mod delivery;
mod frame;
mod handoff;
mod heart_beat;
mod options;
mod subscriptions;
#[cfg(test)]
mod tests;
mod transactions;
mod write;

use std::rc::Rc;

use wireplug_guest::{Codec, Description, Instant, Payload, Peer};

use client::Client;
use options::Options;

wireplug_guest::export!(Stomp: Framer + Handshake + Requests + Clock + Farewell + Handoff);

/// The codec with its options.
#[derive(Debug)]
struct Stomp(Rc<Options>);

impl Codec for Stomp {
    type Session = Client;

    fn describe() -> Description {
        Description {
            // A WebSocket message is one frame. It is text unless the body of the frame is not.
            payload: Payload::Tagged,
            json: true,
            handshake: true,
            client_requests: 1000,
            ..Description::new("stomp", env!("CARGO_PKG_VERSION"))
        }
    }

    fn configure(options: &str) -> Result<Self, String> {
        Ok(Self(Rc::new(wireplug_guest::options(options)?)))
    }

    fn open(&self, peer: Peer, _now: Instant) -> Result<Client, String> {
        Client::with(Rc::clone(&self.0), &peer, client::State::default())
    }
}
