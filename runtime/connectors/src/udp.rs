//! UDP: a session for each peer that has shown that its address is its own.
//!
//! All peers share one socket. Who sends from an address that has no session is answered by a
//! challenge, no longer than what came, and nothing is kept of it; only who sends the challenge's
//! cookie back gets a session. So forged addresses neither fill the server nor have it send more
//! than was sent to it. `docs/udp.md` has the bytes.
//!
//! A datagram holds whole packets, and may be lost, doubled or overtaken: what is done about that
//! is the codec's and the application's affair.

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

/// Clients that may wait to be accepted. What comes above it is as if it were lost: the client asks
/// again.
const BACKLOG: usize = 128;

/// What the kernel is asked to hold for all peers together, in bytes: a burst of a thousand
/// datagrams. It grants what the system allows.
const KERNEL_BUFFER: usize = 2 << 20;

/// The largest payload of a UDP datagram over IPv4, in bytes.
const LARGEST: usize = 65_507;

/// UDP: `udp://HOST:PORT`.
pub struct Udp {
    address: HostPort,
    options: UdpOptions,
    listening: Option<Listening>,
}

/// What a listener's `options` may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct UdpOptions {
    /// The largest datagram in either direction, in bytes: 24 to 65507. Packets share one up to
    /// this size, where the codec frames them; a longer packet cannot be sent, and a longer
    /// datagram is dropped. 1200 passes every network without being cut to pieces, each of which
    /// might be lost.
    pub max_datagram: usize,
}

impl Default for UdpOptions {
    fn default() -> Self {
        Self { max_datagram: 1200 }
    }
}

/// [`UdpOptions::max_datagram`] is out of its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`max-datagram` is {smallest} to {LARGEST} bytes, and not {0}", smallest = opening::CHALLENGE)]
pub struct MaxDatagramError(usize);

/// What there is while it listens. The socket is closed when this is gone, and the last peer.
struct Listening {
    /// In front of the newcomers, who may hold the last of it.
    _port: Arc<Port>,
    newcomers: mpsc::Receiver<Incoming>,
}

impl Udp {
    /// Will listen at an address; port 0 takes a free one.
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
            // It grants less where the system has it so, which loses more in a burst and breaks
            // nothing.
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
