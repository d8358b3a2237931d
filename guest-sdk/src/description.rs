//! What a codec says of itself.

/// What a codec is. The runtime asks once, when it loads the file, and frames for it as this says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The protocol's name, as logs and counts show it. 1 to 64 bytes.
    pub name: &'static str,
    /// The codec's own version. At most 64 bytes.
    pub version: &'static str,
    /// How packets are cut from a stream. None: stream transports are refused.
    pub framing: Option<Framing>,
    /// What a message of a message transport holds.
    pub message: MessageUnit,
    /// Packets are text: WebSocket text frames, valid UTF-8 in both directions.
    pub text: bool,
    /// Bodies are JSON, so that typed handlers can read and write them.
    pub json: bool,
    /// No message comes, and no push goes out, before the session's `established` event. False: a session is established
    /// when it opens.
    pub handshake: bool,
    /// A batch of messages may become fewer packets than it has messages: [`Session::encode_batch`](crate::Session::encode_batch).
    pub merges: bool,
}

impl Description {
    /// A protocol for message transports: a packet a message, bytes, no handshake. Whatever else it is stands beside:
    /// `Description { json: true, ..Description::new("chat", "1.0.0") }`.
    pub const fn new(name: &'static str, version: &'static str) -> Self {
        Self {
            name,
            version,
            framing: None,
            message: MessageUnit::One,
            text: false,
            json: false,
            handshake: false,
            merges: false,
        }
    }
}

/// How packets are cut from a stream of bytes and joined into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A packet ends with these bytes, 1 to 16 of them, which are not part of it. A packet that holds them cannot be sent.
    Delimiter(&'static [u8]),
    /// A length field of fixed width, which the runtime takes out on the way in and puts in on the way out.
    Length {
        /// So many bytes come before the length field; they belong to the packet.
        offset: u8,
        /// The width of the field in bytes, 1 to 4.
        width: u8,
        /// The byte order of the field.
        little_endian: bool,
        /// Added to the field's value to get the number of bytes that follow the field.
        adjust: i32,
    },
    /// A LEB128 length of at most 4 bytes, which counts the bytes that follow it.
    Varint {
        /// So many bytes come before it; they belong to the packet.
        offset: u8,
    },
}

/// What one message of a message transport (a WebSocket message, a datagram) holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageUnit {
    /// Nothing: such transports are refused.
    Refused,
    /// One packet, bare, without framing.
    One,
    /// One or more whole packets, each framed as on a stream.
    Framed,
    /// A piece of the stream: packets may run across messages.
    Bytes,
}
