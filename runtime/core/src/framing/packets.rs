//! Packets in one flat buffer: what crosses the border to a codec in one call.

#[cfg(feature = "component-model")]
use wasmtime::component::{ComponentType, Lift, Lower};

/// A batch of packets: packet i is `bytes[ends[i - 1]..ends[i]]`. Filling and clearing it again and
/// again allocates nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "component-model", derive(ComponentType, Lift, Lower))]
#[cfg_attr(feature = "component-model", component(record))]
pub struct Packets {
    /// All packets, one behind the other.
    pub bytes: Vec<u8>,
    /// Where each packet ends in the bytes.
    pub ends: Vec<u32>,
}

impl Packets {
    /// At most so many packets go into one batch, as the contract with codecs says.
    pub const MAX: usize = 256;

    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many packets there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The bytes of all packets together.
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether another packet of so many bytes fits a batch of at most `max_bytes`. The first
    /// packet always fits.
    pub fn has_room_for(&self, bytes: usize, max_bytes: usize) -> bool {
        self.is_empty() || (self.len() < Self::MAX && self.byte_len() + bytes <= max_bytes)
    }

    /// Takes all packets out; the buffers stay allocated.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Gives back what is allocated beyond so many bytes.
    pub fn shrink_to(&mut self, bytes: usize) {
        self.bytes.shrink_to(bytes);
        self.ends.shrink_to(bytes / size_of::<u32>());
    }

    /// Adds a packet.
    pub fn push(&mut self, packet: &[u8]) {
        self.push_with(|bytes| bytes.extend_from_slice(packet));
    }

    /// Adds the packet that `write` appends to the buffer. It must not touch what is there already.
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        // A batch is bounded far below 4 GiB by the splitter, the outbox and the sandbox's answer
        // limit.
        self.ends.push(self.bytes.len() as u32);
    }

    /// The packets in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let packet = &self.bytes[start..end as usize];
            start = end as usize;
            packet
        })
    }

    /// Whether the ends are in order and within the buffer. To be asked of a batch that a guest
    /// made before any other use.
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
