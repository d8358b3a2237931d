//! One peer of a UDP socket.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::address::AddressState;
use super::opening::{self, OPEN, Opening};
use crate::handover::to_state;
use crate::{CloseCode, HandedSocket, Lost, MessageSocket, Pace, RateMeter, Traffic};
use wireplug_base::limited;

/// The largest number of datagrams of one peer that wait to be read: as many as tokio lets one task
/// read before other tasks get their turn. If a client sends faster than the server reads, further
/// datagrams are lost, as they may be anywhere on the way.
const INBOX: usize = 128;

/// The socket, and the channel by which peers report that they have ended. The fields are dropped
/// in this order, so that the address is free when the receiver learns that all peers have ended.
pub(super) struct Port {
    pub(super) socket: UdpSocket,
    gone: mpsc::UnboundedSender<SocketAddr>,
    /// Datagrams from addresses without a session that opened none because of a limit. The next
    /// turn of any peer counts them.
    turned_away: AtomicU64,
}

impl Port {
    /// Creates the port. The receiver gets the addresses of peers that have ended.
    pub(super) fn new(socket: UdpSocket) -> (Arc<Self>, mpsc::UnboundedReceiver<SocketAddr>) {
        let (gone, those_gone) = mpsc::unbounded_channel();
        (Arc::new(Self { socket, gone, turned_away: AtomicU64::new(0) }), those_gone)
    }

    /// Counts a datagram from an address that gets no session. The address is sent nothing.
    pub(super) fn turn_away(&self, from: SocketAddr, why: &'static str) {
        limited!(DEBUG, %from, why, "a datagram opens no session");
        self.turned_away.fetch_add(1, Ordering::Relaxed);
    }

    fn take_turned_away(&self) -> u64 {
        // All peers read this at each turn, so it is written only if there is something to take.
        if self.turned_away.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        self.turned_away.swap(0, Ordering::Relaxed)
    }
}

/// The sending end of a peer's queue of datagrams.
pub(super) struct Inbox {
    datagrams: mpsc::Sender<Bytes>,
    lost: Arc<AtomicU64>,
    meter: RateMeter,
}

