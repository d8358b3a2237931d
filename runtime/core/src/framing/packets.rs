//! Packets in one flat buffer, which one call passes to a codec.

use std::ops::Range;

#[cfg(feature = "component-model")]
use wasmtime::component::{ComponentType, Lift, Lower};

/// A batch of packets: packet i is `bytes[ends[i - 1]..ends[i]]`. The buffers are reused, so
/// filling a cleared batch again usually allocates nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "component-model", derive(ComponentType, Lift, Lower))]
#[cfg_attr(feature = "component-model", component(record))]
pub struct Packets {
    /// All packets, one after the other.
    pub bytes: Vec<u8>,
    /// Where each packet ends in the bytes.
    pub ends: Vec<u32>,
}

wireplug_base::reusable!(Packets, Packets::is_empty, |packets, kept| {
    packets.clear();
    packets.shrink_to(kept);
});

impl Packets {
    /// The largest number of packets in one batch. The contract with codecs sets it.
    pub const MAX: usize = 256;

    /// Creates an empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of packets.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns whether the batch is empty.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns the number of bytes of all packets together.
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns whether another packet of this size fits a batch of at most `max_bytes`. The first
    /// packet always fits.
    pub fn has_room_for(&self, bytes: usize, max_bytes: usize) -> bool {
        self.is_empty() || (self.len() < Self::MAX && self.byte_len() + bytes <= max_bytes)
    }

    /// Removes all packets; the buffers stay allocated.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Frees capacity above this number of bytes.
    pub fn shrink_to(&mut self, bytes: usize) {
        self.bytes.shrink_to(bytes);
        self.ends.shrink_to(bytes / size_of::<u32>());
    }

    /// Adds a packet.
    pub fn push(&mut self, packet: &[u8]) {
        self.push_with(|bytes| bytes.extend_from_slice(packet));
    }

    /// Adds the packet that `write` appends to the buffer. `write` must not change the bytes that
    /// are already there.
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        // The splitter, the outbox and the limit on a sandbox's answer keep a batch far below 4
        // GiB.
        self.ends.push(self.bytes.len() as u32);
    }

    /// Returns the packets in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let packet = &self.bytes[start..end as usize];
            start = end as usize;
            packet
        })
    }

    /// Returns the packets with these indexes in order.
    pub fn range(&self, indexes: Range<usize>) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        indexes.map(|index| {
            let start = index.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
            &self.bytes[start..self.ends[index] as usize]
        })
    }

    /// Returns whether the ends are in order and within the buffer. A guest's batch must be checked
    /// before any other use.
    pub fn is_well_formed(&self) -> bool {
        self.ends.is_sorted() && self.ends.last().is_none_or(|&end| end as usize <= self.bytes.len())
    }
}

impl<'a> FromIterator<&'a [u8]> for Packets {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(packets: I) -> Self {
        let mut batch = Packets::new();
        packets.into_iter().for_each(|packet| batch.push(packet));
        batch
    }
}
