//! Writes single values. All of them are the same in RESP2 and RESP3, or say which protocol they
//! belong to.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a client understands.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) enum Protocol {
    /// Every connection begins with RESP2.
    #[default]
    Resp2,
    Resp3,
}

impl Protocol {
    /// Returns the number that HELLO has for the protocol.
    pub(crate) fn number(self) -> usize {
        match self {
            Self::Resp2 => 2,
            Self::Resp3 => 3,
        }
    }

    /// Returns the type of a push. In RESP2 a push is an array.
    pub(crate) fn push(self) -> u8 {
        match self {
            Self::Resp2 => b'*',
            Self::Resp3 => b'>',
        }
    }
}

/// Writes a type and a number, which are a whole value or the head of one.
pub(crate) fn head(out: &mut Vec<u8>, kind: u8, number: usize) {
    out.push(kind);
    // Most numbers are lengths of one or two digits.
    if number >= 10 {
        let mut divisor = 10_usize.pow(number.ilog10());
        while divisor > 1 {
            out.push(b'0' + (number / divisor % 10) as u8);
            divisor /= 10;
        }
    }
    out.push(b'0' + (number % 10) as u8);
    out.extend(b"\r\n");
}

/// Writes a bulk string.
pub(crate) fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    head(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend(b"\r\n");
}

/// Writes an error. Its text begins with a code, such as `ERR`. A line break would end the error,
/// so it becomes a space.
pub(crate) fn error(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'-');
    out.extend(text.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }));
    out.extend(b"\r\n");
}

/// Returns what an error shows of an argument.
pub(crate) fn shown(argument: &[u8]) -> impl fmt::Display {
    const MOST: usize = 128;
    argument[..argument.len().min(MOST)].escape_ascii()
}

/// Writes a null.
pub(crate) fn null(out: &mut Vec<u8>, protocol: Protocol) {
    out.extend_from_slice(match protocol {
        Protocol::Resp2 => b"$-1\r\n",
        Protocol::Resp3 => b"_\r\n",
    });
}
