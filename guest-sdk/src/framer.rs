//! Streams that the codec cuts itself, in the flat form of the contract.

use crate::flat::Kind;
use crate::{Cut, Events, Fault, Framer, Instant, trap};

/// The largest number of packets in one call.
const MAX_PACKETS: usize = 256;

/// What becomes of the bytes behind the last packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, u8)]
pub enum Next {
    /// Call again when the rest has at least this many bytes.
    Need(u32),
    /// Call again at once, if the session goes on.
    Full,
    /// The rest is TLS.
    StartTls,
}

/// Cuts and decodes the packets at the front of a stream. Adds where each packet ends, and the
/// events of the packets and about the rest. Returns what becomes of the rest.
///
/// Ends with 256 packets, with the first packet that says hello, closes or is fatal, with TLS, or
/// with a rest that is no whole packet.
pub fn decode_stream<S: Framer>(
    session: &mut S,
    bytes: &[u8],
    now: Instant,
    ends: &mut Vec<u32>,
    events: &mut Events,
) -> Next {
    events.flat_mut().reserve_for_stream(bytes.len());
    let mut start = 0;
    let next = loop {
        let rest = &bytes[start..];
        trap::at(start);
        let cut = session.cut(rest);
        // A packet before this one may have asked for TLS, so `cut` is called even at the limit.
        if ends.len() == MAX_PACKETS && cut != Ok(Cut::StartTls) {
            break Next::Full;
        }
        let fault = match cut {
            Ok(Cut::Packet(length)) if length > 0 && length <= rest.len() => {
                start += length;
                ends.push(start as u32);
                if events.decode_packet(session, &rest[..length], now) {
                    break Next::Full;
                }
                continue;
            }
            Ok(Cut::Need(total)) if total > rest.len() => {
                break Next::Need(u32::try_from(total).unwrap_or(u32::MAX));
            }
            Ok(Cut::StartTls) if !ends.is_empty() => break Next::StartTls,
            Ok(cut) => Fault::fatal(format!("bug: `cut` returned {cut:?} for {} bytes", rest.len())),
            Err(fault) => fault,
        };
        // Nobody knows where the next packet begins, so every fault is fatal.
        let (Fault::Fatal(reason) | Fault::Rejected(reason)) = fault;
        events.flat_mut().add(Kind::Fatal, "", reason.as_bytes());
        break Next::Full;
    };
    trap::nowhere();
    next
}
