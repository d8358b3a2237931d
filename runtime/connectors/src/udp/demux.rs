//! Reads the datagrams of all peers, and delivers each to its peer.
//!
//! One task reads the socket. While it does, it holds the lock of the peers; the connector takes
//! that lock only to pause the task, and to add a client of another process. So no lock is taken
//! for a datagram. The task ends when the connector has stopped and the last peer is gone.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::ReadBuf;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::sleep;

use super::address::AddressState;
use super::cookie::{Cookies, SavedCookies};
use super::newcomer::Newcomer;
use super::opening::{self, Opening};
use super::peer::{Inbox, Peer, Port, SavedPeer};
use crate::accept_errors::AcceptErrors;
use crate::{RateLimits, RateMeter};
use wireplug_base::limited;

/// How an address without a session gets one.
pub(super) enum Entry {
    /// It sends a cookie back.
    Cookie(Box<Cookies>),
    /// It sends a datagram. The session takes one of these places until its address is verified.
    Limit(Arc<Semaphore>),
    /// It sends a datagram.
    Off,
}

/// Reads the socket for all peers. A clone is the same demultiplexer.
#[derive(Clone)]
pub(super) struct Demux(Arc<Mutex<Peers>>);

/// The peers, and how new ones get in.
struct Peers {
    /// The socket, which the connector and the peers keep open.
    port: Weak<Port>,
    peers: HashMap<SocketAddr, Inbox>,
    /// Receives the addresses of peers that have ended.
    gone: mpsc::UnboundedReceiver<SocketAddr>,
    /// Passes new clients to the connector. Closed once the connector has stopped.
    newcomer: mpsc::Sender<Newcomer>,
    entry: Entry,
    max_datagram: usize,
    rate: RateLimits,
    errors: AcceptErrors,
    /// Whether the socket is not read, because another process reads it or will do so.
    is_paused: bool,
    /// Wakes the task when it is no longer paused.
    reader: Option<Waker>,
}

impl Demux {
    pub(super) fn new(
        port: &Arc<Port>,
        gone: mpsc::UnboundedReceiver<SocketAddr>,
        newcomer: mpsc::Sender<Newcomer>,
        entry: Entry,
        (max_datagram, rate): (usize, RateLimits),
        url: String,
    ) -> Self {
        let (port, peers, errors) = (Arc::downgrade(port), HashMap::new(), AcceptErrors::of(url));
        let (is_paused, reader) = (false, None);
        let peers =
            Peers { port, peers, gone, newcomer, entry, max_datagram, rate, errors, is_paused, reader };
        Self(Arc::new(Mutex::new(peers)))
    }

    /// Reads until neither the connector nor a peer holds the socket.
    pub(super) async fn run(self) {
        // One byte more than the largest datagram has, so that longer ones are recognized.
        let mut buffer = vec![0; self.lock().max_datagram + 1];
        while let Some(error) = poll_fn(|cx| self.lock().poll_read(cx, &mut buffer)).await {
            let pause = self.lock().errors.failed(&error);
            sleep(pause).await;
        }
    }

    /// Stops reading: after the call, no datagram is taken from the socket. Returns the keys of the
    /// cookies, if clients open with cookies.
    pub(super) fn pause(&self) -> Option<SavedCookies> {
        let mut peers = self.lock();
        peers.is_paused = true;
        match &peers.entry {
            Entry::Cookie(cookies) => Some(cookies.saved()),
            Entry::Limit(_) | Entry::Off => None,
        }
    }

    /// Goes on reading, with the keys of another process if there are any.
    pub(super) fn resume(&self, saved: Option<&SavedCookies>) {
        let mut peers = self.lock();
        if let (Entry::Cookie(cookies), Some(saved)) = (&mut peers.entry, saved) {
            **cookies = Cookies::resume(saved);
        }
        peers.is_paused = false;
        if let Some(reader) = peers.reader.take() {
            reader.wake();
        }
    }

