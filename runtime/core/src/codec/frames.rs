//! The packets that a codec cuts from a stream itself, and the check of its answer.

#[cfg(feature = "component-model")]
use wasmtime::component::{ComponentType, Lift};

use super::{Events, Violation};
use crate::framing::{Packets, Payload, SplitError};

/// What a codec cuts and decodes in one call: `frames` in `wit/codec.wit`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "component-model", derive(ComponentType, Lift))]
#[cfg_attr(feature = "component-model", component(record))]
pub struct Frames {
    /// Where each packet ends in the bytes, with its framing.
    pub ends: Vec<u32>,
    /// What the packets mean. Events whose packet is the number of ends are about the rest.
    pub events: Events,
    /// What becomes of the rest, the bytes after the last end.
    pub next: Next,
}

/// What becomes of the bytes after the last packet: `next` in `wit/codec.wit`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "component-model", derive(ComponentType, Lift))]
#[cfg_attr(feature = "component-model", component(variant))]
pub enum Next {
    /// The codec is called again when the rest has at least this many bytes.
    #[cfg_attr(feature = "component-model", component(name = "need"))]
    Need(u32),
    /// The codec is called again at once, if there is a rest.
    #[default]
    #[cfg_attr(feature = "component-model", component(name = "full"))]
    Full,
    /// The rest and everything after it is TLS.
    #[cfg_attr(feature = "component-model", component(name = "start-tls"))]
    StartTls,
}

impl Frames {
    /// Removes everything; the buffers stay allocated.
    pub fn clear(&mut self) {
        self.ends.clear();
        self.events.clear();
        self.next = Next::Full;
    }

    /// Returns how many bytes the packets take up.
    pub fn consumed(&self) -> usize {
        self.ends.last().map_or(0, |&end| end as usize)
    }

    /// Checks whether the ends can be the answer to a call with this number of bytes. An answer
    /// must be checked before any other use.
    ///
    /// # Errors
    /// Returns an error if an end is out of order or out of range, or there are too many.
    pub fn check(&self, bytes: usize) -> Result<(), Violation> {
        let rises = self.ends.first().is_none_or(|&end| end > 0) && self.ends.is_sorted_by(|a, b| a < b);
        if !rises || self.ends.len() > Packets::MAX || self.consumed() > bytes {
            return Err(Violation::Ends);
        }
        Ok(())
    }

    /// Returns the index and the error of the first packet that a client may not send.
    pub(super) fn first_bad(
        &self,
        bytes: &[u8],
        payload: Payload,
        max_packet: usize,
    ) -> Option<(usize, SplitError)> {
        let mut start = 0;
        self.ends.iter().enumerate().find_map(|(index, &end)| {
            let packet = &bytes[start..end as usize];
            start = end as usize;
            if packet.len() > max_packet {
                let length = packet.len() as u64;
                return Some((index, SplitError::TooLong { length, max: max_packet }));
            }
            let is_bad = payload == Payload::Text && std::str::from_utf8(packet).is_err();
            is_bad.then_some((index, SplitError::NotText))
        })
    }
}
