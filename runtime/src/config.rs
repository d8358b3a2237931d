//! The configuration: typed, each value with its unit, default and reason.
//!
//! The same types are the configuration file (TOML, keys in kebab case), its JSON Schema, its reference page
//! (`docs/configuration.md`), and what embedders set in code. A time of zero turns a deadline off; a rate of
//! zero is no limit. Where zero makes no sense, the schema refuses it.
//!
//! With the feature `config-file`, [`Config::load`] reads a file and reports everything that is wrong with it
//! at once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod bounds;
#[cfg(all(test, feature = "config-file"))]
mod broken;
mod changes;
mod compile;
mod contradictions;
mod control;
mod faults;
#[cfg(feature = "config-file")]
mod file;
mod key;
mod nats;
mod problems;
#[cfg(all(test, feature = "config-file"))]
mod reference;
#[cfg(feature = "config-file")]
mod repair;
#[cfg(feature = "config-file")]
mod schema;
#[cfg(feature = "config-file")]
mod source;

pub use bounds::ComponentBounds;
pub use compile::CompileConfig;
pub use control::{BadControlAddress, ControlAddress, ControlConfig, ControlRole, LocalUser};
pub use faults::FaultLimits;
pub use key::Key;
pub use nats::{NatsConfig, ServiceConfig};
pub use problems::{Problem, Problems};
use wireplug_base::units;
use wireplug_connectors::RateLimits;
pub use wireplug_connectors::config::{ClientCertificates, OverRate, TlsConfig, WebSocketConfig};

/// A configuration file.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// An application that the command `wireplug` carries, for a first try. Without it `wireplug serve` needs services
    /// behind NATS, and refuses a file that has neither: every request would be answered with 404. A program that
    /// embeds wireplug has an application of its own, and refuses this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "BuiltinApp")]
    pub app: Option<BuiltinApp>,
    /// What is logged, and how.
    #[serde(default)]
    pub log: LogConfig,
    /// What concerns all listeners together.
    #[serde(default)]
    pub server: ServerConfig,
    /// How components are compiled.
    #[serde(default)]
    pub compile: CompileConfig,
    /// The control API. Unless it is there, nobody can swap codecs from outside but by their files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ControlConfig")]
    pub control: Option<ControlConfig>,
    /// NATS, where the application is services behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "NatsConfig")]
    pub nats: Option<NatsConfig>,
    /// The services behind NATS, each a table `[services.NAME]`: the requests on its routes, `NAME.…`, go there.
    #[serde(default)]
    pub services: BTreeMap<String, ServiceConfig>,
    /// The protocols, each a table `[codecs.NAME]` by whose name listeners refer to it.
    #[serde(default)]
    pub codecs: BTreeMap<String, CodecConfig>,
    /// Where clients connect, each a table `[[listeners]]`.
    #[schemars(length(min = 1))]
    pub listeners: Vec<ListenerConfig>,
}

/// An application that the command `wireplug` carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BuiltinApp {
    /// An echo, the time, and a chat in which everybody who connects may speak under any name.
    Demo,
}

/// What is logged, and how.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LogConfig {
    /// The least severe level that is logged. At `info` a connection that ends in the ordinary way says
    /// nothing. The environment variable `RUST_LOG` wins over it, so that one run can tell more without a
    /// change to the file. An empty value is as none; one that is wrong is reported, and this level holds.
    pub level: LogLevel,
    /// Text for people, JSON for machines: one object a line, on standard error and on standard output.
    /// `docs/logging.md` has what is written where.
    pub format: LogFormat,
}

/// How severe a line must be to be logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    /// Something is broken.
    Error,
    /// Something needs a look: a codec failed, a handler failed.
    Warn,
    /// Connections that did not end in the ordinary way.
    #[default]
    Info,
    /// Each connection, and each packet that was dropped.
    Debug,
    /// Everything.
    Trace,
}

/// How a log line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