    /// Continues with a peer of another process.
    ///
    /// # Errors
    /// Returns an error if a client at the same address has opened a session here.
    pub(super) fn adopt(&self, port: &Arc<Port>, saved: SavedPeer) -> io::Result<Newcomer> {
        let mut peers = self.lock();
        let address = saved.address();
        if peers.peers.get(&address).is_some_and(|inbox| !inbox.is_closed()) {
            let why = format!("{address} has a session in this process already");
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        }
        let state = match &peers.entry {
            Entry::Off => AddressState::Verified,
            // The client was let in. It is not turned away because there is less room now.
            Entry::Limit(places) => {
                let place = saved.credit.and_then(|_| Arc::clone(places).try_acquire_owned().ok());
                AddressState::resume(saved.credit, place)
            }
            Entry::Cookie(_) => AddressState::resume(saved.credit, None),
        };
        let meter = RateMeter::new(&peers.rate);
        let (peer, inbox) = Peer::resume(Arc::clone(port), saved, state, meter.clone());
        peers.peers.insert(address, inbox);
        Ok(Newcomer { peer, meter })
    }

    fn lock(&self) -> MutexGuard<'_, Peers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Peers {
    /// Reads what has arrived. Ready with an error of the socket, or with `None` when neither the
    /// connector nor a peer holds the socket any more.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Option<io::Error>> {
        while let Poll::Ready(gone) = self.gone.poll_recv(cx) {
            let Some(address) = gone else { return Poll::Ready(None) };
            // The same address may have a new peer already.
            if self.peers.get(&address).is_some_and(Inbox::is_closed) {
                self.peers.remove(&address);
            }
        }
        if self.is_paused {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        loop {
            let Some(port) = self.port.upgrade() else { return Poll::Ready(None) };
            let mut datagram = ReadBuf::new(buffer);
            match ready!(port.socket.poll_recv_from(cx, &mut datagram)) {
                Ok(from) => {
                    self.errors.accepted();
                    self.take(&port, from, datagram.filled());
                }
                Err(error) => return Poll::Ready(Some(error)),
            }
        }
    }

    /// Delivers a datagram to its peer. If its address has no peer, the datagram may open a
    /// session.
    fn take(&mut self, port: &Arc<Port>, from: SocketAddr, datagram: &[u8]) {
        if let Some(inbox) = self.peers.get(&from).filter(|inbox| !inbox.is_closed()) {
            if datagram.len() > self.max_datagram {
                limited!(DEBUG, %from, max = self.max_datagram, "a datagram is longer than the listener takes");
            }
            return inbox.deliver(datagram, self.max_datagram);
        }
        if self.newcomer.is_closed() {
            return;
        }
        let (state, first) = match &mut self.entry {
            Entry::Cookie(cookies) => {
                if !is_verified(cookies, port, from, datagram) {
                    return;
                }
                (AddressState::Verified, None)
            }
            // Some clients send empty datagrams to keep their address open. They hold no packet.
            _ if datagram.is_empty() => return,
            _ if datagram.len() > self.max_datagram => {
                return port.turn_away(from, "its first datagram is longer than the listener takes");
            }
            Entry::Off => (AddressState::Verified, Some(datagram)),
            Entry::Limit(places) => match Arc::clone(places).try_acquire_owned() {
                Ok(place) => (AddressState::unverified(place), Some(datagram)),
                Err(_) => return port.turn_away(from, "the listener has `max-unverified` sessions"),
            },
        };
        self.let_in(port, from, state, first);
    }

    /// Hands out a client. `first` is its first datagram if it opens without a cookie.
    fn let_in(&mut self, port: &Arc<Port>, from: SocketAddr, state: AddressState, first: Option<&[u8]>) {
        let Ok(place) = self.newcomer.try_reserve() else {
            return port.turn_away(from, "more clients than wait to be accepted");
        };
        let meter = RateMeter::new(&self.rate);
        let (peer, inbox) = Peer::new(Arc::clone(port), from, state, first.is_none(), meter.clone());
        if let Some(first) = first {
            inbox.deliver(first, self.max_datagram);
        }
        self.peers.insert(from, inbox);
        place.send(Newcomer { peer, meter });
    }
}

/// Handles a datagram of an address without a session as a part of an opening. Returns whether it
/// proves that the client receives datagrams at the address.
fn is_verified(cookies: &mut Cookies, port: &Port, from: SocketAddr, datagram: &[u8]) -> bool {
    match opening::read(datagram) {
        Opening::Answer(cookie) if cookies.verify(from, cookie) => return true,
        Opening::Answer(_) => limited!(DEBUG, %from, "a cookie is forged or too old"),
        Opening::Stray => {}
        Opening::Other if datagram.len() < opening::CHALLENGE => {}
        Opening::Other => {
            let challenge = opening::challenge(&cookies.make(from));
            // A challenge that cannot be sent counts as lost, and the client asks again.
            let _ = port.socket.try_send_to(&challenge, from);
        }
    }
    false
}
