//! UDP: a session for each peer that has proved that it receives datagrams at its address.
//!
//! All peers share one socket. The server answers a datagram from an address without a session with
//! a challenge, which is no longer than the datagram, and keeps nothing about that address. Only a
//! peer that sends the challenge's cookie back gets a session. So forged addresses can neither fill
//! the server, nor make it send more than was sent to it. `docs/udp.md` specifies the bytes.
//!
//! A datagram holds whole packets, and may be lost, duplicated or reordered. The codec and the
//! application must handle that.

mod cookie;
mod demux;
mod opening;
mod peer;

use std::io;
use std::sync::Arc;

use anyhow::Context as _;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use tokio::sync::mpsc;

use self::cookie::Cookies;
use self::demux::Demux;
use self::peer::Port;
use super::{BoxError, Connector, HostPort, Incoming, ListenOptions, SocketKinds, bind};

/// The largest number of clients that wait to be accepted. Further clients are treated as if their
/// datagram were lost: they ask again.
const BACKLOG: usize = 128;

/// The receive buffer that the kernel is asked for, in bytes, for all peers together. It holds a
/// burst of a thousand datagrams. The kernel grants what the system allows.
const KERNEL_BUFFER: usize = 2 << 20;

/// The largest payload of a UDP datagram over IPv4, in bytes.
const LARGEST: usize = 65_507;

/// The connector for UDP: `udp://HOST:PORT`.
pub struct Udp {
    address: HostPort,
    options: UdpOptions,
    listening: Option<Listening>,
}

/// The `options` of a UDP listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct UdpOptions {
    /// The largest datagram in either direction, in bytes: 24 to 65507. Packets share a datagram up
    /// to this size if the codec frames them. A longer packet cannot be sent, and a longer datagram
    /// is dropped. The default, 1200, passes through every network without fragmentation. A
    /// fragmented datagram is lost if one of its fragments is lost.
    pub max_datagram: usize,
}

impl Default for UdpOptions {
    fn default() -> Self {
        Self { max_datagram: 1200 }
    }
}

/// The error if [`UdpOptions::max_datagram`] is out of its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`max-datagram` is {smallest} to {LARGEST} bytes, and not {0}", smallest = opening::CHALLENGE)]
pub struct MaxDatagramError(usize);

/// The state of a listener. The socket is closed when this state and the last peer are gone.
struct Listening {
    /// Declared before `newcomers`, so it is dropped first: a client in that queue may hold the
    /// last reference to the port.
    _port: Arc<Port>,
    newcomers: mpsc::Receiver<Incoming>,
}

impl Udp {
    /// Creates a connector that will listen at an address. Port 0 selects a free port.
    ///
    /// # Errors
    /// Returns an error if the largest datagram is out of its bounds.
    pub fn new(address: HostPort, options: UdpOptions) -> Result<Self, MaxDatagramError> {
        if !(opening::CHALLENGE..=LARGEST).contains(&options.max_datagram) {
            return Err(MaxDatagramError(options.max_datagram));
        }
        Ok(Self { address, options, listening: None })
    }
}

impl Connector for Udp {
    fn url(&self) -> String {
        format!("udp://{}", self.address)
    }

    fn kinds(&self) -> SocketKinds {
        SocketKinds { stream: false, messages: true }
    }

    fn descriptors(&self) -> u32 {
        0
    }

    fn max_datagram(&self) -> Option<usize> {
        Some(self.options.max_datagram)
    }

    fn check(&self, options: &ListenOptions) -> Result<(), BoxError> {
        if options.idle_timeout.is_zero() {
            return Err(
                "UDP tells nobody that a client has gone, so its sessions need `limits.idle-timeout`".into(),
            );
        }
        if !options.proxies.is_empty() {
            return Err("over UDP there is no PROXY header: `access.proxies` must be empty".into());
        }
        Ok(())
    }

    fn start<'a>(&'a mut self, options: &'a ListenOptions) -> BoxFuture<'a, Result<(), BoxError>> {
        async {
            let socket = bind::udp(&self.address).await?;
            // The kernel may grant less. Then a burst loses more datagrams, but nothing breaks.
            let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(KERNEL_BUFFER);
            self.address = socket.local_addr().context("it does not know its address")?.into();
            let cookies = Cookies::new().context("the system has no random numbers")?;
            let (newcomer, newcomers) = mpsc::channel(BACKLOG);
            let (port, gone) = Port::new(socket);
            let limits = (self.options.max_datagram, options.rate);
            tokio::spawn(Demux::new(&port, gone, newcomer, cookies, limits, self.url()).run());
            self.listening = Some(Listening { _port: port, newcomers });
            Ok(())
        }
        .boxed()
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        async {
            let listening = self.listening.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            listening.newcomers.recv().await.ok_or(io::ErrorKind::NotConnected.into())
        }
        .boxed()
    }

    fn stop(&mut self) {
        self.listening = None;
    }
}
