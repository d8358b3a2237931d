//! The outbound direction: joins packets into bytes or messages.

use super::{JoinError, Layout, Payload};

/// Joins packets for one socket. On a message transport each joined packet is one message.
#[derive(Clone, Debug)]
pub struct Joiner {
    layout: Layout,
    payload: Payload,
    max_packet: usize,
}

impl Joiner {
    /// Creates a joiner of packets of at most `max_packet` bytes, without their framing and their
    /// tag.
    pub fn new(layout: Layout, payload: Payload, max_packet: usize) -> Self {
        Self { layout, payload, max_packet }
    }

    /// Returns whether the codec makes complete packets, of which none may be left out.
    pub fn is_complete(&self) -> bool {
        matches!(self.layout, Layout::Framer { .. })
    }

    /// Sets the largest packet, in bytes, from now on.
    pub fn set_max_packet(&mut self, max_packet: usize) {
        self.max_packet = max_packet;
    }

    /// Appends a packet with its framing and without its tag to `out`. Returns whether the packet
    /// is text.
    ///
    /// # Errors
    /// Returns an error if the packet is too long, is text and not valid UTF-8, lacks its tag, or
    /// cannot be framed. `out` is unchanged in this case.
    pub fn join(&self, packet: &[u8], out: &mut Vec<u8>) -> Result<bool, JoinError> {
        let (is_text, packet) = match (self.payload, packet) {
            (Payload::Binary, packet) => (false, packet),
            (Payload::Text, packet) => (true, packet),
            (Payload::Tagged, [Payload::TEXT_TAG, packet @ ..]) => (true, packet),
            (Payload::Tagged, [Payload::BINARY_TAG, packet @ ..]) => (false, packet),
            (Payload::Tagged, _) => return Err(JoinError::Untagged),
        };
        if packet.len() > self.max_packet {
            return Err(JoinError::TooLong { length: packet.len(), max: self.max_packet });
        }
        if is_text && std::str::from_utf8(packet).is_err() {
            return Err(JoinError::NotText);
        }
        match self.layout.framing() {
            Some(framing) => framing.join(packet, out)?,
            None => out.extend_from_slice(packet),
        }
        Ok(is_text)
    }
}
