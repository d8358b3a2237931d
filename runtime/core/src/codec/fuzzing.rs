//! Answers as a guest could give them, for the fuzz targets. These answers are not checked yet.

use super::events::{EventHead, Events, Kind};
use super::messages::{Encoded, Refusal};
use crate::framing::Packets;

/// Creates events from heads, each with kind, packet, id, route end and body end.
pub fn events(bytes: &[u8], heads: &[(u8, u32, Option<u64>, u32, u32)]) -> Events {
    let kind = |number: u8| match number % 8 {
        0 => Kind::Hello,
        1 => Kind::Established,
        2 => Kind::Message,
        3 => Kind::Reply,
        4 => Kind::Wake,
        5 => Kind::Close,
        6 => Kind::Rejected,
        _ => Kind::Fatal,
    };
    let head = |&(number, packet, id, route_end, body_end)| EventHead {
        kind: kind(number),
        packet,
        id,
        route_end,
        body_end,
    };
    Events { bytes: bytes.to_vec(), heads: heads.iter().map(head).collect() }
}

/// Returns the number of bytes of all routes and bodies of events.
pub fn byte_len(events: &Events) -> usize {
    events.bytes.len()
}

/// Creates packets with these ends, and refusals of these messages.
pub fn encoded(bytes: &[u8], ends: &[u32], refused: &[u32]) -> Encoded {
    let refusal = |&message| Refusal { message, reason: String::new() };
    Encoded {
        packets: Packets { bytes: bytes.to_vec(), ends: ends.to_vec() },
        refused: refused.iter().map(refusal).collect(),
    }
}

/// Applies the check that the runtime applies before it uses the packets.
pub fn check(encoded: &Encoded, messages: usize) -> bool {
    encoded.check(messages).is_ok()
}
