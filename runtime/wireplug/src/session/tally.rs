//! What one session counts between two visits to the server's counters.

/// Counted without an atomic operation a packet, and added up now and then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) packets_in: u64,
    pub(crate) packets_out: u64,
    pub(crate) messages_in: u64,
    pub(crate) messages_out: u64,
    /// Packets from the client that the codec dropped.
    pub(crate) rejected: u64,
    /// Messages and replies that have no packet: the codec refused them, or they cannot be framed.
    pub(crate) refused: u64,
    /// Pushes that were dropped since the outbox was full.
    pub(crate) overflowed: u64,
    /// Messages that the transport lost.
    pub(crate) lost: u64,
    /// Messages that waited when the connection ended.
    pub(crate) unsent: u64,
}
