//! What a guest says about itself.

use super::escaped;

/// How packets are framed on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A packet is a line.
    Line,
    /// A packet follows its length, which has four bytes and is big-endian.
    Length,
}

/// What one message or datagram holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the contract describes them")]
#[repr(u8)]
pub enum MessageFraming {
    None,
    One,
    Framed,
    Continuous,
}

/// Whether packets are text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the contract describes them")]
#[repr(u8)]
pub enum Payload {
    Binary,
    Text,
    Tagged,
}

/// A `description`. Its bodies are not JSON, and it does not coalesce.
#[derive(Clone, Copy, Debug)]
pub(super) struct Description {
    pub(super) framing: Framing,
    pub(super) messages: MessageFraming,
    pub(super) payload: Payload,
    pub(super) handshake: bool,
    pub(super) client_requests: u16,
    pub(super) max_packet: Option<u32>,
}

impl Default for Description {
    fn default() -> Self {
        Self {
            framing: Framing::Line,
            messages: MessageFraming::One,
            payload: Payload::Binary,
            handshake: false,
            client_requests: 0,
            max_packet: None,
        }
    }
}

impl Description {
    /// Returns its 48 bytes as a string of WebAssembly text. `name` and `version` are addresses and
    /// lengths, `line_end` is the address of a delimiter of one byte.
    pub(super) fn data(self, name: (usize, usize), version: (usize, usize), line_end: usize) -> String {
        let framing = match self.framing {
            // Some; a delimiter; its address and length.
            Framing::Line => [word(1), word(0), word(line_end), word(1)],
            // Some; a length; offset 0, width 4, big-endian; adjust 0.
            Framing::Length => [word(1), word(1), [0, 4, 0, 0], word(0)],
        };
        let (json, coalesces) = (false, false);
        let texts = [word(name.0), word(name.1), word(version.0), word(version.1)];
        let max_packet = [word(self.max_packet.is_some().into()), self.max_packet.unwrap_or(0).to_le_bytes()];
        let bytes = [
            texts.as_flattened(),
            framing.as_flattened(),
            &[self.messages as u8, self.payload as u8, json.into(), self.handshake.into()],
            &self.client_requests.to_le_bytes(),
            // One byte of padding follows.
            &[coalesces.into(), 0],
            max_packet.as_flattened(),
        ];
        escaped(&bytes.concat())
    }
}

/// Encodes an i32.
fn word(value: usize) -> [u8; 4] {
    u32::try_from(value).expect("small").to_le_bytes()
}