/// What concerns all listeners together.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ServerConfig {
    /// Connections at a time; those above it are closed at once. Sandboxes are reserved for so many. 10,000
    /// is what one process holds with ease; past some 15,000 the system's vm.max_map_count must be raised.
    /// Each connection takes a file descriptor, over Socket.IO three. Where there are fewer, less the 128 that
    /// are kept for everything else, so many connections are let in, and a warning at the start says so.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections: u32,
    /// How long requests in flight and the last bytes may take when a connection ends or the server stops.
    /// What takes longer is cut off; service managers wait some 10 s before they kill. Zero: at once.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Duration")]
    pub drain_timeout: Duration,
    /// Sandboxes at a time in the large pool, of all codecs together. Interpreters live there:
    /// their dozens of core instances do not fit the standard pool. Half of the places are
    /// reserved, an equal part for each codec that lives there; the other half is first come, first
    /// served. Each place reserves 16 GiB of address space, and a sandbox takes up to
    /// `limits.memory`. `wireplug codec inspect` tells where a codec lives.
    #[schemars(range(min = 1, max = 4_096))]
    pub large_sandboxes: u32,
    /// How many sessions a user may have at a time, once the application has bound sessions to users.
    pub sessions_per_user: SessionsPerUser,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            drain_timeout: Duration::from_secs(5),
            large_sandboxes: 256,
            sessions_per_user: SessionsPerUser::default(),
        }
    }
}

/// How many sessions a user may have at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SessionsPerUser {
    /// As many as he likes, on several devices for one.
    #[default]
    Many,
    /// One: the session that is bound to him last, on any node. Those that he has had end, and their clients are told.
    One,
}

/// A protocol: the component that speaks it, its options, and the limits of its sandboxes.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CodecConfig {
    /// The component, a path relative to the configuration file. A codec has either this or `builtin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PathBuf")]
    pub file: Option<PathBuf>,
    /// A codec that is built in. A codec has either this or `file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Builtin")]
    pub builtin: Option<Builtin>,
    /// The codec's options; their keys are the codec's own. Those that it refuses are told at the start.
    /// Anywhere within them `{ file = "PATH" }` and `{ env = "NAME" }` stand for a secret.
    #[serde(default)]
    pub options: serde_json::Map<String, serde_json::Value>,
    /// The only component that is let in, by the 64 hexadecimal digits of its SHA-256: a swap to another is
    /// refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "units::Sha256")]
    pub sha256: Option<String>,
    /// Whether it may import `wasi:*`. There is nothing behind such an import: one that is never called, as libraries have
    /// them, does no harm; a call is a fault of the codec and ends its connection.
    #[serde(default)]
    pub allow_unused_wasi: bool,
    /// How another version takes its place.
    #[serde(default)]
    pub swap: SwapConfig,
    /// How many faults it may have.
    #[serde(default)]
    pub faults: FaultLimits,
    /// The limits of its sandboxes.
    #[serde(default)]
    pub limits: CodecLimits,
}

/// How another version of a codec takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SwapConfig {
    /// Whether a change of `file` is a swap. It is looked at twice a second, and taken when it has settled.
    pub watch: bool,
    /// What becomes of live sessions. Unless it is set they are handed over where both versions export
    /// `handoff` and frame alike, and drain where not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "LiveSessions")]
    pub sessions: Option<LiveSessions>,
    /// How long sessions may stay on a version that was replaced; then they are closed. Zero: until they end.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Duration")]
    pub drain_timeout: Duration,
}

impl Default for SwapConfig {
    fn default() -> Self {
        Self { watch: true, sessions: None, drain_timeout: Duration::from_secs(600) }
    }
}

/// What becomes of live sessions when their codec is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LiveSessions {
    /// They go on with the new version, and their clients notice nothing. Those that cannot be carried over
    /// drain. Refused where a version does not export `handoff`, or frames in another way.
    Handoff,
    /// They stay on the old version until they end, or until `drain-timeout`.
    Drain,
    /// They are closed, with the codec's farewell.
    Close,
}

/// A codec that is built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Builtin {
    /// NetEase Pomelo's protocol.
    Pomelo,
    /// The messages of Pomelo's clients over Socket.IO.
    Sio,
}

