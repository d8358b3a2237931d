//! The server. It combines connectors, codecs, framing and sessions into the path of a packet.
//!
//! [`preparing`] prepares one connection: admission, socket, codec, framing and session.
//! [`connection`] moves its packets.
//!
//! | file | its job |
//! |---|---|
//! | `builder`, `listener`, `from_config` | a server before it starts, set up by a program or a configuration |
//! | `inherited` | listening sockets that another process has bound |
//! | `check` | finds the errors that a start would report |
//! | `taking_over` | what a start does differently in an upgrade |
//! | `start`, `slots`, `descriptors` | starts a server: its codecs, its listeners, its file descriptors |
//! | `error` | why a server did not start |
//! | `running`, `nodes` | a running server |
//! | `handing` | what an upgrade needs of a running server |
//! | `draining` | closes all sessions of a server that goes on running |
//! | `listeners`, `live`, `reload` | its listeners, their settings, and how a reload changes them |
//! | `cluster` | the interface through which the server reaches other servers, and services behind NATS |
//! | `services`, `service_headers` | the services that answer requests, and what a request tells them |
//! | `service_events` | the events of sessions for the services that ask for them |
//! | `service_hello` | a service's answer to a hello, and what follows from it |
//! | `client_commands`, `command_counts` | the commands of services for clients, as they are sent and counted |
//! | `access_log` | the lines of connections that ended, and of requests |
//! | `turning_away` | answers clients that cannot connect |
//! | `accepting`, `admission` | accepts clients, and decides which of them may connect |
//! | `serving`, `preparing` | serve one client, from the moment at which it was accepted |
//! | `peer` | what a codec sees of a client |
//! | `connection` | the task that owns one connection |
//! | `arriving` | goes on with the sessions of another process |
//! | `metrics` | the metrics of a running server, as text |
//! | `memory` | the budget of the process's memory |
//! | `budget`, `clock`, `deadlines`, `rate` | the times and limits of one connection |
//! | `protocol_mismatch`, `close_code` | find out why a connection ended, and report it to the client |

mod accepting;
mod access_log;
mod admission;
pub(crate) mod arriving;
mod awake;
mod budget;
mod builder;
mod check;
#[cfg(any(feature = "control", feature = "nats"))]
pub(crate) mod client_commands;
mod clock;
mod close_code;
pub(crate) mod cluster;
#[cfg(feature = "control")]
pub(crate) mod command_counts;
mod connection;
mod deadlines;
mod descriptors;
mod draining;
mod error;
mod from_config;
mod handing;
mod inherited;
#[cfg(feature = "control")]
mod inspect;
mod listener;
mod listeners;
mod live;
mod memory;
#[cfg(feature = "metrics")]
mod metrics;
mod nodes;
mod peer;
mod preparing;
mod protocol_mismatch;
mod rate;
mod reload;
mod running;
pub(crate) mod service_events;
pub(crate) mod service_headers;
pub(crate) mod service_hello;
pub(crate) mod services;
mod serving;
pub(crate) mod slots;
mod start;
mod taking_over;
mod turning_away;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::Semaphore;

use self::access_log::AccessLog;
use self::admission::{Admission, ConnectionLimit};
use self::awake::AwakeLimit;
pub use self::awake::AwakeStatus;
pub use self::builder::Server;
pub use self::check::CheckedCodec;
pub(crate) use self::deadlines::SavedDeadlines;
pub use self::draining::DrainReport;
pub use self::error::StartError;
pub(crate) use self::handing::HandedListener;
pub use self::inherited::{InheritedSocket, InheritedSockets};
#[cfg(feature = "control")]
pub(crate) use self::inspect::{AddressFilter, SessionFilter};
#[cfg(feature = "control")]
pub use self::inspect::{SessionDetails, SessionLimits, SessionPage, SessionStatus, SessionSummary};
pub use self::listener::Listener;
use self::live::Live;
use self::memory::MemoryBudget;
#[cfg(feature = "metrics")]
pub use self::metrics::MetricsFormat;
#[cfg(feature = "control")]
pub(crate) use self::metrics::ServerStats;
pub use self::nodes::{NatsStatus, NodeStatus, Nodes};
pub use self::reload::{ConfigFile, ReloadError, ReloadReport};
pub(crate) use self::running::Running;
pub use self::running::RunningServer;
use crate::app::{Carried, Routes};
use crate::config::{AccessConfig, ClientLimits, ServerConfig};
#[cfg(feature = "control")]
use crate::events::Events;
use crate::session::{Origin, Sessions};
use crate::session_trace::SessionTraces;
pub use crate::slot::CodecSource;
use crate::slot::Slot;
use crate::stats::{Counters, ListenerCounters};
use crate::traces::Traces;
pub use wireplug_connectors::certificates::{CertificateStatus, TokenStatus};
use wireplug_connectors::listening::SpareDescriptor;
use wireplug_connectors::running_time::RunningTime;
use wireplug_connectors::{Connectors, RateLimits, RateMeter};

/// The state that all connections of a server share. Nothing in it is locked on the path of a
/// packet. A connection with a session does not watch the token that stops the server. Its session
/// is closed instead.
struct ServerState {
    routes: Routes,
    connectors: Connectors,
    config: Live<ServerConfig>,
    connections: Arc<ConnectionLimit>,
    /// Counts new connections, as a meter counts packets.
    accept_rate: RateMeter,
    sessions: Sessions,
    counters: Arc<Counters>,
    access_log: AccessLog,
    traces: Traces,
    next_id: AtomicU64,
    /// The connections that were accepted and have no session yet.
    opening: AtomicU64,
    /// The running time, in which clients' deadlines are measured.
    time: RunningTime,
    spare: SpareDescriptor,
    /// Limits the clients that are turned away with an answer.
    refusals: Semaphore,
    /// The places of the sessions that are awake.
    awake: AwakeLimit,
    memory: MemoryBudget,
    #[cfg(feature = "control")]
    events: Events,
    /// The traces of sessions, and the faults.
    session_traces: Arc<SessionTraces>,
    /// What the application keeps beside its sessions.
    carried: Carried,
}

/// The state that the connections of one listener share.
struct ListenerContext {
    slot: Slot,
    admission: Admission,
    settings: Live<ListenerSettings>,
    /// The largest message, in bytes, if messages are datagrams.
    max_datagram: Option<usize>,
    /// What its sessions say about where they come from.
    origin: Arc<Origin>,
    /// How many connections are open.
    connections: AtomicU64,
    /// The counts of its connections.
    counters: Arc<ListenerCounters>,
}

/// The settings of a listener that also apply to connections that are open.
struct ListenerSettings {
    limits: ClientLimits,
    access: AccessConfig,
}

/// Returns the limits of a meter that counts new connections.
fn accept_limits(config: &ServerConfig) -> RateLimits {
    RateLimits { packets_per_second: config.accept_rate, ..RateLimits::default() }
}
