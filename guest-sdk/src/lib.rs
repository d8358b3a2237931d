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
//! [`Framer`], [`TlsUpgrade`], [`Handshake`], [`Requests`], [`Clock`], [`Farewell`], [`Broadcast`]
//! and [`Handoff`] each add one ability. A codec that implements one of them names it in `export!`.
//!
//! A codec is a pure state machine: everything it knows comes in as an argument. It must not keep
//! anything in statics, and must not read a clock. Its only source of randomness is
//! [`Peer::random_seed`]. A panic ends the sandbox and its connection, so no input of a client may
//! lead to a panic.
//!
//! # Streams that the codec cuts
//!
//! A protocol whose packets no [`Framing`] can cut implements [`Framer`]. The function `cut` finds
//! where the first packet of the stream ends. The SDK calls `cut` and `decode` in turn, so the
//! framing may change after any packet. The module [`mod@cut`] has functions for the usual
//! framings, and [`testing::Client::receive`] passes a stream in tests.
//!
//! ```
//! use wireplug_guest::cut::{self, Cut, Digits};
//! # use wireplug_guest::{Description, Events, Fault, Framer, Instant, Message, Packets, Session, Simple};
//!
//! /// Netstrings: `5:hello,` is a message to one route.
//! #[derive(Default)]
//! struct Netstrings;
//!
//! impl Framer for Netstrings {
//!     fn cut(&self, bytes: &[u8]) -> Result<Cut, Fault> {
//!         match cut::digits(bytes, 0, b':', 1000)? {
//!             Digits::Number { value, end } => cut::fixed(bytes, end + value + 1, (1006, "netstring")),
//!             Digits::Need(total) => Ok(Cut::Need(total)),
//!         }
//!     }
//! }
//!
//! impl Session for Netstrings {
//!     /// Gets the packet with its framing.
//!     fn decode(&mut self, packet: &[u8], _now: Instant, events: &mut Events) -> Result<(), Fault> {
//!         let colon = packet.iter().position(|byte| *byte == b':').expect("`cut` has found it");
//!         match packet[colon + 1..].split_last() {
//!             Some((b',', text)) => events.notice("chat.chatHandler.say", text),
//!             _ => return Err(Fault::fatal("a netstring does not end with a comma")),
//!         }
//!         Ok(())
//!     }
//!
//!     /// Writes the packet with its framing.
//!     fn encode(&mut self, message: &Message, _now: Instant, packets: &mut Packets) -> Result<(), Fault> {
//!         let mut packet = packets.begin();
//!         packet.extend(format!("{}:", message.body.len()));
//!         packet.extend(message.body);
//!         packet.push(b',');
//!         Ok(())
//!     }
//! }
//! #
//! # impl Simple for Netstrings {
//! #     fn describe() -> Description {
//! #         Description::new("netstrings", "1.0.0")
//! #     }
//! # }
//!
//! wireplug_guest::export!(Netstrings: Framer);
//!
//! # use wireplug_guest::{Event, testing::{Client, Received}};
//! let mut client = Client::<Netstrings>::open("{}").unwrap();
//! let notice = Event::Notice { route: "chat.chatHandler.say".into(), body: b"hello".into() };
//! let received = [Received::Packet(b"5:hello,".into()), Received::Event(notice)];
//! assert_eq!(client.receive(b"5:hello,1"), received);
//! assert_eq!(client.encode(Message::notice("onChat", b"hi")), Ok(vec![b"2:hi,".to_vec()]));
//! ```
//!
//! # TLS in the middle of a stream
//!
//! If a listener offers it, the peer has the attribute `starttls`. When `decode` has added the last
//! reply in the clear, the next `cut` returns [`Cut::StartTls`], and the session implements
//! [`TlsUpgrade`]:
//!
//! ```ignore
//! impl Framer for Mail {
//!     fn cut(&self, bytes: &[u8]) -> Result<Cut, Fault> {
//!         // `decode` sets it when it replies to STARTTLS.
//!         if self.tls_begins { Ok(Cut::StartTls) } else { cut::line(bytes, b"\r\n", 512) }
//!     }
//! }
//!
//! impl TlsUpgrade for Mail {
//!     fn secured(&mut self, _attributes: &[(String, String)], _now: Instant, _events: &mut Events) {
//!         self.tls_begins = false;
//!     }
//! }
//! ```
//!
//! # Requests to the client
//!
//! If `client_requests` of the description is above 0, `encode` gets messages of the role
//! [`Role::Request`], and `decode` gives the client's answer with [`Events::response`]. A session
//! that implements [`Requests`] learns when the application has given up. [`ids::Ids`] maps the ids
//! of the protocol to those of the contract:
//!
//! ```
//! use wireplug_guest::{Events, Fault, Instant, ids::Ids};
//!
//! /// Serial numbers of 16 bits, and at most 100 open requests.
//! struct Calls(Ids<u64>);
//!
//! impl Calls {
//!     /// Returns the serial number for a request, to be encoded.
//!     fn call(&mut self, id: u64) -> Result<u16, Fault> {
//!         Ok(self.0.insert(id)? as u16)
//!     }
//!
//!     fn result(&mut self, serial: u16, body: &[u8], events: &mut Events) -> Result<(), Fault> {
//!         let id = self.0.take(serial.into()).ok_or(Fault::rejected("no call has this number"))?;
//!         events.response(id, 200, body);
//!         Ok(())
//!     }
//!
//!     /// For `Requests::abandoned`.
//!     fn abandoned(&mut self, id: u64) {
//!         self.0.remove(&id);
//!     }
//! }
//!
//! let calls = Calls(Ids::new(100).largest(u16::MAX.into()));
//! ```

mod abi;
mod answer;
mod codec;
pub mod cut;
mod description;
mod events;
mod exported;
mod flat;
mod framer;
#[cfg(target_family = "wasm")]
mod heap;
pub mod ids;
mod instance;
mod options;
mod packets;
pub mod testing;
mod trap;
mod types;

pub use codec::{
    Broadcast, Cause, Clock, Codec, Farewell, Framer, Handoff, Handshake, Requests, Session, Simple,
    TlsUpgrade,
};
pub use cut::Cut;
pub use description::{Description, Framing, MessageFraming, Payload};
pub use events::{Event, Events, Fault, Level};
pub use options::{no_options, options, options_and_routes};
pub use packets::{Encoded, Packet, Packets};
pub use types::{Carrier, Instant, Message, Peer, Role};
pub use wireplug_guest_macros::export;

/// The parts of this crate that `export!` needs.
#[doc(hidden)]
pub mod __private {
    pub use crate::abi::{List, Outcome};
    pub use crate::exported::is;
    pub use crate::flat::{MessageHead, decode_batch, encode_batch};
    pub use crate::framer::{Next, decode_stream};
    pub use crate::instance::Instance;
    pub use crate::testing::unflattened;

    /// How arguments and answers lie in memory.
    pub mod abi {
        pub use crate::abi::*;
    }
}
