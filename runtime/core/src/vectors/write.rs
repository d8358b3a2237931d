//! Writes steps in the form in which they are read.

use std::fmt;

use super::syntax::{Bytes, Quotable};
use super::{ADDRESS, Call, TRANSPORT};
use crate::codec::{Peer, Role};

/// Writes the line of the step, without its answers and without the values above it.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Call::Session(peer) => client(peer, f),
            Call::Resume(resumed) => client(&resumed.peer, f),
            Call::In(packet) => write!(f, "in {}", Bytes(packet)),
            Call::Stream(bytes) => write!(f, "stream {}", Bytes(bytes)),
            Call::Secured(attributes) => {
                f.write_str("secured")?;
                let words = attributes.iter().flat_map(|(name, value)| [name, value]);
                words.into_iter().try_for_each(|word| write!(f, " {}", Quotable(word)))
            }
            Call::Abandon(id) => write!(f, "abandon {id}"),
            Call::Answer { status, body } => write!(f, "answer {status} {}", Bytes(body)),
            Call::Tick => f.write_str("tick"),
            Call::Out { role: Role::Notice, route, body, .. } => {
                write!(f, "out notice {} {}", Quotable(route), Bytes(body))
            }
            Call::Out { role: Role::Request, id, route, body, .. } => {
                write!(f, "out request {id} {} {}", Quotable(route), Bytes(body))
            }
            Call::Out { role: Role::Response, id, route, status, body } => {
                write!(f, "out response {id} {} {status} {}", Quotable(route), Bytes(body))
            }
            Call::Farewell { cause, reason } => {
                write!(f, "farewell {} {}", cause.name(), Bytes(reason.as_bytes()))
            }
            Call::Handoff { .. } => f.write_str("handoff"),
            Call::Class => f.write_str("class"),
            Call::Share { class, route, body } => {
                write!(f, "share {class} {} {}", Quotable(route), Bytes(body))
            }
        }
    }
}

fn client(peer: &Peer, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("session")?;
    words(peer).iter().try_for_each(|word| write!(f, " {}", Quotable(word)))
}

/// Returns the words that describe a peer, or no words for the default peer.
fn words(peer: &Peer) -> Vec<&str> {
    let Peer { transport, address, attributes, .. } = peer;
    if (&**transport, &**address) == (TRANSPORT, ADDRESS) && attributes.is_empty() {
        return Vec::new();
    }
    let attributes = attributes.iter().flat_map(|(name, value)| [&**name, &**value]);
    [&**transport, &**address].into_iter().chain(attributes).collect()
}
