//! The description of a codec.

/// Describes a codec to the runtime, which asks for it once, when it loads the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The name of the protocol, for logs and metrics. 1 to 64 bytes.
    pub name: &'static str,
    /// The version of the codec. At most 64 bytes.
    pub version: &'static str,
    /// How the runtime cuts packets from a stream. `None` refuses stream transports, unless the
    /// session is a [`Framer`](crate::Framer).
    pub framing: Option<Framing>,
    /// What one message or datagram holds.
    pub messages: MessageFraming,
    /// Whether packets are text or binary, on transports that tell them apart.
    pub payload: Payload,
    /// Bodies are JSON, so that typed handlers can read and write them.
    pub json: bool,
    /// No message comes before [`Events::established`](crate::Events::established), and no push
    /// goes out before it. Without this, a session is established when it opens.
    pub handshake: bool,
    /// How many requests of the application the client may have to answer at a time. The runtime
    /// holds back the others. 0: the protocol has no requests to the client. 1: one at a time, for
    /// protocols whose answers have no id. Above 0, the session gets messages of the role
    /// [`Request`](crate::Role::Request), and gives [`Events::response`](crate::Events::response).
    pub client_requests: u16,
    /// A batch of messages may become fewer packets than messages. The session then implements
    /// [`Session::encode_batch`](crate::Session::encode_batch).
    pub coalesces: bool,
    /// The largest packet that the protocol allows, in bytes. A listener may allow less, not more.
    /// `None` leaves the limit to the listener.
    pub max_packet: Option<u32>,
}

impl Description {
    /// Returns the description of a binary protocol for message transports, with one packet in each
    /// message, no handshake, and bodies that are not JSON.
    ///
    /// Other protocols change single fields:
    /// `Description { json: true, ..Description::new("chat", "1.0.0") }`.
    pub const fn new(name: &'static str, version: &'static str) -> Self {
        Self {
            name,
            version,
            framing: None,
            messages: MessageFraming::One,
            payload: Payload::Binary,
            json: false,
            handshake: false,
            client_requests: 0,
            coalesces: false,
            max_packet: None,
        }
    }
}

/// How the runtime cuts packets from a stream and joins them into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A packet ends with these 1 to 16 bytes, which are not part of it. The runtime cannot send a
    /// packet that contains them.
    Delimiter(&'static [u8]),
    /// A length field of fixed width. The runtime removes the field on the way in and inserts it on
    /// the way out.
    Length {
        /// The number of bytes before the length field. They belong to the packet.
        offset: u8,
        /// The width of the field in bytes, 1 to 4.
        width: u8,
        /// The field is little-endian; otherwise it is big-endian.
        little_endian: bool,
        /// Added to the value of the field to get the number of bytes that follow it.
        adjust: i32,
    },
    /// A LEB128 length of at most 4 bytes. It counts the bytes that follow it.
    Varint {
        /// The number of bytes before the length. They belong to the packet.
        offset: u8,
    },
}

/// What one message or datagram holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum MessageFraming {
    /// The codec refuses transports of messages and datagrams.
    None,
    /// One packet without framing.
    One,
    /// One or more whole packets, each framed as on a stream.
    Framed,
    /// A piece of a stream: packets may run across messages. Not for datagrams.
    Continuous,
}

/// Whether packets are text or binary, on transports that tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Payload {
    /// All packets are binary.
    Binary,
    /// All packets are valid UTF-8 and travel in WebSocket text messages.
    Text,
    /// Each packet is text or binary. Only with [`MessageFraming::One`]. On
    /// [`Carrier::Messages`](crate::Carrier::Messages), every packet begins with a tag byte: 1 for
    /// text, which must be UTF-8, or 2 for binary. On other carriers packets have no tag.
    Tagged,
}
