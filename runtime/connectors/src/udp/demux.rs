//! Reads the datagrams of all peers, and delivers each to its peer.
//!
//! One task reads the socket. Only this task knows the peers, so no lock is taken for a datagram.
//! The task ends when the connector has stopped and the last peer is gone.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use futures_util::FutureExt as _;
use tokio::io::ReadBuf;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::sleep;

use super::address::AddressState;
use super::cookie::Cookies;
use super::opening::{self, Opening};
use super::peer::{Inbox, Peer, Port};
use crate::accept_errors::AcceptErrors;
use crate::{Incoming, Opened, RateLimits, RateMeter, Socket, bind};
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

/// Reads the socket for all peers.
pub(super) struct Demux {
    /// The socket, which the connector and the peers keep open.
    port: Weak<Port>,
    peers: HashMap<SocketAddr, Inbox>,
    /// Receives the addresses of peers that have ended.
    gone: mpsc::UnboundedReceiver<SocketAddr>,
    /// Passes new clients to the connector. Closed once the connector has stopped.
    newcomer: mpsc::Sender<Incoming>,
    entry: Entry,
    max_datagram: usize,
    rate: RateLimits,
    errors: AcceptErrors,
}

impl Demux {
    pub(super) fn new(
        port: &Arc<Port>,
        gone: mpsc::UnboundedReceiver<SocketAddr>,
        newcomer: mpsc::Sender<Incoming>,
        entry: Entry,
        (max_datagram, rate): (usize, RateLimits),
        url: String,
    ) -> Self {
        let (port, peers, errors) = (Arc::downgrade(port), HashMap::new(), AcceptErrors::of(url));
        Self { port, peers, gone, newcomer, entry, max_datagram, rate, errors }
    }

    /// Reads until neither the connector nor a peer holds the socket.
    pub(super) async fn run(mut self) {
        // One byte more than the largest datagram has, so that longer ones are recognized.
        let mut buffer = vec![0; self.max_datagram + 1];
        while let Some(error) = poll_fn(|cx| self.poll_read(cx, &mut buffer)).await {
            sleep(self.errors.failed(&error)).await;
        }
    }

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
        let open = async move {
            // When this future runs, the server has admitted the client.
            peer.welcome();
            let socket = Socket::Messages(Box::new(peer));
            Ok(Opened {
                transport: "udp",
                client: None,
                attributes: Vec::new(),
                meter: Some(meter),
                starttls: None,
                socket,
            })
        };
        let address = bind::of_client(from).to_string();
        place.send(Incoming { address, behind_proxy: false, open: open.boxed(), turn_away: None });
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
