//! A codec for XMPP streams of clients: RFC 6120 and 6121, and RFC 7395 over WebSocket. Stanzas
//! become messages of the application, whose bodies are JSON.
//!
//! | module | content |
//! |---|---|
//! | `reader` | cuts a stream into its header, its elements and its end, and reads them |
//! | `element` | elements of XML, and how they are written |
//! | `jsonml` | elements as JSON |
//! | `jid` | addresses |
//! | `stream` | what both sides say about the stream itself: headers, features, errors |
//! | `sasl` | the login with name and password |
//! | `stanza` | messages, presence and queries as JSON |
//! | `condition` | errors of stanzas, and their statuses |
//! | `options` | the options of the codec |
//! | `client` | the session: what is allowed when, and what it means |
//! | `stanzas` | the session once it is bound to an address |
//! | `handoff` | saves and restores a session |

mod client;
mod condition;
mod element;
mod handoff;
mod jid;
mod jsonml;
mod options;
mod reader;
mod sasl;
mod stanza;
mod stanzas;
mod stream;
#[cfg(test)]
mod tests;

use std::rc::Rc;

use wireplug_guest::{Codec, Description, Instant, MessageFraming, Payload, Peer};

use client::Client;
use options::Options;

wireplug_guest::export!(Xmpp: Framer + TlsUpgrade + Handshake + Clock + Farewell + Handoff);

/// The largest stanza in both directions, in bytes. RFC 6120 asks for 10,000 or more.
const MAX_STANZA: usize = 64 << 10;

/// The codec with its options.
#[derive(Debug)]
struct Xmpp(Rc<Options>);

impl Codec for Xmpp {
    type Session = Client;

    fn describe() -> Description {
        Description {
            // RFC 7395: a message is one element.
            messages: MessageFraming::One,
            // Not `Text`: a client whose bytes are no UTF-8 gets a stream error, and for that the
            // codec must see them.
            payload: Payload::Tagged,
            json: true,
            handshake: true,
            client_requests: 1000,
            max_packet: Some(MAX_STANZA as u32),
            ..Description::new("xmpp", env!("CARGO_PKG_VERSION"))
        }
    }

    fn configure(options: &str) -> Result<Self, String> {
        let options: Options = wireplug_guest::options(options)?;
        options.check()?;
        Ok(Self(Rc::new(options)))
    }

    fn open(&self, peer: Peer, now: Instant) -> Result<Client, String> {
        Client::open(Rc::clone(&self.0), &peer, now)
    }
}
