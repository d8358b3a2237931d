//! The Pomelo wire protocol, sans-I/O: packets and a time go in, events and packets come out.
//!
//! It knows no socket, no clock and no runtime, so every rule of the protocol is tested without a network and
//! without waiting. The Wasm component beside it is a thin cover over [`Session`]; [`client`] is the other
//! end of the wire. A client that must be quicker than that builds on [`package`] and [`message`].
//!
//! A *packet* here is a Pomelo package without its three length bytes, `type: u8 | body`: the length field
//! belongs to the framing.
//!
//! The modules, in the order in which a packet meets them:
//!
//! | module | its job |
//! |---|---|
//! | `session` | the state machine of one connection: handshake, heartbeats, messages, kick |
//! | `session::handoff` | carries a session over to other options or another version |
//! | `session::sharing` | one encoding of a push for many sessions |
//! | [`package`] | the outer layer: the package's type, and its length on the raw wire |
//! | `handshake` | what a client's handshake says, and the answer to it |
//! | `clients` | which clients are let in, by type and version |
//! | [`message`] | the inner layer: flag, id and route in front of a body |
//! | `dictionary` | routes as two-byte codes |
//! | `protobuf` | bodies by the schema of their route, from and to JSON |
//! | `json` | reads JSON piece by piece, for that |
//! | `version` | by which a client knows what it has kept |
//! | `text` | CESU-8 in, escaped JSON out |
//! | `options` | what the person who runs the listener may choose |
//! | [`client`] | a client, for calls, load and tests |

pub mod client;
mod clients;
mod dictionary;
mod handshake;
mod json;
pub mod message;
mod options;
pub mod package;
mod protobuf;
mod session;
mod text;
mod version;

pub use handshake::Answer;
pub use options::Options;
pub use session::{Fault, Message, Session, Sink};
