//! The outer layer: `type: u8 | length: u24, big-endian | body`.
//!
//! A session sees packages without the length, which the framing takes out and puts back; a client works on
//! the raw wire, so the length is read and written here for it.

/// The longest body that three bytes of length can tell.
pub const MAX_BODY: usize = (1 << 24) - 1;

/// The bytes in front of a body on the raw wire.
const HEAD: usize = 4;

/// What a package is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The client's first word, and the server's answer.
    Handshake = 1,
    /// The client has read that answer.
    HandshakeAck = 2,
    /// Either side is alive.
    Heartbeat = 3,
    /// A message.
    Data = 4,
    /// The server throws the client out.
    Kick = 5,
}

impl Kind {
    /// What a package's first byte says; none for a byte that the protocol does not know.
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

/// Appends a package with its length. `body` appends the body.
///
/// # Errors
///
/// The length of a body that is too long; it is taken back.
pub fn write(kind: Kind, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) -> Result<(), usize> {
    let start = out.len();
    out.extend_from_slice(&[kind as u8, 0, 0, 0]);
    body(out);
    let length = out.len() - start - HEAD;
    if length > MAX_BODY {
        out.truncate(start);
        return Err(length);
    }
    // The top byte of the four is zero, as checked above: the type takes its place.
    out[start..start + HEAD].copy_from_slice(&(length as u32).to_be_bytes());
    out[start] = kind as u8;
    Ok(())
}

/// The first package of `bytes`, as its type byte and its body, and what follows it; none until it is whole.
#[must_use]
pub fn split(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[kind, high, middle, low], rest) = bytes.split_first_chunk::<HEAD>()?;
    let length = u32::from_be_bytes([0, high, middle, low]) as usize;
    let (body, rest) = rest.split_at_checked(length)?;
    Some((kind, body, rest))
}
