//! Packets without their length: the runtime removes the length field, and inserts it.

use wireplug_guest::{Events, Fault, Framing};
pub(crate) use wireplug_pomelo::package::MAX_PACKET;
use wireplug_pomelo::{Session, Sink};

/// `type: u8 | length: u24 | body`
pub(crate) const FRAMING: Option<Framing> =
    Some(Framing::Length { offset: 1, width: 3, little_endian: false, adjust: 0 });

/// Decodes a packet.
pub(crate) fn decode(
    session: &mut Session,
    packet: &[u8],
    session_ms: u64,
    sink: &mut impl Sink,
) -> Result<(), Fault> {
    session.decode(packet, session_ms, sink).map_err(super::fault)
}

/// Appends the packet that `write` appends.
pub(crate) fn write<R>(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    write(out)
}

/// Adds a reply of this packet.
pub(crate) fn reply(packet: Vec<u8>, events: &mut Events) {
    events.reply_owned(packet);
}
