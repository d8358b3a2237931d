//! Framing: cuts bytes into whole packets and joins packets into bytes.
//!
//! Each packet in a batch is exactly one whole packet. The module has no socket and no clock.
//! [`Splitter`] handles the inbound direction and [`Joiner`] the outbound one. [`Packets`] is the
//! flat batch between framing and codec.

mod delimiter;
mod joiner;
mod length;
mod packets;
mod splitter;
#[cfg(test)]
mod tests;
mod varint;
mod words;

pub use delimiter::Delimiter;
pub use joiner::Joiner;
pub use length::LengthField;
pub use packets::Packets;
pub use splitter::{Split, Splitter};
pub use varint::Varint;

/// How packets are cut from a stream of bytes and joined into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A packet ends with a fixed sequence of bytes.
    Delimiter(Delimiter),
    /// A length field of fixed width, in front of the packet or after some of its bytes.
    Length(LengthField),
    /// A LEB128 length, in front of the packet or after some of its bytes.
    Varint(Varint),
}

/// What one message or datagram holds: `message-framing` in `wit/codec.wit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageFraming {
    /// One packet, without framing.
    One,
    /// One or more whole packets, framed as on a stream.
    Framed,
    /// The next bytes of the stream: a packet may extend over several messages.
    Continuous,
}

/// Whether packets are text or binary, on transports that tell them apart: `payload` in
/// `wit/codec.wit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Packets are binary.
    Binary,
    /// Packets are text: valid UTF-8 in both directions.
    Text,
    /// Each packet begins with a tag that says which of the two it is: [`Payload::TEXT_TAG`] or
    /// [`Payload::BINARY_TAG`]. The tag does not count towards the size of the packet. Only if each
    /// message holds one packet.
    Tagged,
}

impl Payload {
    /// The tag of a packet that is text.
    pub const TEXT_TAG: u8 = 1;
    /// The tag of a packet that is binary.
    pub const BINARY_TAG: u8 = 2;
}

/// The layout of packets on one socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Framed packets in a stream of bytes.
    Stream(Framing),
    /// One packet in each message, without framing.
    One,
    /// One or more whole packets in each message, with framing.
    Framed(Framing),
    /// Framed packets in a stream whose pieces are messages.
    Continuous(Framing),
    /// The codec cuts packets itself, and makes packets that are complete.
    Framer {
        /// Whether each message holds whole packets.
        whole_messages: bool,
    },
}

impl Layout {
    /// Returns the framing, or `None` if packets have none.
    fn framing(&self) -> Option<&Framing> {
        match self {
            Layout::One | Layout::Framer { .. } => None,
            Layout::Stream(framing) | Layout::Framed(framing) | Layout::Continuous(framing) => Some(framing),
        }
    }
}

/// Why bytes from a client are not packets. Each error ends the connection, because the beginning
/// of the next packet is unknown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// The packet is longer than the listener allows. The length is checked from the packet's head,
    /// before memory is allocated for the packet.
    #[error("a packet of {length} bytes is over the maximum of {max}")]
    TooLong {
        /// The length that the head claims; for a delimiter, the least possible length.
        length: u64,
        /// The maximum packet size, in bytes.
        max: usize,
    },
    /// The length field's value, adjusted, is below zero.
    #[error("the length field's value {value} is less than its adjustment allows")]
    NegativeLength {
        /// The value of the length field, before the adjustment.
        value: u32,
    },
    /// A LEB128 length continues after its fourth byte.
    #[error("a varint length of more than 4 bytes")]
    LongVarint,
    /// A message of a message transport holds no packet.
    #[error("a message without a packet")]
    EmptyMessage,
    /// A message of a message transport ends inside a packet.
    #[error("a message that ends inside a packet")]
    PartialMessage,
    /// The protocol is text and the packet is not valid UTF-8.
    #[error("a packet that is not valid UTF-8")]
    NotText,
}

