//! A codec for the PostgreSQL frontend/backend protocol 3.0. A query becomes a request, and the
//! rows of its response become DataRow messages.
//!
//! | module | content |
//! |---|---|
//! | `message` | cuts the messages of a client, and reads their fields |
//! | `startup` | reads the packets before the first message: SSLRequest, CancelRequest, StartupMessage |
//! | `session` | the session from its first packet to its password |
//! | `queries` | the session after that: which message means what, and what must wait |
//! | `group` | the messages of the extended protocol between two Syncs |
//! | `run` | the steps of a client, run with the application's answer |
//! | `application` | the JSON bodies of requests, responses and pushes |
//! | `cell` | a value in a row, from JSON to text |
//! | `types` | the types of PostgreSQL, and their binary format |
//! | `report` | errors and notices |
//! | `writer` | writes the messages of the server |
//! | `push` | notifications, notices and parameters that the application pushes |
//! | `options` | the options of the codec |
//! | `handoff` | saves and restores a session |

mod application;
mod cell;
mod group;
mod handoff;
mod message;
mod options;
mod push;
mod queries;
mod report;
mod run;
mod session;
mod startup;
#[cfg(test)]
mod tests;
mod types;
mod writer;

use std::rc::Rc;

use wireplug_guest::{Codec, Description, Instant, MessageFraming, Peer};

use options::Options;
use session::Client;

wireplug_guest::export!(Postgres: Framer + TlsUpgrade + Handshake + Clock + Farewell + Broadcast + Handoff);

/// The codec with its options.
#[derive(Debug)]
struct Postgres(Rc<Options>);

impl Codec for Postgres {
    type Session = Client;

    fn describe() -> Description {
        Description {
            messages: MessageFraming::None,
            json: true,
            handshake: true,
            ..Description::new("postgres", env!("CARGO_PKG_VERSION"))
        }
    }

    fn configure(options: &str) -> Result<Self, String> {
        Ok(Self(Rc::new(wireplug_guest::options(options)?)))
    }

    fn open(&self, peer: Peer, _now: Instant) -> Result<Client, String> {
        Client::open(Rc::clone(&self.0), &peer)
    }
}
