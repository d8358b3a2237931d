//! The keys of a listener: where it listens, who may connect, and the limits of each client.

use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{OverRate, TlsConfig, WebSocketConfig};
use wireplug_base::units;
use wireplug_connectors::RateLimits;

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
    /// The size of the kernel's buffer for what comes from a client over TCP (`SO_RCVBUF`). Zero:
    /// the kernel begins with 128 KiB, and lets the buffer of a client that sends much grow to the
    /// last number of `net.ipv4.tcp_rmem`, usually 6 MiB. Set it where many strangers connect,
    /// because the kernel takes this memory beside `max-memory`. Linux grants twice the size, and
    /// at most twice `net.core.rmem_max`. A client cannot send more than the buffer in the time of
    /// one round trip.
    #[serde(with = "units::size")]
    #[schemars(with = "units::Size")]
    pub receive_buffer: usize,
    /// The size of the kernel's buffer for what goes to a client over TCP (`SO_SNDBUF`). Zero: the
    /// kernel lets it grow with the speed of the client, up to the last number of
    /// `net.ipv4.tcp_wmem`, usually 4 MiB. What was not sent yet is at most 128 KiB on Linux,
    /// whatever this is. A client cannot get more than the buffer in the time of one round trip.
    #[serde(with = "units::size")]
    #[schemars(with = "units::Size")]
    pub send_buffer: usize,
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
            receive_buffer: 0,
            send_buffer: 0,
        }
    }
}
