//! UDP: a session for each peer, that is, for each address and port.
//!
//! All peers share one socket. [`AddressCheck`] says how a session opens:
//! - By a cookie, which is the default. The server answers a datagram from an address without a
//!   session with a challenge, which is no longer than the datagram, and keeps nothing about that
//!   address. Only a peer that sends the challenge's cookie back gets a session. So forged
//!   addresses can neither fill the server, nor make it send more than was sent to it.
//! - By its first packet, for clients that know no cookies. Then each forged address costs a
//!   session. The number of unverified sessions, the time until they are verified, and the bytes
//!   that are sent to them are limited, unless the network is trusted to let no forged address
//!   through.
//!
//! `docs/udp.md` specifies both, and says what an attacker can do.
//!
//! A datagram holds whole packets, and may be lost, duplicated or reordered. The codec and the
//! application must handle that.
//!
//! When the server is upgraded, only one of the two processes may read the socket. The old one
//! pauses. Its peers, the keys of its cookies and the clients that wait to be accepted go over.
//! Then the new one reads. Meanwhile the kernel keeps the datagrams.

mod address;
mod cookie;
mod demux;
mod newcomer;
mod opening;
mod peer;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;

use anyhow::Context as _;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::net::UdpSocket;
use tokio::sync::{Semaphore, mpsc};
use tracing::warn;

use self::cookie::{Cookies, SavedCookies};
use self::demux::{Demux, Entry};
use self::newcomer::Newcomer;
use self::peer::{Port, SavedPeer};
use super::handover::{from_state, to_state};
use super::{
    BoxError, Connector, HandedSocket, HostPort, Incoming, ListenOptions, Opened, SocketKinds, bind,
    inherited,
};

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
    /// The socket of another process, until the connector starts.
    inherited: Option<UdpSocket>,
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
    /// How the server makes sure that clients receive datagrams at their addresses.
    pub address_check: AddressCheck,
    /// The largest number of sessions at a time whose address is not verified yet, with
    /// [`AddressCheck::Limit`]. Further clients get no session until one of these sessions is
    /// verified or ends. The default, 1000, is a tenth of the default of
    /// `server.max-connections`. So forged addresses at one listener leave the other listeners
    /// their connections.
    pub max_unverified: NonZeroU32,
}

impl Default for UdpOptions {
    fn default() -> Self {
        Self {
            max_datagram: 1200,
            address_check: AddressCheck::default(),
            max_unverified: NonZeroU32::new(1000).expect("it is not zero"),
        }
    }
}

/// How the server makes sure that a client receives datagrams at its address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressCheck {
    /// A session opens when the client has sent back a cookie. Needs clients that know this
    /// opening.
    #[default]
    Cookie,
    /// The first datagram of an address opens a session. Until the codec says that the address is
    /// verified, the server sends at most three times the bytes that came from it, and the session
    /// ends after `limits.handshake-timeout`.
    Limit,
    /// The first datagram of an address opens a session, without any limit. Only for networks that
    /// let no forged source address through.
    Off,
}

/// The error if [`UdpOptions::max_datagram`] is out of its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`max-datagram` is {smallest} to {LARGEST} bytes, and not {0}", smallest = opening::CHALLENGE)]
pub struct MaxDatagramError(usize);

/// The state of a listener. The socket is closed when this state and the last peer are gone.
struct Listening {
    /// Declared before the newcomers, so it is dropped first: a client in a queue may hold the last
    /// reference to the port.
    port: Arc<Port>,
    newcomers: mpsc::Receiver<Newcomer>,
    /// Newcomers that are accepted before the others: those of another process, and those that were
    /// taken out of the queue to be copied.
    first: VecDeque<Newcomer>,
    demux: Demux,
}