/// The limits of a codec's sandboxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CodecLimits {
    /// The largest packet, framing left out; a longer one ends its connection. Where a packet's head tells
    /// its length, it is found before anything is allocated. A WebSocket message is held to the same size,
    /// however many packets it holds. 64 KiB is far above what a game or a chat sends at once.
    #[serde(with = "units::size")]
    #[schemars(with = "units::PositiveSize")]
    pub max_packet: usize,
    /// Memory of one sandbox: its linear memory, its tables, and what the host keeps for its
    /// instances. 16 MiB is room for an interpreter's heap; it also bounds how long one
    /// `memory.copy` runs, which nothing can interrupt. A batch and its answer take about 8 times
    /// the largest packet. A session that has used up three quarters of what its sandbox could grow
    /// goes on in a new one, where the codec exports `handoff`; one that needs more than all of it
    /// ends.
    #[serde(with = "units::size")]
    #[schemars(with = "units::PositiveSize")]
    pub memory: usize,
    /// Memory of this codec: all its sandboxes, as the guests see it, so that what they never
    /// touched counts too; and twice its compiled code, once for each version that is loaded. Near
    /// it, new connections are refused, so that those at work can go on. 4 GiB holds 10,000
    /// sandboxes of a small codec.
    #[serde(with = "units::size")]
    #[schemars(with = "units::PositiveSize")]
    pub total_memory: usize,
    /// CPU time of a call. 10 ms is a thousand times what an honest batch takes, and delays a hostile
    /// client's neighbours by no more than a frame.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::PositiveDuration")]
    pub call_cpu: Duration,
    /// Wall time of a call, in milliseconds at which its thread was there to see the clock. A busy host may
    /// deschedule a thread for long, but not for ever.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::PositiveDuration")]
    pub call_wall: Duration,
    /// CPU time to instantiate, configure and open, which happens once a connection. Interpreters build their
    /// world there.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::PositiveDuration")]
    pub open_cpu: Duration,
    /// Slow calls of one connection in a second: those that took 2 ms of CPU or more. Above it the connection
    /// ends, so that a client cannot make every packet cost all that a call may. An honest codec has none.
    #[schemars(range(min = 1, max = 1000))]
    pub slow_calls: u32,
    /// CPU time of one session over time, in percent of one processor, with a second's worth at once. A session over
    /// it is neither read nor called until it is within it again. 25 is far above what an honest session takes, and
    /// leaves a processor to others beside three that are hostile. 0: no limit.
    #[schemars(range(max = 100))]
    pub session_cpu: u32,
    /// CPU time of all sandboxes of this codec over time, in percent of all processors: also what it takes to open
    /// sessions and to encode for many. Over it, the codec's sessions and new connections wait for turns, one after
    /// the other, so that the rest of the machine is left to other codecs. 0: no limit, for a server with one codec
    /// that is trusted.
    #[schemars(range(max = 100))]
    pub total_cpu: u32,
    /// A session that has been over `session-cpu` for so long without a break ends. To be slowed for half a minute is
    /// no peak any more. Zero: it is slowed and never ended.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Duration")]
    pub over_cpu_timeout: Duration,
    /// The least interval of the codec's timer; a shorter one becomes this. Each timer costs a call, and a codec that
    /// asks for one at once, again and again, would never rest. Heartbeats and retransmissions need no finer one.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Duration")]
    pub min_timer: Duration,
    /// Receivers of one class from which on a push to many is encoded once for all of them, in a new instance. With
    /// fewer, each session encodes for itself, which costs less: an instance takes some 25 µs from a snapshot, an
    /// encoding 1 µs. Codecs that cannot be made from a snapshot take 16 times as many.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub min_broadcast: u32,
    /// Classes of one push that are encoded once for all their receivers, the first that are met. Most protocols have
    /// one or two; the sessions of further classes encode for themselves. 0: all do.
    #[schemars(range(max = 256))]
    pub broadcast_classes: u32,
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
            min_broadcast: 32,
            broadcast_classes: 16,
        }
    }
}

/// A listener: where clients connect, which protocol they speak, and the limits they are held to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ListenerConfig {
    /// Where it listens: `SCHEME://ADDRESS`, such as `tcp://127.0.0.1:3010`. The scheme names a connector: those
    /// that are built in stand in the table of `docs/configuration.md`.
    #[schemars(with = "units::ListenUrl")]
    pub url: String,
    /// The connector's options; their keys are the connector's own. Those that it refuses are told at the start.
    /// UDP has `max-datagram`, in bytes; the others have none.
    #[serde(default)]
    pub options: serde_json::Map<String, serde_json::Value>,
    /// The name of a codec of this configuration. Only a connector with a codec of its own needs none: of those that
    /// are built in, Socket.IO, whose own is `sio`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub codec: Option<String>,
    /// TLS, for URLs that ask for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TlsConfig")]
    pub tls: Option<TlsConfig>,
    /// How WebSocket connections open, for URLs that speak it.
    #[serde(default)]
    pub websocket: WebSocketConfig,
    /// Who may connect.
    #[serde(default)]
    pub access: AccessConfig,
    /// The limits that clients are held to.
    #[serde(default)]
    pub limits: ClientLimits,
}

