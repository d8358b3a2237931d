//! The configuration: typed values, each with its unit, its default and its reason.
//!
//! The same types define the configuration file (TOML, with keys in kebab case), its JSON Schema,
//! its reference page (`docs/configuration.md`), and what programs that embed wireplug set in code.
//! A time of zero turns a deadline off. A rate of zero means no limit. If zero makes no sense for a
//! key, the schema refuses zero.
//!
//! With the feature `config-file`, [`Config::load`] reads a file and reports all errors in it at
//! once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(all(test, feature = "config-file"))]
mod broken;
mod changes;
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
mod validate;

pub use changes::{Change, Effect};
pub(crate) use changes::{Difference, matched};
pub use control::{BadControlAddress, ControlAddress, ControlConfig, ControlRole, LocalUser};
pub use faults::FaultLimits;
pub use key::Key;
pub use nats::{NatsConfig, ServiceConfig};
pub use problems::{Problem, Problems};
use wireplug_base::units;
use wireplug_connectors::RateLimits;
pub use wireplug_connectors::config::{ClientCertificates, OverRate, TlsConfig, WebSocketConfig};
pub use wireplug_core::codec::CodecLimits;
pub use wireplug_wasm::config::{CompileConfig, ComponentBounds};

/// A configuration file.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// A built-in application of the command `wireplug`, for a first try. Without this key
    /// `wireplug serve` needs services behind NATS. It refuses a file that has neither, because
    /// every request would be answered with 404. A program that embeds wireplug has its own
    /// application, and refuses this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "BuiltinApp")]
    pub app: Option<BuiltinApp>,
    /// What is logged, and how.
    #[serde(default)]
    pub log: LogConfig,
    /// Settings for all listeners together.
    #[serde(default)]
    pub server: ServerConfig,
    /// How components are compiled.
    #[serde(default)]
    pub compile: CompileConfig,
    /// The control API. Without this table there is no control API, and the only way to swap a
    /// codec from outside is to replace its file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ControlConfig")]
    pub control: Option<ControlConfig>,
    /// A port for health checks. Without this table, only the control API and the listeners with
    /// `websocket.health` answer them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HealthConfig")]
    pub health: Option<HealthConfig>,
    /// NATS, if the application consists of services behind NATS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "NatsConfig")]
    pub nats: Option<NatsConfig>,
    /// The services behind NATS. Each is a table `[services.NAME]`. The requests on its routes,
    /// `NAME.…`, go to this service.
    #[serde(default)]
    pub services: BTreeMap<String, ServiceConfig>,
    /// The protocols. Each is a table `[codecs.NAME]`, and listeners refer to it by this name.
    #[serde(default)]
    pub codecs: BTreeMap<String, CodecConfig>,
    /// Where clients connect, each a table `[[listeners]]`.
    #[schemars(length(min = 1))]
    pub listeners: Vec<ListenerConfig>,
}

/// A built-in application of the command `wireplug`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BuiltinApp {
    /// An echo, the time, and a chat. In the chat, everybody who connects may use any name.
    Demo,
}

/// What is logged, and how.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LogConfig {
    /// The least severe level that is logged. At `info`, a connection that the client closes causes
    /// no line. The environment variable `RUST_LOG` overrides this key, so that one run can log
    /// more without a change to the file. An empty value of `RUST_LOG` has no effect. An invalid
    /// value is reported, and this level applies.
    pub level: LogLevel,
    /// Text for people, or JSON for programs: one object per line, on standard error and on
    /// standard output. `docs/logging.md` lists what is written where.
    pub format: LogFormat,
}

/// A port for health checks: `GET /livez` is answered with 200, and `GET /readyz` with 503 while
/// the server starts or ends, or has lost NATS. It answers from the beginning of the start to the
/// end of the process, without authentication.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HealthConfig {
    /// Where it listens, as `IP:PORT`.
    #[schemars(with = "units::IpPort")]
    pub listen: std::net::SocketAddr,
}

/// How severe a line must be to be logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    /// Something is broken.
    Error,
    /// Something needs attention: a codec failed, a handler failed.
    Warn,
    /// Connections that ended for any other reason than that the client closed them.
    #[default]
    Info,
    /// Each connection, and each packet that was dropped.
    Debug,
    /// Everything.
    Trace,
}

