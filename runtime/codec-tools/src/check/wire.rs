//! Checks which packets a client's connection can carry.

use wireplug_core::codec::{Codec, Peer};
use wireplug_core::framing::{JoinError, Joiner, Layout};

/// Returns the joiner for the layout of this client's packets. A client can send whatever it joins.
pub(super) fn joiner(codec: &dyn Codec, peer: &Peer, max_packet: usize) -> Joiner {
    let description = codec.description();
    let (stream, message) = (description.stream_layout(), description.message_layout());
    let layout = match &*peer.transport {
        "ws" | "udp" | "socketio" => message.or(stream),
        _ => stream.or(message),
    };
    Joiner::new(layout.unwrap_or(Layout::One), description.text, max_packet)
}

/// Tries to change a packet so that this framing can carry it.
pub(super) fn mend(packet: &mut Vec<u8>, joiner: &Joiner, delimiter: &[u8]) {
    // One error can hide another, and there are few kinds of errors.
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
