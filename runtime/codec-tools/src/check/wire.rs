//! Checks which packets a client's connection can carry.

use super::case::{DATAGRAMS, MESSAGES, STREAM};
use wireplug_core::codec::{Carrier, Codec, Peer};
use wireplug_core::framing::{JoinError, Joiner, Layout, Payload};

/// The connection of a client, as far as it limits the packets on it.
pub(super) struct Wire {
    /// Joins whole packets. A client can send whatever it joins.
    joiner: Joiner,
    /// Joins bytes that become a part of a packet. They have no tag of their own, and any length.
    part: Joiner,
    payload: Payload,
    /// Whether each message holds whole packets, if the codec cuts packets itself.
    framer: Option<bool>,
}

impl Wire {
    /// Creates the connection of this client. Packets have at most `max_packet` bytes.
    pub(super) fn new(codec: &dyn Codec, peer: &Peer, max_packet: usize) -> Self {
        let description = codec.description();
        // The runtime refuses a carrier without a layout. Vectors may use it all the same, because
        // their sessions are streams by default.
        let others = [Carrier::Bytes, Carrier::Messages];
        let layout = codec.layout(peer.carrier);
        let layout = layout.or_else(|| others.into_iter().find_map(|carrier| codec.layout(carrier)));
        let layout = layout.unwrap_or(Layout::One);
        let framer = match layout {
            Layout::Framer { whole_messages } => Some(whole_messages),
            Layout::Stream(_) | Layout::One | Layout::Framed(_) | Layout::Continuous(_) => None,
        };
        let payload = description.payload_on(peer.carrier);
        // A part may belong to a packet that is text.
        let part = if payload == Payload::Tagged { Payload::Text } else { payload };
        Self {
            joiner: Joiner::new(layout.clone(), payload, max_packet),
            part: Joiner::new(layout, part, usize::MAX),
            payload,
            framer,
        }
    }

    pub(super) fn payload(&self) -> Payload {
        self.payload
    }

    /// Returns whether each message holds whole packets, or `None` if the codec does not cut
    /// packets itself.
    pub(super) fn framer(&self) -> Option<bool> {
        self.framer
    }

    /// Returns whether a packet can be sent, by the client or to it.
    pub(super) fn can_send(&self, packet: &[u8]) -> bool {
        self.joiner.join(packet, &mut Vec::new()).is_ok()
    }

    /// Checks a packet of the codec.
    ///
    /// # Errors
    /// Returns an error if the codec is wrong to make this packet. A packet that is too long is no
    /// such error where the runtime frames packets: it drops this one, and the body of a message
    /// may be as long as a packet. Where the codec makes complete packets, a packet that cannot be
    /// sent ends the connection.
    pub(super) fn check(&self, packet: &[u8]) -> Result<(), JoinError> {
        match self.joiner.join(packet, &mut Vec::new()) {
            Ok(_) => Ok(()),
            Err(JoinError::TooLong { .. } | JoinError::LengthOverflow { .. })
                if !self.joiner.is_complete() =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Returns whether the runtime drops a packet that contains these bytes: they contain the
    /// delimiter, or are no text.
    pub(super) fn is_unfit(&self, part: &[u8]) -> bool {
        if self.joiner.is_complete() {
            return false;
        }
        let joined = self.part.join(part, &mut Vec::new());
        matches!(joined, Err(JoinError::HoldsDelimiter | JoinError::NotText))
    }

    /// Tries to change a packet so that the client can send it.
    pub(super) fn mend(&self, packet: &mut Vec<u8>) {
        // One error can hide another, and there are few kinds of errors.
        for _ in 0..4 {
            match self.joiner.join(packet, &mut Vec::new()) {
                Err(JoinError::Untagged) => {
                    let is_text = std::str::from_utf8(packet).is_ok();
                    packet.insert(0, if is_text { Payload::TEXT_TAG } else { Payload::BINARY_TAG });
                }
                Err(JoinError::NotText) => {
                    *packet = String::from_utf8_lossy(packet).into_owned().into_bytes();
                }
                Err(JoinError::TooLong { max, .. }) => {
                    // The tag does not count.
                    packet.truncate(max + usize::from(self.payload == Payload::Tagged));
                }
                Err(JoinError::TooShort { offset, .. }) => packet.resize(offset, 0),
                Err(JoinError::HoldsDelimiter) => {
                    // An empty packet with its framing is the delimiter alone.
                    let mut delimiter = Vec::new();
                    let _ = self.joiner.join(b"", &mut delimiter);
                    packet.retain(|byte| !delimiter.contains(byte));
                }
                Ok(_) | Err(_) => return,
            }
        }
    }
}

/// Returns the transports of the clients that the runtime accepts for a codec, the simplest first.
pub(super) fn transports(codec: &dyn Codec) -> Vec<&'static str> {
    [(STREAM, Carrier::Bytes), (MESSAGES, Carrier::Messages), (DATAGRAMS, Carrier::Datagrams)]
        .into_iter()
        .filter(|(_, carrier)| codec.layout(*carrier).is_some())
        .map(|(transport, _)| transport)
        .collect()
}
