//! What a client's wire can carry.

use wireplug_core::codec::{Codec, Peer};
use wireplug_core::framing::{JoinError, Joiner, Layout};

/// What cuts this client's packets, the other way round: what it joins, a client can send.
pub(super) fn joiner(codec: &dyn Codec, peer: &Peer, max_packet: usize) -> Joiner {
    let description = codec.description();
    let (stream, message) = (description.stream_layout(), description.message_layout());
    let layout = match &*peer.transport {
        "ws" | "udp" | "socketio" => message.or(stream),
        _ => stream.or(message),
    };
    Joiner::new(layout.unwrap_or(Layout::One), description.text, max_packet)
}

/// Tries to make it a packet that this framing can carry.
pub(super) fn mend(packet: &mut Vec<u8>, joiner: &Joiner, delimiter: &[u8]) {
    // One mistake can hide another, and there are few kinds.
    for _ in 0..4 {
        match joiner.join(packet, &mut Vec::new()) {
            Err(JoinError::NotText) => *packet = String::from_utf8_lossy(packet).into_owned().into_bytes(),
            Err(JoinError::TooLong { max, .. }) => packet.truncate(max),
            Err(JoinError::TooShort { offset, .. }) => packet.resize(offset, 0),
            Err(JoinError::HoldsDelimiter) => {
                let holds = |byte: &u8| delimiter.contains(byte);
                packet.retain(|byte| !holds(byte));
            }
            Ok(()) | Err(_) => return,
        }
    }
}
