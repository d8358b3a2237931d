//! The limits of a codec.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wireplug_base::units;

/// The limits of the sandboxes of a codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CodecLimits {
    /// The largest packet, without its framing. A longer packet ends its connection. If the head of
    /// a packet tells its length, the server checks the length before it allocates memory. The same
    /// limit applies to a WebSocket message, however many packets it holds. 64 KiB is far more than
    /// a game or a chat sends at once.
    #[serde(with = "units::size")]
    #[schemars(with = "units::PositiveSize")]
    pub max_packet: usize,
    /// The memory of one sandbox: its linear memory, its tables, and what the host keeps for its
    /// instances. 16 MiB is enough for the heap of an interpreter. This limit also bounds the time
    /// of one `memory.copy`, which nothing can interrupt. A batch and its answer take about 8 times
    /// the largest packet. A session moves to a new sandbox when it has used three quarters of the
    /// memory that was free when the session opened, if the codec exports `handoff`. A session that
    /// needs more than all of this memory ends.
    #[serde(with = "units::size")]
    #[schemars(with = "units::PositiveSize")]
    pub memory: usize,
    /// The memory of this codec. It includes all sandboxes as the guests see them, so memory that
    /// was never touched counts too. It also includes twice the size of the compiled code, once for
    /// each loaded version. Near the limit, the server refuses new connections, so that the
    /// existing sessions can continue. 4 GiB holds 10,000 sandboxes of a small codec.
    #[serde(with = "units::size")]
    #[schemars(with = "units::PositiveSize")]
    pub total_memory: usize,
    /// The CPU time of one call. 10 ms is a thousand times what an honest batch takes. It delays
    /// the neighbours of a hostile client by no more than one frame of a game.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::PositiveDuration")]
    pub call_cpu: Duration,
    /// The wall time of one call. Only milliseconds in which the thread of the call ran and could
    /// read the clock count. A busy host may suspend a thread for long, but not forever.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::PositiveDuration")]
    pub call_wall: Duration,
    /// The CPU time to instantiate, configure and open, which happens once per connection.
    /// Interpreters initialize themselves in this time.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::PositiveDuration")]
    pub open_cpu: Duration,
    /// The number of slow calls that one connection may have in a second. A slow call takes 2 ms of
    /// CPU time or more. Above this number the connection ends. So a client cannot make every
    /// packet take as long as a call may take. An honest codec has no slow calls.
    #[schemars(range(min = 1, max = 1000))]
    pub slow_calls: u32,
    /// The CPU time of one session over time, in percent of one processor. A session may use one
    /// second's worth at once. The server neither reads nor calls a session that is over this
    /// limit, until the session is within it again. 25 is far more than an honest session takes.
    /// With 25, three hostile sessions still leave a quarter of a processor to others. 0: no limit.
    #[schemars(range(max = 100))]
    pub session_cpu: u32,
    /// The CPU time of all sandboxes of this codec over time, in percent of all processors. It
    /// includes the time to open sessions and to encode for many receivers. Over this limit, the
    /// sessions of the codec and its new connections wait for turns, one after the other, so that
    /// the rest of the machine is left to other codecs. 0: no limit, for a server with one codec
    /// that is trusted.
    #[schemars(range(max = 100))]
    pub total_cpu: u32,
    /// The time that a session may be over `session-cpu` without a break. Then the session ends,
    /// because half a minute is longer than a peak of load. Zero: the session is slowed down, and
    /// never ended.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Duration")]
    pub over_cpu_timeout: Duration,
    /// The shortest interval of the codec's timer. A shorter interval becomes this one. Each timer
    /// costs a call, and a codec that asks for a timer at once, again and again, would never rest.
    /// Heartbeats and retransmissions need no shorter interval.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Duration")]
    pub min_timer: Duration,
    /// The time without a call of the codec after which a session sleeps: the server saves the
    /// session, drops its sandbox, and restores the session when something happens. The client
    /// notices nothing. Only sessions of codecs that export `handoff` sleep. Waking costs as much
    /// CPU time as opening a session, so a session that is called every few seconds should stay
    /// awake. 10 s is less than the usual interval of heartbeats. Zero: sessions never sleep.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Duration")]
    pub sleep_after: Duration,
    /// The number of receivers of one class from which on a push to many is encoded once for all of
    /// them, in a new instance. With fewer receivers, each session encodes for itself, which costs
    /// less: an instance takes about 25 µs from a snapshot, and an encoding 1 µs. For codecs that
    /// cannot be made from a snapshot, the number is 16 times as large.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub min_broadcast: u32,
    /// The number of classes of one push that are encoded once for all their receivers. The first
    /// classes that are found count. Most protocols have one or two classes. The sessions of
    /// further classes encode for themselves. 0: all sessions encode for themselves.
    #[schemars(range(max = 256))]
    pub broadcast_classes: u32,
    /// The number of last packets that are kept for each session, in both directions, so that a
    /// fault of the codec can be saved as test vectors after it happened
    /// (`wireplug trace --fault`). If the codec exports `handoff`, the server saves the state of
    /// the session each time so many packets have passed, and keeps the packets since the state
    /// before. Otherwise it keeps the first packets of each session, and gives up at this number. A
    /// packet that is kept costs some microseconds. 0: no packets are kept.
    #[schemars(range(max = 10_000))]
    pub keep_packets: u32,
    /// The memory that the last packets of one session may take, with the state before them. It is
    /// charged to `total-memory`. 64 KiB holds 32 packets of a usual size.
    #[serde(with = "units::size")]
    #[schemars(with = "units::PositiveSize")]
    pub keep_bytes: usize,
}

impl Default for CodecLimits {
    fn default() -> Self {
        Self {
            max_packet: 64 << 10,
            memory: 16 << 20,
            total_memory: 4 << 30,
            call_cpu: Duration::from_millis(10),
            call_wall: Duration::from_secs(1),
            open_cpu: Duration::from_millis(250),
            slow_calls: 5,
            session_cpu: 25,
            total_cpu: 50,
            over_cpu_timeout: Duration::from_secs(30),
            min_timer: Duration::from_millis(10),
            sleep_after: Duration::from_secs(10),
            min_broadcast: 32,
            broadcast_classes: 16,
            keep_packets: 0,
            keep_bytes: 64 << 10,
        }
    }
}
