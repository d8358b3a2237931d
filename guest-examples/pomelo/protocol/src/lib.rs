//! The Pomelo wire protocol, sans-I/O: packets and a time go in, events and packets come out.
//!
//! The crate has no socket, no clock and no runtime. So its tests cover every rule of the protocol
//! without a network and without waiting. The WebAssembly component next to it is a thin layer over
//! [`Session`]. [`client`] is the client's side of the protocol. A client that must be faster can
//! use [`package`] and [`message`] directly.
//!
//! In this crate, a *packet* is a Pomelo package without the 3 bytes of its length: `type: u8 |
//! body`. The length field belongs to the framing.
//!
//! The modules, in the order in which a packet meets them:
//!
//! | module | content |
//! |---|---|
//! | `session` | the state machine of one connection: handshake, heartbeats, messages, kick |
//! | `session::handoff` | moves a session to other options or another version |
//! | `session::broadcast` | one encoding of a push for many sessions |
//! | [`package`] | the outer layer: the type of a package, and its length on the wire |
//! | `handshake` | the client's handshake, and the answer to it |
//! | `dialect` | how Pitaya's clients differ from Pomelo's |
//! | `clients` | which clients are admitted, by type and version |
//! | [`message`] | the inner layer: flag, id and route before a body |
//! | `dictionary` | routes as 2-byte codes |
//! | `inflate` | bodies that Pitaya's clients compress, within limits |
//! | `protobuf` | converts bodies between protobuf and JSON, by the schemas of their routes |
//! | `json` | a reader of JSON for that |
//! | `version` | the versions by which a client knows what it has kept |
//! | `text` | CESU-8 from clients, escaped JSON to clients |
//! | `options` | the options of the codec |
//! | [`client`] | a client, for single calls, load and tests |

pub mod client;
mod clients;
mod dialect;
mod dictionary;
mod handshake;
mod inflate;
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
pub use session::{Fault, Message, Role, Session, Sink};
