//! An instance that has no session, and encodes pushes for many.

use super::input;
use super::sandbox::Sandbox;
use wireplug_core::codec::{CodecError, MessageRef, Reason};
use wireplug_core::framing::Packets;

/// An instance that encodes pushes for many sessions.
pub struct Broadcaster {
    pub(super) sandbox: Sandbox,
    pub(super) max_packet: usize,
}

impl Broadcaster {
    /// Returns the packets of a push for all sessions of a class.
    pub fn encode(&mut self, class: u32, message: MessageRef<'_>) -> Result<Packets, CodecError> {
        if message.body.len() > self.max_packet {
            // No packet can hold this body, and an answer of that size would be a fault.
            return Err(CodecError::Refused(Reason::new("the body is larger than the largest packet")));
        }
        let input = |_| input::message(message);
        let encoded =
            self.sandbox.call_with(input, |guest, store| guest.encode_shared(store, class, message))?;
        let packets = encoded.map_err(|reason| self.sandbox.refused(&reason))?;
        Ok(packets.iter().map(Vec::as_slice).collect())
    }
}
