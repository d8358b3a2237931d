//! The counts of one session that are not yet added to the server's counters.

use wireplug_connectors::Lost;

/// The counts of one session. A packet is counted without an atomic operation, and the counts are
/// added to the server's counters from time to time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) packets_in: u64,
    pub(crate) packets_out: u64,
    pub(crate) messages_in: u64,
    pub(crate) messages_out: u64,
    /// Bytes of a stream that were passed to the codec again, together with those that followed.
    pub(crate) bytes_again: u64,
    /// Packets from the client that the codec dropped.
    pub(crate) rejected: u64,
    /// Messages and replies that have no packet: the codec refused them, or they cannot be framed.
    pub(crate) refused: u64,
    /// Pushes that were dropped because the outbox was full.
    pub(crate) overflowed: u64,
    /// Messages that the transport lost.
    pub(crate) lost: Lost,
    /// Responses from the client that came after the application had given up.
    pub(crate) late: u64,
    /// Responses from the client that answer no request.
    pub(crate) unknown: u64,
    /// Messages that waited when the connection ended.
    pub(crate) unsent: u64,
}