/// Why a packet cannot be sent: the receiver could not cut it out again. The error concerns only
/// this packet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// The packet is longer than the listener allows.
    #[error("a packet of {length} bytes is over the maximum of {max}")]
    TooLong {
        /// The packet's length in bytes.
        length: usize,
        /// The maximum packet size, in bytes.
        max: usize,
    },
    /// The packet with its framing does not fit a datagram.
    #[error("a packet that is {length} bytes with its framing is over the {max} of a datagram")]
    Datagram {
        /// The packet's length with its framing, in bytes.
        length: usize,
        /// The largest datagram, in bytes.
        max: usize,
    },
    /// The packet is shorter than the bytes that must come before its length field.
    #[error("a packet of {length} bytes is shorter than the {offset} before its length field")]
    TooShort {
        /// The packet's length in bytes.
        length: usize,
        /// The number of bytes before the length field.
        offset: usize,
    },
    /// The length does not fit the length field.
    #[error("a length of {length} does not fit the length field")]
    LengthOverflow {
        /// The number of bytes that would follow the length field.
        length: usize,
    },
    /// The packet has no tag that says whether it is text or binary.
    #[error("a packet that does not begin with the tag 1 for text or 2 for binary")]
    Untagged,
    /// The packet contains its own delimiter.
    #[error("a packet that holds its delimiter")]
    HoldsDelimiter,
    /// The protocol is text and the packet is not valid UTF-8.
    #[error("a packet that is not valid UTF-8")]
    NotText,
}

/// Why a framing cannot be used at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("framing: {0}")]
pub struct InvalidFraming(pub &'static str);

/// The position of a packet at the front of a buffer: `head` bytes of the packet, `skip` bytes of
/// length field, `body` bytes of the packet, `tail` bytes of delimiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    head: usize,
    skip: usize,
    body: usize,
    tail: usize,
}

impl Span {
    /// Returns the number of bytes of the stream that the packet takes up.
    fn consumed(self) -> usize {
        self.head + self.skip + self.body + self.tail
    }

    /// Returns the packet's own length in bytes.
    fn packet(self) -> usize {
        self.head + self.body
    }
}

/// What the front of a buffer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// A whole packet.
    Packet(Span),
    /// The beginning of a packet.
    Partial,
}

impl Framing {
    /// Looks for a packet at the front of `bytes`. The first `scanned` bytes were searched before
    /// without success.
    fn cut(&self, bytes: &[u8], scanned: usize, max: usize) -> Result<Cut, SplitError> {
        match self {
            Framing::Delimiter(delimiter) => delimiter.cut(bytes, scanned, max),
            Framing::Length(field) => field.cut(bytes, max),
            Framing::Varint(varint) => varint.cut(bytes, max),
        }
    }

    /// Returns how many bytes of `chunk` to append to `partial`, the beginning of a packet, before
    /// the next cut. The number is at least one, and includes no byte of the next packet.
    fn wanted(&self, partial: &[u8], chunk: &[u8]) -> usize {
        let wanted = match self {
            Framing::Delimiter(delimiter) => delimiter.wanted(chunk),
            Framing::Length(field) => field.wanted(partial),
            Framing::Varint(varint) => varint.wanted(partial),
        };
        wanted.clamp(1, chunk.len())
    }

    fn join(&self, packet: &[u8], out: &mut Vec<u8>) -> Result<(), JoinError> {
        match self {
            Framing::Delimiter(delimiter) => delimiter.join(packet, out),
            Framing::Length(field) => field.join(packet, out),
            Framing::Varint(varint) => varint.join(packet, out),
        }
    }
}

/// Returns the length of the packet after its head, once the whole packet is known to be within the
/// maximum.
fn checked_length(head: usize, body: u64, max: usize) -> Result<usize, SplitError> {
    match usize::try_from(body).ok().and_then(|body| body.checked_add(head)) {
        Some(length) if length <= max => Ok(length - head),
        _ => Err(SplitError::TooLong { length: body.saturating_add(head as u64), max }),
    }
}