/// The format of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Settings for all listeners together.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ServerConfig {
    /// The largest number of connections at a time. The server closes further connections at once.
    /// Each connection takes one file descriptor, or three over Socket.IO. The server keeps 128
    /// file descriptors for everything else. If the remaining ones are too few, the server accepts
    /// fewer connections, and a warning at the start says how many. Each connection of a codec that
    /// does not export `handoff` also takes one of the sandboxes of `max-awake`.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections: u32,
    /// The largest number of sessions at a time that are awake, each with a sandbox of the standard
    /// pool. At this number, a session that opens or wakes gets the sandbox of the session that was
    /// idle for longest, which sleeps from then on. Sessions of codecs that do not export `handoff`
    /// do not sleep. The server reserves the address space of this number of sandboxes, 4 GiB for
    /// each. Above about 15,000, the system's `vm.max_map_count` must be raised. By default, this
    /// is `max-connections`, but at most 10,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32", range(min = 1, max = 1_000_000))]
    pub max_awake: Option<u32>,
    /// The memory that the process may use. Above it, the server accepts no client, and closes the
    /// connections of those for whom most data waits, if that is 64 KiB or more. By default, nine
    /// tenths of the limit of the control group, if there is one: the kernel kills a process above
    /// that limit. The kernel's buffers for sockets also count towards the control group, and not
    /// towards this key. 0B: no limit.
    #[serde(with = "units::optional_size", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "units::Size")]
    pub max_memory: Option<usize>,
    /// The time for requests in flight and for the last bytes, when a connection ends or the server
    /// stops. What takes longer is cut off. Service managers usually wait about 10 s before they
    /// kill a process. Zero: no time.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Duration")]
    pub drain_timeout: Duration,
    /// New connections per second, of all listeners together. One second's worth may come at once.
    /// Above it, clients wait in the kernel's queue. So a crowd that comes back after a failure
    /// does not take all CPU time for handshakes from those who are connected. 0: no limit.
    #[schemars(range(max = 1_000_000))]
    pub accept_rate: u32,
    /// The time over which the server closes its sessions when it stops, so that their clients do
    /// not all come back at the same moment. `drain-timeout` follows it: whoever stops the server
    /// must wait for both. Zero: it closes all sessions at once.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Duration")]
    pub drain_spread: Duration,
    /// The largest number of sandboxes in the large pool, of all codecs together. Codecs that are
    /// interpreters use the large pool, because their dozens of core instances do not fit into the
    /// standard pool. Half of the places are reserved, with an equal part for each codec that uses
    /// the pool. The other half is for any of these codecs, first come, first served. Each place
    /// reserves 16 GiB of address space, and its sandbox takes up to `limits.memory`.
    /// `wireplug codec inspect` shows which pool a codec uses.
    #[schemars(range(min = 1, max = 4_096))]
    pub large_sandboxes: u32,
    /// The number of sessions that a user may have at a time, after the application has bound
    /// sessions to users.
    pub sessions_per_user: SessionsPerUser,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_awake: None,
            max_memory: None,
            drain_timeout: Duration::from_secs(5),
            accept_rate: 0,
            drain_spread: Duration::ZERO,
            large_sandboxes: 256,
            sessions_per_user: SessionsPerUser::default(),
        }
    }
}

impl ServerConfig {
    /// The default of [`max_awake`](Self::max_awake) for servers with many connections.
    const MAX_AWAKE: u32 = 10_000;

    /// Returns the largest number of sessions at a time that are awake, at most the number of
    /// connections.
    pub fn awake_limit(&self) -> u32 {
        self.max_awake.unwrap_or(Self::MAX_AWAKE).min(self.max_connections)
    }
}

/// The number of sessions that a user may have at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SessionsPerUser {
    /// Any number, for example on several devices.
    #[default]
    Many,
    /// One: the session that was bound to the user last, on any node. The earlier sessions of the
    /// user end, and their clients get the reason.
    One,
}

/// A protocol: the component that implements it, its options, and the limits of its sandboxes.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CodecConfig {
    /// The file of the component, relative to the configuration file. A codec has either this key
    /// or `builtin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PathBuf")]
    pub file: Option<PathBuf>,
    /// A built-in codec. A codec has either this key or `file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Builtin")]
    pub builtin: Option<Builtin>,
    /// The options of the codec. The codec defines their keys. The start reports options that the
    /// codec refuses. Anywhere in the options, `{ file = "PATH" }` and `{ env = "NAME" }` stand for
    /// a secret.
    #[serde(default)]
    pub options: serde_json::Map<String, serde_json::Value>,
    /// The SHA-256 of the only component that is accepted, as 64 hexadecimal digits. A swap to
    /// another component is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "units::Sha256")]
    pub sha256: Option<String>,
    /// Whether the component may import `wasi:*`. No implementation stands behind such an import.
    /// An import that is never called does no harm; libraries often have such imports. A call is a
    /// fault of the codec, and ends its connection.
    #[serde(default)]
    pub allow_unused_wasi: bool,
    /// How another version replaces this one.
    #[serde(default)]
    pub swap: SwapConfig,
    /// The number of faults that the codec may have.
    #[serde(default)]
    pub faults: FaultLimits,
    /// The limits of the sandboxes of the codec.
    #[serde(default)]
    pub limits: CodecLimits,
}

