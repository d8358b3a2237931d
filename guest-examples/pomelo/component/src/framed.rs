//! Packets with their length: the codec cuts the stream itself, and writes whole packages. The
//! runtime's own framing is faster; this one shows by how much.

use wireplug_guest::cut::LengthField;
use wireplug_guest::{Cut, Events, Fault, Framer, Framing};
use wireplug_pomelo::package;
use wireplug_pomelo::{Session, Sink};

use super::Client;

pub(crate) const FRAMING: Option<Framing> = None;

/// The number of bytes of a package's length.
const WIDTH: usize = 3;

/// The length of the longest package in bytes.
pub(crate) const MAX_PACKET: usize = WIDTH + package::MAX_PACKET;

/// `type: u8 | length: u24 | body`
const LENGTH: LengthField = LengthField { offset: 1, width: WIDTH, little_endian: false, adjust: 0 };

impl Framer for Client {
    fn cut(&self, bytes: &[u8]) -> Result<Cut, Fault> {
        LENGTH.cut(bytes, MAX_PACKET)
    }
}

/// Decodes a package.
pub(crate) fn decode(
    session: &mut Session,
    package: &[u8],
    session_ms: u64,
    sink: &mut impl Sink,
) -> Result<(), Fault> {
    let (kind, body, _) = package::split(package).expect("`cut` has found its end");
    session.decode_package(kind, body, session_ms, sink).map_err(super::fault)
}

/// Appends the package whose type and body `write` appends. If it appends nothing, the length
/// stays, and the caller drops it.
pub(crate) fn write<R>(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    let start = out.len();
    out.extend_from_slice(&[0; WIDTH]);
    let written = write(out);
    // Room for the length is before the type, where the type belongs.
    if let Some(&kind) = out.get(start + WIDTH) {
        let length = out.len() - start - WIDTH - 1;
        out[start..=start + WIDTH].copy_from_slice(&(length as u32).to_be_bytes());
        out[start] = kind;
    }
    written
}

/// Adds a reply of this packet, which has no length yet.
pub(crate) fn reply(packet: Vec<u8>, events: &mut Events) {
    events.reply_with(|reply| write(reply.buffer(), |out| out.extend_from_slice(&packet)));
}