impl Inbox {
    /// Returns whether the peer has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.datagrams.is_closed()
    }

    /// Delivers a datagram to the peer. A datagram of more than `max` bytes is lost. If too many
    /// datagrams wait, the new one is lost and the older ones are kept.
    pub(super) fn deliver(&self, datagram: &[u8], max: usize) {
        let too_long = datagram.len() > max;
        // An empty datagram takes the place of one that is too long, so that the session's task
        // wakes and sees the counts.
        let given = if too_long { Bytes::new() } else { Bytes::copy_from_slice(datagram) };
        let waits = self.datagrams.try_send(given).is_ok();
        // While a client is over its rates, only datagrams that will be read are counted. The
        // others are lost without being counted, which slows the client down. If they were counted,
        // a client that stays above its rate would never be read again.
        if waits || self.meter.pace() == Pace::Within {
            self.meter.take(1, datagram.len() as u64);
        }
        if too_long || !waits {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A peer's socket.
pub(super) struct Peer {
    /// `None` only once the peer is dropped.
    port: Option<Arc<Port>>,
    address: SocketAddr,
    state: AddressState,
    /// Whether the session was opened by a cookie, so that the client may repeat parts of the
    /// opening.
    by_cookie: bool,
    /// Locked only when the peer is handed over, which copies them.
    datagrams: Mutex<Waiting>,
    lost: Arc<AtomicU64>,
    /// Datagrams that were not sent because the address is not verified.
    unverified: u64,
    /// The datagram to send next.
    pending: Option<Bytes>,
    /// The wait until the socket accepts a datagram. Many peers wait for one socket, each with a
    /// future of its own.
    writable: Option<BoxFuture<'static, ()>>,
    /// Bytes that have arrived. An empty datagram counts as one.
    read: u64,
    closed: bool,
}

/// The datagrams that wait to be read.
struct Waiting {
    /// Those that were taken out of the queue to be copied, or that came to another process.
    first: VecDeque<Bytes>,
    queue: mpsc::Receiver<Bytes>,
}

/// The state of a peer on its way to another process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SavedPeer {
    ip: IpAddr,
    port: u16,
    /// The network interface of a link-local address of IPv6.
    scope: u32,
    /// How many bytes may still be sent to the address, unless it is verified.
    pub(super) credit: Option<u64>,
    by_cookie: bool,
    waiting: Vec<Vec<u8>>,
    pending: Option<Vec<u8>>,
    read: u64,
    lost: u64,
    unverified: u64,
}

impl SavedPeer {
    /// Returns the address of the peer, as the socket reports it.
    pub(super) fn address(&self) -> SocketAddr {
        let mut address = SocketAddr::new(self.ip, self.port);
        if let SocketAddr::V6(address) = &mut address {
            address.set_scope_id(self.scope);
        }
        address
    }
}

impl Peer {
    pub(super) fn new(
        port: Arc<Port>,
        address: SocketAddr,
        state: AddressState,
        by_cookie: bool,
        meter: RateMeter,
    ) -> (Self, Inbox) {
        let (sender, datagrams) = mpsc::channel(INBOX);
        let lost = Arc::<AtomicU64>::default();
        let inbox = Inbox { datagrams: sender, lost: Arc::clone(&lost), meter };
        let peer = Self {
            port: Some(port),
            address,
            state,
            by_cookie,
            datagrams: Mutex::new(Waiting { first: VecDeque::new(), queue: datagrams }),
            lost,
            unverified: 0,
            pending: None,
            writable: None,
            read: 0,
            closed: false,
        };
        (peer, inbox)
    }

    /// Continues with a peer of another process. Its datagrams were counted there.
    pub(super) fn resume(
        port: Arc<Port>,
        saved: SavedPeer,
        state: AddressState,
        meter: RateMeter,
    ) -> (Self, Inbox) {
        let (mut peer, inbox) = Self::new(port, saved.address(), state, saved.by_cookie, meter);
        peer.waiting().first = saved.waiting.into_iter().map(Bytes::from).collect();
        peer.pending = saved.pending.map(Bytes::from);
        (peer.read, peer.unverified) = (saved.read, saved.unverified);
        peer.lost.store(saved.lost, Ordering::Relaxed);
        (peer, inbox)
    }

    /// Returns the state for another process. To be called while the socket is not read.
    pub(super) fn saved(&self) -> SavedPeer {
        let mut waiting = self.datagrams.lock().unwrap_or_else(PoisonError::into_inner);
        while let Ok(datagram) = waiting.queue.try_recv() {
            waiting.first.push_back(datagram);
        }
        let scope = match self.address {
            SocketAddr::V4(_) => 0,
            SocketAddr::V6(address) => address.scope_id(),
        };
        SavedPeer {
            ip: self.address.ip(),
            port: self.address.port(),
            scope,
            credit: self.state.credit(),
            by_cookie: self.by_cookie,
            waiting: waiting.first.iter().map(|datagram| datagram.to_vec()).collect(),
            pending: self.pending.as_ref().map(|datagram| datagram.to_vec()),
            read: self.read,
            lost: self.lost.load(Ordering::Relaxed),
            unverified: self.unverified,
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    fn waiting(&mut self) -> &mut Waiting {
        self.datagrams.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the client that it has a session, if it was opened by a cookie. If this datagram is
    /// lost, the client asks again.
    pub(super) fn welcome(&self) {
        if self.by_cookie {
            let _ = self.port().socket.try_send_to(&OPEN, self.address);
        }
    }

    fn port(&self) -> &Arc<Port> {
        self.port.as_ref().expect("it is not dropped")
    }
}

impl MessageSocket for Peer {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        while !self.closed {
            let waiting = self.waiting();
            let datagram = match waiting.first.pop_front() {
                Some(datagram) => datagram,
                // The sender is gone if the socket cannot be read any more.
                None => ready!(waiting.queue.poll_recv(cx)).ok_or(io::ErrorKind::ConnectionAborted)?,
            };
            self.read += datagram.len() as u64;
            self.state.received(datagram.len());
            let role = if self.by_cookie { opening::read(&datagram) } else { Opening::Other };
            match role {
                Opening::Answer(_) => self.welcome(),
                Opening::Stray => {}
                // Some clients send empty datagrams to keep their address open. They hold no
                // packet.
                Opening::Other if datagram.is_empty() => self.read += 1,
                Opening::Other => return Poll::Ready(Ok(Some(datagram))),
            }
        }
        Poll::Ready(Ok(None))
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }

    fn send(&mut self, message: Bytes, _text: bool) -> io::Result<()> {
        if self.state.may_send(message.len()) {
            self.pending = Some(message);
        } else {
            limited!(DEBUG, bytes = message.len(), "a datagram is not sent: the address is not verified");
            self.unverified += 1;
        }
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(datagram) = &self.pending {
            if let Some(writable) = &mut self.writable {
                ready!(writable.poll_unpin(cx));
                self.writable = None;
            }
            match self.port().socket.try_send_to(datagram, self.address) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let port = Arc::clone(self.port());
                    // The next attempt to send reports an error.
                    self.writable = Some(async move { drop(port.socket.writable().await) }.boxed());
                }
                Err(error) => {
                    // The way to the client may be cut for a while. The datagram is lost like any
                    // other. A client that stays away reaches the idle timeout.
                    limited!(DEBUG, %error, bytes = datagram.len(), "a datagram cannot be sent");
                    self.lost.fetch_add(1, Ordering::Relaxed);
                    self.pending = None;
                }
                Ok(_) => self.pending = None,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Written bytes do not count, since a datagram that was sent does not show that the client is
    /// still there.
    fn traffic(&self) -> Traffic {
        Traffic { read: self.read, written: 0, partial: false }
    }

    fn is_address_verified(&self) -> bool {
        self.state.is_verified()
    }

    fn verify_address(&mut self) {
        self.state.verify();
    }

    fn take_lost(&mut self) -> Lost {
        Lost {
            messages: self.lost.swap(0, Ordering::Relaxed),
            unverified: std::mem::take(&mut self.unverified),
            turned_away: self.port().take_turned_away(),
        }
    }

    /// Sends what is pending. Over UDP there is no connection to close, and no answer to wait for.
    fn poll_close(&mut self, _: CloseCode, _: &str, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        self.closed = true;
        Poll::Ready(Ok(()))
    }

    fn prepare_handover(&mut self) -> Result<(), &'static str> {
        Ok(())
    }

    /// Each datagram is whole, so a peer may be handed over at any time.
    fn may_be_handed_over(&self) -> bool {
        !self.closed
    }

    fn hand_over(&self) -> io::Result<HandedSocket> {
        Ok(HandedSocket { descriptor: None, state: to_state(&self.saved())? })
    }
}

impl Drop for Peer {
    /// Removes the peer, and frees the bound address if this peer held the socket last.
    fn drop(&mut self) {
        self.waiting().queue.close();
        self.writable = None;
        if let Some(port) = self.port.take() {
            let gone = port.gone.clone();
            drop(port);
            // The receiver is gone if the runtime has ended.
            let _ = gone.send(self.address);
        }
    }
}
