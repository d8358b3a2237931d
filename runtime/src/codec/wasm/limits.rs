//! What a call may hand back, and what is the same for every sandbox.

use crate::codec::batch_bytes;
use crate::framing::Packets;

/// Elements of a table. Rust and C codecs need some hundred; SpiderMonkey 7,688.
pub(super) const TABLE_ELEMENTS: usize = 10_000;

/// Core instances of a sandbox, wherever it lives. Python needs 107.
pub(super) const CORE_INSTANCES: usize = 256;

/// Memories of a sandbox, wherever it lives. QuickJS needs 3.
pub(super) const MEMORIES: usize = 16;

/// Tables of a sandbox, wherever it lives: no more than its core instances.
pub(super) const TABLES: usize = CORE_INSTANCES;

/// Handles alive in an instance. A codec has one: its session.
pub(super) const HANDLES: usize = 64;

/// Room for a route and a reason of the longest kind for each packet of a batch.
const ROUTES: usize = Packets::MAX * 256;

/// Heads of events that an answer may hold: sixteen a packet.
const HEADS: usize = 16 * Packets::MAX;

/// Room for what short bodies are spelled out to, for each packet of a batch: protobuf has a tag where JSON has a
/// name.
const NAMES: usize = Packets::MAX * 4096;

/// What a call may hand back, in bytes of host memory.
///
/// Three times a batch, since escaping every character of a JSON text makes it up to three times as long; and
/// names and routes, which a schema or a dictionary may have shortened to a number; and heads.
pub(super) fn answer_bytes(max_packet: usize) -> usize {
    let head = size_of::<crate::codec::events::EventHead>();
    3 * batch_bytes(max_packet) + NAMES + ROUTES + HEADS * head
}
