//! The configuration of a server, each value with its default and its reason.

use std::time::Duration;

use crate::codec::wasm::Limits;

/// The configuration of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Connections at a time; the sandboxes of Wasm codecs are reserved for so many. 10,000: what one process
    /// holds with ease.
    pub max_connections: u32,
    /// The limits of a sandbox, the largest packet among them.
    pub limits: Limits,
    /// From accept until the protocol's handshake is over. 10 s: slow networks pass, silent clients do not
    /// stay.
    pub handshake_timeout: Duration,
    /// Messages gather for so long before they are encoded and written together. None: they are written as
    /// soon as no work is left that is ready, which gathers what belongs together and delays nothing.
    pub flush_interval: Option<Duration>,
    /// Requests of one connection whose handlers are at work. 256: a batch. Reading stops above it.
    pub max_in_flight: usize,
    /// Bytes that wait to be encoded or written for one client, above which no more of its requests are read.
    /// 256 KiB.
    pub high_water: usize,
    /// Bytes that wait unencoded for one client, above which pushes to it are refused. 1 MiB.
    pub max_outbox: usize,
    /// How long requests in flight and the last bytes may take when a connection ends. 5 s.
    pub drain_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            limits: Limits::default(),
            handshake_timeout: Duration::from_secs(10),
            flush_interval: None,
            max_in_flight: 256,
            high_water: 256 << 10,
            max_outbox: 1 << 20,
            drain_timeout: Duration::from_secs(5),
        }
    }
}
