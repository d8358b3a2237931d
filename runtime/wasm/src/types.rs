//! The types of `wit/codec.wit` that enter and leave a component one by one.
//!
//! The types of a batch are those of [`wireplug_core`], so no batch is converted from one type to
//! another.

use wasmtime::component::{ComponentType, Lift, Lower};

use wireplug_core::codec::{self, Level, MessageRef, Role};

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct LengthField {
    pub(super) offset: u8,
    pub(super) width: u8,
    #[component(name = "little-endian")]
    pub(super) little_endian: bool,
    pub(super) adjust: i32,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(super) enum Framing {
    #[component(name = "delimiter")]
    Delimiter(Vec<u8>),
    #[component(name = "length")]
    Length(LengthField),
    #[component(name = "varint")]
    Varint(u8),
}

#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
pub(super) enum MessageFraming {
    #[component(name = "none")]
    None,
    #[component(name = "one")]
    One,
    #[component(name = "framed")]
    Framed,
    #[component(name = "continuous")]
    Continuous,
}

#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
pub(super) enum Payload {
    #[component(name = "binary")]
    Binary,
    #[component(name = "text")]
    Text,
    #[component(name = "tagged")]
    Tagged,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct Description {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) framing: Option<Framing>,
    pub(super) messages: MessageFraming,
    pub(super) payload: Payload,
    pub(super) json: bool,
    pub(super) handshake: bool,
    #[component(name = "client-requests")]
    pub(super) client_requests: u16,
    pub(super) coalesces: bool,
    #[component(name = "max-packet")]
    pub(super) max_packet: Option<u32>,
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(super) struct Message {
    pub(super) role: Role,
    pub(super) id: u64,
    pub(super) route: String,
    pub(super) body: Vec<u8>,
    pub(super) status: u16,
}

impl From<MessageRef<'_>> for Message {
    fn from(message: MessageRef<'_>) -> Self {
        let MessageRef { role, id, route, body, status } = message;
        Self { role, id, route: route.to_owned(), body: body.to_vec(), status }
    }
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct Close {
    pub(super) code: u16,
    pub(super) reason: String,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct LogEntry {
    pub(super) level: Level,
    pub(super) text: String,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(super) enum Event {
    #[component(name = "hello")]
    Hello(Vec<u8>),
    #[component(name = "established")]
    Established,
    #[component(name = "message")]
    Message(Message),
    #[component(name = "reply")]
    Reply(Vec<u8>),
    #[component(name = "timer")]
    Timer(u32),
    #[component(name = "address-verified")]
    AddressVerified,
    #[component(name = "log")]
    Log(LogEntry),
    #[component(name = "close")]
    Close(Close),
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(super) enum Fault {
    #[component(name = "rejected")]
    Rejected(String),
    #[component(name = "fatal")]
    Fatal(String),
}

#[derive(Clone, Copy, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
pub(super) enum Carrier {
    #[component(name = "bytes")]
    Bytes,
    #[component(name = "messages")]
    Messages,
    #[component(name = "datagrams")]
    Datagrams,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Peer {
    pub(super) carrier: Carrier,
    pub(super) transport: String,
    pub(super) address: String,
    pub(super) dialed: bool,
    #[component(name = "max-packet")]
    pub(super) max_packet: u32,
    #[component(name = "random-seed")]
    pub(super) random_seed: Vec<u8>,
    pub(super) attributes: Vec<(String, String)>,
}

impl From<codec::Peer> for Peer {
    fn from(peer: codec::Peer) -> Self {
        let carrier = match peer.carrier {
            codec::Carrier::Bytes => Carrier::Bytes,
            codec::Carrier::Messages => Carrier::Messages,
            codec::Carrier::Datagrams => Carrier::Datagrams,
        };
        Self {
            carrier,
            transport: peer.transport,
            address: peer.address,
            dialed: peer.dialed,
            max_packet: peer.max_packet,
            random_seed: peer.random_seed.to_vec(),
            attributes: peer.attributes,
        }
    }
}