/// How another version replaces a codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SwapConfig {
    /// Whether a change of `file` causes a swap. The server checks the file twice a second, and
    /// loads it when it no longer changes.
    pub watch: bool,
    /// What happens to live sessions. By default, the server hands the sessions over if both
    /// versions export `handoff` and use the same framing. Otherwise the sessions drain.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "LiveSessions")]
    pub sessions: Option<LiveSessions>,
    /// The time that sessions may stay on a version that was replaced. Then the server closes them.
    /// Zero: no limit.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Duration")]
    pub drain_timeout: Duration,
}

impl Default for SwapConfig {
    fn default() -> Self {
        Self { watch: true, sessions: None, drain_timeout: Duration::from_secs(600) }
    }
}

/// What happens to live sessions when their codec is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LiveSessions {
    /// The sessions continue on the new version, and their clients notice nothing. Sessions that
    /// cannot be handed over drain. The server refuses this value if a version does not export
    /// `handoff`, or has another framing.
    Handoff,
    /// The sessions stay on the old version until they end, or until `drain-timeout`.
    Drain,
    /// The server closes the sessions, with the farewell of the codec.
    Close,
}

/// A built-in codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Builtin {
    /// NetEase Pomelo's protocol.
    Pomelo,
    /// The messages of Pomelo's clients over Socket.IO.
    Sio,
}

/// A listener: where clients connect, which protocol they use, and which limits they have.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ListenerConfig {
    /// Where it listens: `SCHEME://ADDRESS`, such as `tcp://127.0.0.1:3010`. The scheme names a
    /// connector: those that are built in stand in the table of `docs/configuration.md`.
    #[schemars(with = "units::ListenUrl")]
    pub url: String,
    /// The options of the connector. The connector defines their keys, and the table of connectors
    /// in `docs/configuration.md` lists them. The start reports options that the connector refuses.
    #[serde(default)]
    pub options: serde_json::Map<String, serde_json::Value>,
    /// The name of a codec of this configuration. It may be left out only if the connector has its
    /// own codec. Of the built-in connectors, only Socket.IO has one: `sio`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub codec: Option<String>,
    /// TLS, for URLs that require it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TlsConfig")]
    pub tls: Option<TlsConfig>,
    /// How WebSocket connections open, for URLs with WebSocket.
    #[serde(default)]
    pub websocket: WebSocketConfig,
    /// Who may connect.
    #[serde(default)]
    pub access: AccessConfig,
    /// The limits that apply to each client.
    #[serde(default)]
    pub limits: ClientLimits,
}

/// Who may connect. All keys concern IP addresses. Over a transport without IP addresses, such as
/// `unix`, the listener accepts everybody that the transport accepts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AccessConfig {
    /// Only clients from these networks may connect, in CIDR notation. Empty: clients from
    /// anywhere.
    #[schemars(with = "Vec<units::Network>")]
    pub allow: Vec<IpNet>,
    /// Clients from these networks may not connect, even if `allow` contains their network.
    #[schemars(with = "Vec<units::Network>")]
    pub deny: Vec<IpNet>,
    /// Load balancers that report the client's address by the PROXY protocol, version 1 or 2. A
    /// connection from these networks must begin with a PROXY header. The server accepts this
    /// header from no other address, so that no client can claim a false address.
    #[schemars(with = "Vec<units::Network>")]
    pub proxies: Vec<IpNet>,
    /// The largest number of connections at a time from one address. 0: no limit, because many
    /// people share an address behind a NAT.
    #[schemars(range(max = 1_000_000))]
    pub max_per_address: u32,
    /// The length of the prefix that counts as one address in `max-per-address`, for clients over
    /// IPv6. Providers give a customer a network of 64 bits or more, in which every address is the
    /// customer's.
    #[schemars(range(min = 1, max = 128))]
    pub ipv6_prefix: u8,
}

impl Default for AccessConfig {
    fn default() -> Self {
        Self { allow: Vec::new(), deny: Vec::new(), proxies: Vec::new(), max_per_address: 0, ipv6_prefix: 64 }
    }
}

