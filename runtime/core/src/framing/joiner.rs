//! The outbound direction: joins packets into bytes or messages.

use super::{JoinError, Layout};

/// Joins packets for one socket. On a message transport each joined packet is one message.
#[derive(Clone, Debug)]
pub struct Joiner {
    layout: Layout,
    text: bool,
    max_packet: usize,
}

impl Joiner {
    /// Creates a joiner of packets of at most `max_packet` bytes, without their framing. If `text`
    /// is true, packets must be valid UTF-8.
    pub fn new(layout: Layout, text: bool, max_packet: usize) -> Self {
        Self { layout, text, max_packet }
    }

    /// Appends a packet with its framing to `out`.
    ///
    /// # Errors
    /// Returns an error if the packet is too long, is not valid UTF-8 although packets are text, or
    /// cannot be framed. `out` is unchanged in this case.
    pub fn join(&self, packet: &[u8], out: &mut Vec<u8>) -> Result<(), JoinError> {
        if packet.len() > self.max_packet {
            return Err(JoinError::TooLong { length: packet.len(), max: self.max_packet });
        }
        if self.text && std::str::from_utf8(packet).is_err() {
            return Err(JoinError::NotText);
        }
        match self.layout.framing() {
            Some(framing) => framing.join(packet, out),
            None => {
                out.extend_from_slice(packet);
                Ok(())
            }
        }
    }
}