/// The state of a listener on its way to another process.
#[derive(Serialize, Deserialize)]
pub(super) struct SavedListener {
    /// The keys of the cookies, if clients open with cookies.
    cookies: Option<SavedCookies>,
    /// Clients that the server has not accepted.
    newcomers: Vec<SavedPeer>,
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
        Ok(Self { address, options, inherited: None, listening: None })
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
        if self.options.address_check == AddressCheck::Limit && options.handshake_timeout.is_zero() {
            return Err("with `address-check = \"limit\"`, sessions with an unverified address end after \
                        `limits.handshake-timeout`, which must not be zero"
                .into());
        }
        if !options.proxies.is_empty() {
            return Err("over UDP there is no PROXY header: `access.proxies` must be empty".into());
        }
        Ok(())
    }

    fn start<'a>(&'a mut self, options: &'a ListenOptions) -> BoxFuture<'a, Result<(), BoxError>> {
        async {
            let (socket, is_inherited) = match self.inherited.take() {
                Some(socket) => (socket, true),
                None => (bind::udp(&self.address).await?, false),
            };
            // The kernel may grant less. Then a burst loses more datagrams, but nothing breaks.
            let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(KERNEL_BUFFER);
            self.address = socket.local_addr().context("it does not know its address")?.into();
            let entry = match self.options.address_check {
                AddressCheck::Cookie => {
                    Entry::Cookie(Box::new(Cookies::new().context("the system has no random numbers")?))
                }
                AddressCheck::Limit => {
                    let places = self.options.max_unverified.get() as usize;
                    Entry::Limit(Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))))
                }
                AddressCheck::Off => {
                    warn_unchecked(&self.url());
                    Entry::Off
                }
            };
            let (newcomer, newcomers) = mpsc::channel(BACKLOG);
            let (port, gone) = Port::new(socket);
            let limits = (self.options.max_datagram, options.rate);
            let demux = Demux::new(&port, gone, newcomer, entry, limits, self.url());
            if is_inherited {
                // The other process may still read the socket.
                demux.pause();
            }
            tokio::spawn(demux.clone().run());
            self.listening = Some(Listening { port, newcomers, first: VecDeque::new(), demux });
            Ok(())
        }
        .boxed()
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        async {
            let listening = self.listening.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            let newcomer = match listening.first.pop_front() {
                Some(newcomer) => newcomer,
                None => listening.newcomers.recv().await.ok_or(io::ErrorKind::NotConnected)?,
            };
            Ok(newcomer.into_incoming())
        }
        .boxed()
    }

    fn stop(&mut self) {
        (self.inherited, self.listening) = (None, None);
    }

    fn sockets(&self) -> io::Result<Vec<OwnedFd>> {
        self.listening.iter().map(|listening| listening.port.socket.as_fd().try_clone_to_owned()).collect()
    }

    fn is_for(&self, socket: BorrowedFd<'_>) -> bool {
        inherited::is_udp_at(socket, &self.address)
    }

    fn inherit(&mut self, sockets: Vec<OwnedFd>) -> Result<(), BoxError> {
        self.inherited = Some(inherited::udp(inherited::only(sockets)?)?);
        Ok(())
    }

    fn adopt(&mut self, client: HandedSocket) -> io::Result<Opened> {
        let Listening { port, demux, .. } = self.listening.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        Ok(demux.adopt(port, from_state(&client.state)?)?.into_opened())
    }

    fn pause(&mut self) -> Option<Vec<u8>> {
        let Listening { newcomers, first, demux, .. } = self.listening.as_mut()?;
        let cookies = demux.pause();
        while let Ok(newcomer) = newcomers.try_recv() {
            first.push_back(newcomer);
        }
        let newcomers = first.iter().map(|newcomer| newcomer.peer.saved()).collect();
        Some(to_state(&SavedListener { cookies, newcomers }).expect("each part of it can be written"))
    }

    fn resume(&mut self, state: Option<&[u8]>) {
        let url = self.url();
        let Some(Listening { port, first, demux, .. }) = &mut self.listening else { return };
        let saved = state.map(from_state::<SavedListener>).transpose().unwrap_or_else(|error| {
            // Its clients ask again.
            warn!(url, %error, "cannot use the cookies of the other process");
            None
        });
        let (cookies, newcomers) = saved.map_or((None, Vec::new()), |saved| (saved.cookies, saved.newcomers));
        first.extend(newcomers.into_iter().filter_map(|newcomer| demux.adopt(port, newcomer).ok()));
        demux.resume(cookies.as_ref());
    }
}

/// Warns that the listener trusts each source address.
fn warn_unchecked(url: &str) {
    warn!(
        url,
        "`address-check = \"off\"`: anybody who can forge a source address can make this listener send any amount of \
         data to that address, and can take all connections of the server"
    );
}
