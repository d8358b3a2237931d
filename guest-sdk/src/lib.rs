//! The Rust SDK for codecs of wireplug.
//!
//! A codec turns the packets of one wire protocol into events, and messages into packets. It
//! implements [`Codec`], or [`Simple`] if it has no options, and [`Session`] for the state of one
//! connection. [`export!`] makes a component of it. `decode` and `encode` are enough: the SDK
//! provides the batches of the contract, `wit/codec.wit`.
//!
//! ```
//! use wireplug_guest::{Description, Events, Fault, Framing, Instant, Message, Packets, Session, Simple};
//!
//! /// Each line is a message to one route, and each message is a line.
//! #[derive(Default)]
//! struct Lines;
//!
//! impl Simple for Lines {
//!     fn describe() -> Description {
//!         Description { framing: Some(Framing::Delimiter(b"\n")), ..Description::new("lines", "1.0.0") }
//!     }
//! }
//!
//! impl Session for Lines {
//!     fn decode(&mut self, packet: &[u8], _now: Instant, events: &mut Events) -> Result<(), Fault> {
//!         let text = str::from_utf8(packet)?;
//!         events.notice("chat.chatHandler.say", text.trim().as_bytes());
//!         Ok(())
//!     }
//!
//!     fn encode(&mut self, message: &Message, _now: Instant, packets: &mut Packets) -> Result<(), Fault> {
//!         packets.push(message.body);
//!         Ok(())
//!     }
//! }
//!
//! wireplug_guest::export!(Lines);
//!
//! # use wireplug_guest::{Event, testing::Client};
//! let mut client = Client::<Lines>::open("{}").unwrap();
//! let notice = Event::Notice { route: "chat.chatHandler.say".into(), body: b"hi".into() };
//! assert_eq!(client.decode(b"hi\r"), Ok(vec![notice]));
//! assert_eq!(client.encode(Message::notice("onChat", b"hello")), Ok(vec![b"hello".to_vec()]));
//! ```
//!
//! [`Handshake`], [`Clock`], [`Farewell`], [`Broadcast`] and [`Handoff`] each add one ability. A
//! codec that implements one of them names it in `export!`.
//!
//! A codec is a pure state machine: everything it knows comes in as an argument. It must not keep
//! anything in statics, and must not read a clock. Its only source of randomness is
//! [`Peer::random_seed`]. A panic ends the sandbox and its connection, so no input of a client may
//! lead to a panic.

mod codec;
mod description;
mod events;
mod exported;
mod flat;
mod options;
mod packets;
pub mod testing;
mod types;

pub use codec::{Broadcast, Cause, Clock, Codec, Farewell, Handoff, Handshake, Session, Simple};
pub use description::{Description, Framing, MessageFraming, Payload};
pub use events::{Event, Events, Fault, Level};
pub use options::{no_options, options, options_and_routes};
pub use packets::{Encoded, Packet, Packets};
pub use types::{Carrier, Instant, Message, Peer, Role};
pub use wireplug_guest_macros::export;

/// The parts of this crate that `export!` needs.
#[doc(hidden)]
pub mod __private {
    pub use crate::events::list as events;
    pub use crate::exported::{Configured, is};
    pub use crate::flat::{EventHead, FlatEvents, Kind, MessageHead, decode_batch, encode_batch};
    pub use crate::packets::list as packets;
    #[cfg(target_family = "wasm")]
    pub use wit_bindgen;
}
