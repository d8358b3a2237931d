//! The way out: packets to bytes or messages.

use super::{JoinError, Layout};

/// Joins packets for one socket. On a message transport each joined packet is one message.
#[derive(Clone, Debug)]
pub struct Joiner {
    layout: Layout,
    text: bool,
    max_packet: usize,
}

impl Joiner {
    /// A joiner of packets of at most `max_packet` bytes, framing left out. `text`: packets must be
    /// UTF-8.
    pub fn new(layout: Layout, text: bool, max_packet: usize) -> Self {
        Self { layout, text, max_packet }
    }

    /// Appends a packet, framed, to `out`. On an error `out` is as it was.
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
