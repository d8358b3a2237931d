//! What a sandbox may take, each limit with its reason.

use std::time::Duration;

use crate::codec::batch_bytes;
use crate::framing::Packets;

/// The limits of one sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory, in bytes. 16 MiB: room for an interpreter's heap; it also bounds how long one
    /// `memory.copy` runs, which nothing can interrupt.
    pub memory: usize,
    /// CPU time of a call. 10 ms: a thousand times what an honest batch takes, and little enough that a
    /// hostile one delays its neighbours by no more than a frame.
    pub call_cpu: Duration,
    /// Wall time of a call. 1 s: a busy host may deschedule a thread for long, but not for ever.
    pub call_wall: Duration,
    /// CPU time of instantiation, `configure` and `open`. 250 ms: interpreters build their world there.
    pub open_cpu: Duration,
    /// The largest packet, in bytes; what a call may hand back is derived from it.
    pub max_packet: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 16 << 20,
            call_cpu: Duration::from_millis(10),
            call_wall: Duration::from_secs(1),
            open_cpu: Duration::from_millis(250),
            max_packet: 64 << 10,
        }
    }
}

/// Elements of a table. Rust and C codecs need some hundred; SpiderMonkey 7,688.
pub(super) const TABLE_ELEMENTS: usize = 10_000;

/// Handles alive in an instance. A codec has one: its session.
pub(super) const HANDLES: usize = 64;

/// Room for a route and a reason of the longest kind for each packet of a batch.
const ROUTES: usize = Packets::MAX * 256;

/// Heads of events that an answer may hold: sixteen a packet.
const HEADS: usize = 16 * Packets::MAX;

impl Limits {
    /// What a call may hand back, in bytes of host memory.
    ///
    /// Three times a batch, since escaping every character of a JSON text makes it up to three times as long;
    /// and routes, which a dictionary may have shortened to a code; and heads.
    pub(super) fn answer(&self) -> usize {
        let head = size_of::<crate::codec::events::EventHead>();
        3 * batch_bytes(self.max_packet) + ROUTES + HEADS * head
    }
}
