//! Descriptions of a framing for people.

use std::fmt;

use super::{Framing, LengthField, MessageFraming, Payload};

impl fmt::Display for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Framing::Delimiter(delimiter) => {
                write!(f, "\"{}\" behind each packet", delimiter.bytes.escape_ascii())
            }
            Framing::Length(field) => field.fmt(f),
            Framing::Varint(varint) => write!(f, "a LEB128 length {}", Place(varint.offset)),
        }
    }
}

impl fmt::Display for LengthField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.width, self.little_endian) {
            (1, _) => f.write_str("a length of 1 byte")?,
            (width, true) => write!(f, "a length of {width} bytes, little-endian,")?,
            (width, false) => write!(f, "a length of {width} bytes, big-endian,")?,
        }
        write!(f, " {}", Place(self.offset))?;
        match self.adjust {
            0 => Ok(()),
            adjust => {
                let sign = if adjust > 0 { "plus" } else { "minus" };
                write!(f, "; {sign} {} it is what follows it", adjust.unsigned_abs())
            }
        }
    }
}

impl fmt::Display for MessageFraming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MessageFraming::One => "one packet, bare",
            MessageFraming::Framed => "whole packets, framed",
            MessageFraming::Continuous => "a piece of the stream",
        })
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Payload::Binary => "binary",
            Payload::Text => "text",
            Payload::Tagged => "tagged",
        })
    }
}

/// The position of a length, after this number of bytes of the packet.
struct Place(usize);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("before each packet"),
            1 => f.write_str("after the first byte of each packet"),
            offset => write!(f, "after the first {offset} bytes of each packet"),
        }
    }
}