/// The limits that apply to each client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ClientLimits {
    /// Time that a client has to send its first byte after connecting. This frees connections that
    /// never send anything.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Duration")]
    pub first_byte_timeout: Duration,
    /// Time from accept until the handshake of the protocol is complete. The default is enough for
    /// slow networks, and ends the connections of silent clients. Over UDP with `address-check =
    /// "limit"`, also the time until the codec has verified the client's address.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Duration")]
    pub handshake_timeout: Duration,
    /// Time from the first byte of a packet until its last byte. A client that sends a packet byte
    /// by byte only holds memory.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Duration")]
    pub packet_timeout: Duration,
    /// Time without a byte in either direction; over UDP, without a byte from the client. For
    /// protocols without heartbeats it is the only sign that a peer is dead. Zero: over TCP, the
    /// kernel asks a client that was silent for 15 minutes whether it is still there; other
    /// transports keep the connection.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Duration")]
    pub idle_timeout: Duration,
    /// Time in which the server has something to write and the client takes none of it. Such a
    /// client only holds memory. Over TCP, sent data may be unacknowledged for three times as long
    /// (`TCP_USER_TIMEOUT`). So the server notices that the machine or the network of a client is
    /// gone. Set a longer time for clients on mobile networks, which come back after a tunnel.
    /// Zero: the kernel tries for a quarter of an hour.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Duration")]
    pub write_timeout: Duration,
    /// Packets from the client per second. A client may send one second's worth at once. Up to four
    /// batches of 256 packets may exceed this; the client pays for them afterwards. 0: no limit,
    /// because what is honest differs between protocols. Over WebSocket, each frame counts as a
    /// packet, including pings, pongs and fragments, and so does each further packet in a message.
    /// Over UDP, each datagram counts.
    #[schemars(range(max = 1_000_000))]
    pub packets_per_second: u32,
    /// Bytes from the client per second. A client may send one second's worth and 16 KiB at once,
    /// so at least one packet of the largest size with the overhead of its transport. 0B: no limit.
    /// The server counts all bytes as it reads them, including framing, requests for WebSocket, and
    /// TLS.
    #[serde(with = "units::size")]
    #[schemars(with = "units::Size")]
    pub bytes_per_second: usize,
    /// What happens to a client that exceeds its rate. Reading the client more slowly harms no
    /// honest client.
    pub over_rate: OverRate,
    /// The largest number of unanswered requests of one connection. It includes the requests whose
    /// handlers run, and the requests behind them that wait for their turn. Above it, the server
    /// reads no further requests. One batch of packets is 256.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_in_flight: usize,
    /// The largest number of requests to the client that wait for a response. A request above it
    /// fails at once. 64 is far more than a device works on at a time.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_client_requests: usize,
    /// How long the application waits for the response to a request to the client, unless the call
    /// says otherwise. 10 s is longer than a good network and a device need.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::PositiveDuration")]
    pub client_request_timeout: Duration,
    /// The largest amount of data that waits to be encoded or written for a client. Above it, the
    /// server reads no further requests of the client. So a client that sends requests and does not
    /// read the responses cannot fill the memory. It must hold at least one packet of the largest
    /// size.
    #[serde(with = "units::size")]
    #[schemars(with = "units::PositiveSize")]
    pub high_water: usize,
    /// The largest amount of data that waits unencoded for a client. Above it, pushes overflow;
    /// responses never do. 1 MiB is some seconds of a slow network. It must hold at least one
    /// packet of the largest size.
    #[serde(with = "units::size")]
    #[schemars(with = "units::PositiveSize")]
    pub max_outbox: usize,
    /// What happens when a push does not fit into the outbox. Dropping the newest push keeps what
    /// was accepted first.
    pub overflow: Overflow,
    /// Time for which messages are collected before they are encoded and written together. They are
    /// written earlier when `high-water` is reached. Zero: they are written as soon as no work is
    /// ready. This collects messages that belong together, and delays nothing.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Duration")]
    pub flush_interval: Duration,
}

/// What happens when a push does not fit into the outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Overflow {
    /// The push is dropped.
    #[default]
    DropNewest,
    /// The oldest waiting pushes are dropped until the push fits.
    DropOldest,
    /// The connection ends, because a client that misses a push would be out of step.
    Close,
}

impl From<&ClientLimits> for RateLimits {
    fn from(limits: &ClientLimits) -> Self {
        let ClientLimits { packets_per_second, bytes_per_second, over_rate, .. } = *limits;
        Self { packets_per_second, bytes_per_second, over_rate }
    }
}

impl ClientLimits {
    /// Returns the longest time of a handshake: [`Duration::MAX`] if there is no limit.
    pub(crate) fn handshake_limit(&self) -> Duration {
        if self.handshake_timeout.is_zero() { Duration::MAX } else { self.handshake_timeout }
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
            max_client_requests: 64,
            client_request_timeout: Duration::from_secs(10),
            high_water: 256 << 10,
            max_outbox: 1 << 20,
            overflow: Overflow::default(),
            flush_interval: Duration::ZERO,
        }
    }
}
