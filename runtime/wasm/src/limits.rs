//! The size limits of answers, the limits that all sandboxes share, and the limits of the two
//! pools.

use wireplug_core::codec::batch_bytes;
use wireplug_core::framing::Packets;

/// The limits of a sandbox of a pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct PoolLimits {
    pub(super) core_instances: u32,
    pub(super) memories: u32,
    pub(super) memories_per_module: u32,
    pub(super) tables: u32,
    /// The host's memory for one core instance, in bytes.
    pub(super) core_instance_bytes: usize,
    /// The host's memory for all instances of a sandbox, in bytes.
    pub(super) instance_bytes: usize,
}

/// The limits of the standard pool. A component from a compiler is one module, with two more that
/// link it to the destructor of its session. The fourth instance is room for future linkers. A
/// component that needs dozens of core instances is an interpreter.
pub(super) const STANDARD: PoolLimits = PoolLimits {
    core_instances: 4,
    memories: 1,
    memories_per_module: 1,
    tables: 2,
    core_instance_bytes: 512 << 10,
    instance_bytes: 1 << 20,
};

/// The limits of the large pool, for interpreters. Python needs 38 core instances; QuickJS needs
/// 11, and 3 memories. Each memory reserves 4 GiB of address space.
pub(super) const LARGE: PoolLimits = PoolLimits {
    core_instances: 256,
    memories: 4,
    memories_per_module: 1,
    tables: 16,
    core_instance_bytes: 1 << 20,
    instance_bytes: 4 << 20,
};

/// The largest number of elements of a table. Rust and C codecs need a few hundred; Python needs
/// 5,670, SpiderMonkey 7,688.
pub(super) const TABLE_ELEMENTS: usize = 10_000;

/// The largest number of live handles in an instance. A codec has one: its session.
pub(super) const HANDLES: usize = 64;

/// Room for a route and a reason of the largest length for each packet of a batch.
const ROUTES: usize = Packets::MAX * 256;

/// The largest number of event heads in an answer: sixteen for each packet.
const HEADS: usize = 16 * Packets::MAX;

/// Room for each packet of a batch to expand short bodies. For example, protobuf has a tag where
/// JSON has a name.
const NAMES: usize = Packets::MAX * 4096;

/// Returns the largest size of the answer of a call, in bytes of host memory.
///
/// It is three times a batch, because escaping every character of a JSON text makes it up to three
/// times as long. It has room for names and routes, which a schema or a dictionary may have
/// shortened to a number, and for heads.
pub(super) fn answer_bytes(max_packet: usize) -> usize {
    let head = size_of::<wireplug_core::codec::EventHead>();
    3 * batch_bytes(max_packet) + NAMES + ROUTES + HEADS * head
}
