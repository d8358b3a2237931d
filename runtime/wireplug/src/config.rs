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
mod listener;
mod nats;
mod problems;
#[cfg(all(test, feature = "config-file"))]
mod reference;
mod registry;
#[cfg(feature = "config-file")]
mod repair;
mod roles;
#[cfg(feature = "config-file")]
mod schema;
mod services;
#[cfg(feature = "config-file")]
mod source;
mod trust;
mod validate;

pub use changes::{Change, Effect};
pub(crate) use changes::{Difference, matched};
pub use control::{BadControlAddress, ControlAddress, ControlCertificate, ControlConfig, LocalUser};
pub use faults::FaultLimits;
pub use key::Key;
pub use listener::{AccessConfig, ClientLimits, ListenerConfig, Overflow};
pub use nats::NatsConfig;
pub use problems::{Problem, Problems};
pub use registry::RegistryConfig;
pub use roles::{BadControlRoles, ControlRole, ControlRoles};
pub use services::{HttpConfig, ServiceConfig, ServiceEvent, ServiceUrls};
pub use trust::{TrustConfig, TrustedKeyConfig};
use wireplug_base::units;
pub use wireplug_connectors::config::{ClientCertificates, OverRate, TlsConfig, WebSocketConfig};
pub use wireplug_core::codec::CodecLimits;
pub use wireplug_wasm::config::{CompileConfig, ComponentBounds};

/// A configuration file.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// A built-in application of the command `wireplug`, for a first try. Without this key
    /// `wireplug serve` needs services. It refuses a file that has neither, because
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
    /// Whose codecs are loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TrustConfig")]
    pub trust: Option<TrustConfig>,
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
    /// NATS, if services are behind NATS, or several nodes serve as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "NatsConfig")]
    pub nats: Option<NatsConfig>,
    /// The services that answer requests. Each is a table `[services.NAME]`. The requests on its
    /// routes, `NAME.…`, go to this service: over HTTP if it has a `url`, and otherwise over NATS.
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
    /// Which lines the access log has. They have the target `wireplug::access`.
    /// `docs/observability.md` lists their fields.
    pub access: LoggedAccess,
}

/// What has a line in the access log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LoggedAccess {
    /// Connections that did not end by their client. The other ones have a line at level `debug`.
    #[default]
    Abnormal,
    /// All connections, when they end.
    Connections,
    /// All connections, and all requests when they are answered.
    Requests,
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
    /// does not take all CPU time for handshakes from those who are connected. 0: no limit. Over
    /// Socket.IO, the requests of open sessions on new TCP connections wait too.
    #[schemars(range(max = 1_000_000))]
    pub accept_rate: u32,
    /// The time over which the server closes its sessions when it stops, so that their clients do
    /// not all come back at the same moment. `drain-timeout` follows it: whoever stops the server
    /// must wait for both. Zero: it closes all sessions at once.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Duration")]
    pub drain_spread: Duration,
    /// After an upgrade (`wireplug upgrade`), how long the old process serves the sessions that
    /// could not move to the new one. Then it closes them, over the time of `drain-spread`.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Duration")]
    pub upgrade_timeout: Duration,
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
            upgrade_timeout: Duration::from_secs(600),
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
    /// The file of the component, relative to the configuration file. Or where the component is in
    /// a registry of containers: `oci://REGISTRY/REPOSITORY:TAG`, or for one version
    /// `oci://REGISTRY/REPOSITORY@sha256:…`. Or where it is in an object store of the NATS of
    /// `[nats]`: `nats://BUCKET/NAME`. `docs/registries.md` describes both. A codec has either this
    /// key or `builtin`.
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
    /// How the component is fetched from a registry.
    #[serde(default)]
    pub registry: RegistryConfig,
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
    /// Whether a change of `file` causes a swap. The server checks a file twice a second, and loads
    /// it when it no longer changes. It asks a registry as often as `registry.poll` says, and
    /// watches an object store.
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
