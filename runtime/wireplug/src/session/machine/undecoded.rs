//! The input from the client that is not decoded yet.

use std::sync::Arc;

use wireplug_base::reused::Reused;
use wireplug_core::codec::batch_bytes;
use wireplug_core::framing::{Packets, Split, SplitError, Splitter};

/// Packets that wait to be decoded, and the beginning of the next one.
pub(super) struct Undecoded {
    splitter: Splitter,
    packets: Reused<Arc<Packets>>,
    /// How many of `packets` are decoded already.
    decoded: usize,
    /// Set if the batch was full and yet no input is left: what is left is an empty message, or a
    /// packet whose last bytes the splitter has. The value says whether the message is text.
    left: Option<bool>,
    /// The packets of the next call, if it does not get all of `packets`.
    some: Reused<Arc<Packets>>,
    /// The framing error behind the packets.
    broken: Option<SplitError>,
}

impl Undecoded {
    pub(super) fn new(splitter: Splitter) -> Self {
        let (packets, some) = (Reused::new(), Reused::new());
        Self { splitter, packets, decoded: 0, left: None, some, broken: None }
    }

    /// Sets the largest packet, in bytes, from now on.
    pub(super) fn set_max_packet(&mut self, max_packet: usize) {
        self.splitter.set_max_packet(max_packet, batch_bytes(max_packet));
    }

    /// Whether the beginning of a packet waits for the rest.
    pub(super) fn is_partial(&self) -> bool {
        self.splitter.is_partial()
    }

    /// Returns the beginning of a packet that waits for the rest.
    pub(super) fn partial(&self) -> &[u8] {
        self.splitter.partial()
    }

    /// Continues with the beginning of a packet from another process.
    pub(super) fn resume(&mut self, partial: Vec<u8>) {
        self.splitter.resume(partial);
    }

    /// Whether whole packets wait to be decoded.
    pub(super) fn has_packets(&self) -> bool {
        !self.packets.is_empty() || self.left.is_some()
    }

    /// Whether a part of the input is decoded already, and the rest waits.
    pub(super) fn is_in_the_middle(&self) -> bool {
        self.decoded > 0 || self.left.is_some()
    }

    /// Cuts packets off the front of `input`, which may be a message that is text. Returns false if
    /// they are to be decoded at once: the batch is full, or the rest of the input cannot be cut.
    pub(super) fn cut(&mut self, input: &mut &[u8], is_text: bool) -> bool {
        if self.broken.is_some() {
            // What comes behind a framing error is lost, also while a hello holds back the packets
            // before it.
            *input = &[];
            return false;
        }
        match self.splitter.split(input, is_text, Arc::make_mut(self.packets.get_mut())) {
            Ok(Split::Done) => {
                if self.packets.is_empty() {
                    self.packets.release();
                }
                true
            }
            Ok(Split::Full) => {
                self.left = input.is_empty().then_some(is_text);
                false
            }
            Err(error) => {
                // The whole packets before the error are still valid.
                self.broken = Some(error);
                *input = &[];
                false
            }
        }
    }

    /// Returns the packets of the next call, at most `max`, or `None` if no packet waits.
    pub(super) fn next_batch(&mut self, max: usize) -> Option<&Arc<Packets>> {
        if self.packets.is_empty()
            && let Some(is_text) = self.left.take()
        {
            self.cut(&mut &[][..], is_text);
        }
        let packets = self.packets.get()?;
        if self.decoded == 0 && packets.len() <= max {
            return Some(packets);
        }
        let some = self.some.get_mut();
        let batch = Arc::make_mut(some);
        batch.clear();
        packets.iter().skip(self.decoded).take(max).for_each(|packet| batch.push(packet));
        Some(some)
    }

    /// Forgets the packets of the latest batch, which had `count` packets.
    pub(super) fn forget(&mut self, count: usize) {
        self.decoded += count;
        if self.decoded == self.packets.get().map_or(0, |packets| packets.len()) {
            self.packets.release();
            self.decoded = 0;
        }
        self.some.release();
    }

    /// Takes out the framing error, if there is one. To be called when no packet before it waits
    /// any more.
    pub(super) fn take_broken(&mut self) -> Option<SplitError> {
        self.broken.take()
    }
}
