//! What a call may hand back, what is the same for every sandbox, and what the two pools have room
//! for.

use wireplug_core::codec::batch_bytes;
use wireplug_core::framing::Packets;

/// What a sandbox of a pool may have.
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

/// The standard pool. A component from a compiler is one module, and two that link it to the
/// destructor of its session; one more is room for the next linker. What needs dozens of core
/// instances is an interpreter.
pub(super) const STANDARD: PoolLimits = PoolLimits {
    core_instances: 4,
    memories: 1,
    memories_per_module: 1,
    tables: 2,
    core_instance_bytes: 512 << 10,
    instance_bytes: 1 << 20,
};

/// The large pool, for interpreters. Python needs 38 core instances; QuickJS 11 and 3 memories.
/// Each memory reserves 4 GiB of address space.
pub(super) const LARGE: PoolLimits = PoolLimits {
    core_instances: 256,
    memories: 4,
    memories_per_module: 1,
    tables: 16,
    core_instance_bytes: 1 << 20,
    instance_bytes: 4 << 20,
};

/// Elements of a table. Rust and C codecs need some hundred; Python 5,670, SpiderMonkey 7,688.
pub(super) const TABLE_ELEMENTS: usize = 10_000;

/// Handles alive in an instance. A codec has one: its session.
pub(super) const HANDLES: usize = 64;

/// Room for a route and a reason of the longest kind for each packet of a batch.
const ROUTES: usize = Packets::MAX * 256;

/// Heads of events that an answer may hold: sixteen a packet.
const HEADS: usize = 16 * Packets::MAX;

/// Room for what short bodies are spelled out to, for each packet of a batch: protobuf has a tag
/// where JSON has a name.
const NAMES: usize = Packets::MAX * 4096;

/// What a call may hand back, in bytes of host memory.
///
/// Three times a batch, since escaping every character of a JSON text makes it up to three times as
/// long; and names and routes, which a schema or a dictionary may have shortened to a number; and
/// heads.
pub(super) fn answer_bytes(max_packet: usize) -> usize {
    let head = size_of::<wireplug_core::codec::EventHead>();
    3 * batch_bytes(max_packet) + NAMES + ROUTES + HEADS * head
}
