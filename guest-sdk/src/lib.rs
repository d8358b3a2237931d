//! What a codec for wireplug is written against in Rust.
//!
//! A codec turns the packets of one wire protocol into events, and messages into packets. It implements [`Codec`] for
//! what its options say, or [`Simple`] if there are none, and [`Session`] for what it knows of one client; [`export!`] makes a
//! component of it. `decode` and `encode` are all that it must have: the batches of the contract (`wit/codec.wit`) come
//! of themselves.
//!
//! ```
//! use wireplug_guest::{Description, Encoded, Events, Fault, Framing, Message, Packet, Session, Simple};
//!
//! /// Each line is a message to one route, and each message a line.
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
//!     fn decode(&mut self, packet: &[u8], _now_ms: u64, events: &mut Events) -> Result<(), Fault> {
//!         let text = str::from_utf8(packet)?;
//!         events.message(None, "chat.chatHandler.say", text.trim().as_bytes());
//!         Ok(())
//!     }
//!
//!     fn encode(&mut self, message: &Message, _now_ms: u64, packet: &mut Packet) -> Result<Encoded, Fault> {
//!         packet.extend(message.body);
//!         Ok(Encoded::Packet)
//!     }
//! }
//!
//! wireplug_guest::export!(Lines);
//!
//! # use wireplug_guest::{Event, testing::Client};
//! let mut client = Client::<Lines>::open("{}").unwrap();
//! let said = Event::Message { id: None, route: "chat.chatHandler.say".into(), body: b"hi".into() };
//! assert_eq!(client.decode(b"hi\r"), Ok(vec![said]));
//! ```
//!
//! `handshake`, `clock`, `farewell`, `broadcast` and `handoff` each take one more trait, named in `export!`.
//!
//! A codec is a pure state machine: what it knows comes in as arguments. It may keep nothing in statics, read no clock and ask for
//! no randomness but [`Peer::entropy`]; `now_ms` is always the time in milliseconds since the session opened.
//! A panic ends the sandbox and its connection, so what a client sends must never lead to one.

mod codec;
mod description;
mod events;
mod exported;
mod options;
mod packets;
pub mod testing;

pub use codec::{
    Broadcast, Clock, Codec, Encoded, Farewell, Handoff, Handshake, Message, Peer, Session, Simple,
};
pub use description::{Description, Framing, MessageUnit};
pub use events::{Event, Events, Fault};
pub use options::{no_options, options, options_and_routes};
pub use packets::{Packet, Packets};
pub use wireplug_guest_macros::export;

/// What `export!` needs of this crate.
#[doc(hidden)]
pub mod __private {
    pub use crate::events::{Flat, Head, Kind};
    pub use crate::exported::{Configured, decode_batch, encode_batch, is, list, packet};
    #[cfg(target_family = "wasm")]
    pub use wit_bindgen;
}
