//! Answers as a guest could give them, for the fuzz targets. These answers are not checked yet.

use super::events::{EventHead, Events, Kind, Role};
use super::messages::{Encoded, Refusal};
use crate::framing::Packets;

/// A head of an event, as a guest could give it: kind, packet, role, id, status, route end and body
/// end.
pub type RawHead = (u8, u32, u8, u64, u16, u32, u32);

/// Creates events from heads.
pub fn events(bytes: &[u8], heads: &[RawHead]) -> Events {
    let kind = |number: u8| match number % 10 {
        0 => Kind::Hello,
        1 => Kind::Established,
        2 => Kind::Message,
        3 => Kind::Reply,
        4 => Kind::Timer,
        5 => Kind::AddressVerified,
        6 => Kind::Log,
        7 => Kind::Close,
        8 => Kind::Rejected,
        _ => Kind::Fatal,
    };
    let role = |number: u8| match number % 3 {
        0 => Role::Notice,
        1 => Role::Request,
        _ => Role::Response,
    };
    let head = |&(number, packet, of, id, status, route_end, body_end): &RawHead| EventHead {
        kind: kind(number),
        packet,
        role: role(of),
        id,
        status,
        route_end,
        body_end,
    };
    Events { bytes: bytes.to_vec(), heads: heads.iter().map(head).collect() }
}

/// Returns the number of bytes of all routes and bodies of events.
pub fn byte_len(events: &Events) -> usize {
    events.bytes.len()
}

/// Creates packets with these ends and sources, and refusals of these messages.
pub fn encoded(bytes: &[u8], ends: &[u32], sources: &[u32], refused: &[u32]) -> Encoded {
    let refusal = |&message| Refusal { message, reason: String::new() };
    Encoded {
        packets: Packets { bytes: bytes.to_vec(), ends: ends.to_vec() },
        sources: sources.to_vec(),
        refused: refused.iter().map(refusal).collect(),
    }
}

/// Applies the check that the runtime applies before it uses the packets.
pub fn check(encoded: &Encoded, messages: usize) -> bool {
    encoded.check(messages).is_ok()
}