/// Who may connect. All of it is about IP addresses: over a transport that has none, such as `unix`, everybody is
/// let in whom the transport lets in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AccessConfig {
    /// Only clients from these networks, in CIDR notation. Empty: from anywhere.
    #[schemars(with = "Vec<units::Network>")]
    pub allow: Vec<IpNet>,
    /// No clients from these networks, even where `allow` has them.
    #[schemars(with = "Vec<units::Network>")]
    pub deny: Vec<IpNet>,
    /// Load balancers that tell the client's address by the PROXY protocol, version 1 or 2. A connection from
    /// these networks must begin with its header; from anywhere else none is taken, so nobody can claim an
    /// address.
    #[schemars(with = "Vec<units::Network>")]
    pub proxies: Vec<IpNet>,
    /// Connections at a time from one address; 0: no limit, since many people share an address behind a NAT.
    #[schemars(range(max = 1_000_000))]
    pub max_per_address: u32,
}

/// The limits that clients are held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ClientLimits {
    /// From accept until the first byte. A client has something to say, or none to occupy.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Duration")]
    pub first_byte_timeout: Duration,
    /// From accept until the protocol's handshake is over. Slow networks pass, silent clients do not stay.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Duration")]
    pub handshake_timeout: Duration,
    /// From a packet's first byte until its last. Who drips a packet byte by byte holds memory for nothing.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Duration")]
    pub packet_timeout: Duration,
    /// Without a byte in either direction; over UDP, from the client. For protocols without heartbeats it is the
    /// only sign that a peer is dead. Zero: over TCP the kernel asks a client that was silent for 15 minutes
    /// whether it is there, and other transports keep it.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Duration")]
    pub idle_timeout: Duration,
    /// While something is to be written and the client takes none of it: such a client only holds memory. Over
    /// TCP, what was sent may be unacknowledged for three times as long (`TCP_USER_TIMEOUT`), so that a client
    /// whose machine or network is gone is noticed. Longer for clients on mobile networks, which come back after
    /// a tunnel. Zero: the kernel tries for a quarter of an hour.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Duration")]
    pub write_timeout: Duration,
    /// Packets a second, with a second's worth at once, and up to four batches of 256 beyond it, which are
    /// paid for afterwards; 0: no limit, since what is honest differs from
    /// protocol to protocol. Over WebSocket each frame counts as a packet, pings, pongs and fragments too, and so does
    /// each further packet of a message; over UDP each datagram does.
    #[schemars(range(max = 1_000_000))]
    pub packets_per_second: u32,
    /// Bytes from the client a second, with a second's worth and 16 KiB at once, so at least one packet of the largest
    /// kind with what its transport adds; 0B: no limit. They are counted as they are read, whatever they carry: framing,
    /// requests for WebSocket and TLS too.
    #[serde(with = "units::size")]
    #[schemars(with = "units::Size")]
    pub bytes_per_second: usize,
    /// What happens to a client over its rate. To read it more slowly harms no honest one.
    pub over_rate: OverRate,
    /// Requests of one connection that are not answered: those whose handlers are at work, and those behind them that
    /// wait for their turn. Above it no more are read. One batch of packets is 256.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_in_flight: usize,
    /// What waits to be encoded or written for a client. Above it no more of its requests are read, so that
    /// one who asks and does not listen cannot fill the memory. Holds at least one packet of the largest
    /// kind.
    #[serde(with = "units::size")]
    #[schemars(with = "units::PositiveSize")]
    pub high_water: usize,
    /// What waits unencoded for a client. Above it pushes overflow; responses never do. 1 MiB is some seconds
    /// of a slow network. Holds at least one packet of the largest kind.
    #[serde(with = "units::size")]
    #[schemars(with = "units::PositiveSize")]
    pub max_outbox: usize,
    /// What happens when a push does not fit. To drop the newest keeps what was promised first.
    pub overflow: Overflow,
    /// Messages gather for so long, or until `high-water` is reached, before they are encoded and written
    /// together. Zero: they are written as soon as no work is left that is ready, which gathers what belongs
    /// together and delays nothing.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Duration")]
    pub flush_interval: Duration,
}

/// What happens when a push does not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Overflow {
    /// It is dropped.
    #[default]
    DropNewest,
    /// The oldest pushes that wait are dropped until it fits.
    DropOldest,
    /// The connection ends: a client that misses a push would be out of step.
    Close,
}

impl From<&ClientLimits> for RateLimits {
    fn from(limits: &ClientLimits) -> Self {
        let ClientLimits { packets_per_second, bytes_per_second, over_rate, .. } = *limits;
        Self { packets_per_second, bytes_per_second, over_rate }
    }
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            first_byte_timeout: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(10),
            packet_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(300),
            write_timeout: Duration::from_secs(10),
            packets_per_second: 0,
            bytes_per_second: 0,
            over_rate: OverRate::default(),
            max_in_flight: 256,
            high_water: 256 << 10,
            max_outbox: 1 << 20,
            overflow: Overflow::default(),
            flush_interval: Duration::ZERO,
        }
    }
}
