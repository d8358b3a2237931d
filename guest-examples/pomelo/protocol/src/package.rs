//! The outer layer: `type: u8 | length: u24, big-endian | body`.
//!
//! A session reads and writes packages without the length: the runtime's framing removes the length
//! field and inserts it. A client works on the raw bytes of the wire, so this module reads and
//! writes the length for it.

/// The length of the longest body in bytes: the length field has 3 bytes.
pub const MAX_BODY: usize = (1 << 24) - 1;

/// The length of the longest packet in bytes. A packet is the type and the body of a package.
pub const MAX_PACKET: usize = 1 + MAX_BODY;

/// The number of bytes before the body on the wire: the type and the length.
const HEAD: usize = 4;

/// The type of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The client introduces itself, or the server answers.
    Handshake = 1,
    /// The client acknowledges the server's answer.
    HandshakeAck = 2,
    /// The sender is alive.
    Heartbeat = 3,
    /// A message.
    Data = 4,
    /// The server's last package before it closes the connection.
    Kick = 5,
}

impl Kind {
    /// Returns the type for the first byte of a package, or `None` if the protocol does not define
    /// the byte.
    #[must_use]
    pub fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Handshake,
            2 => Self::HandshakeAck,
            3 => Self::Heartbeat,
            4 => Self::Data,
            5 => Self::Kick,
            _ => return None,
        })
    }
}

/// Appends a package with its length to `out`. `body` appends the body.
///
/// # Errors
///
/// Returns the length of the body in bytes if it exceeds [`MAX_BODY`]. `out` is then unchanged.
pub fn write(kind: Kind, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) -> Result<(), usize> {
    let start = out.len();
    out.extend_from_slice(&[kind as u8, 0, 0, 0]);
    body(out);
    let length = out.len() - start - HEAD;
    if length > MAX_BODY {
        out.truncate(start);
        return Err(length);
    }
    // The length fits 3 bytes, so the first of its 4 bytes is free for the type.
    out[start..start + HEAD].copy_from_slice(&(length as u32).to_be_bytes());
    out[start] = kind as u8;
    Ok(())
}

/// Splits the first package off `bytes`. Returns its type byte, its body, and the bytes behind it,
/// or `None` if the package is not complete yet.
#[must_use]
pub fn split(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[kind, high, middle, low], rest) = bytes.split_first_chunk::<HEAD>()?;
    let length = u32::from_be_bytes([0, high, middle, low]) as usize;
    let (body, rest) = rest.split_at_checked(length)?;
    Some((kind, body, rest))
}
