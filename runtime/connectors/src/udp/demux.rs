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
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::cookie::Cookies;
use super::opening::{self, Opening};
use super::peer::{Inbox, Peer, Port};
use crate::accept_errors::AcceptErrors;
use crate::{Incoming, Opened, RateLimits, RateMeter, Socket, bind};
use wireplug_base::limited;

/// Reads the socket for all peers.
pub(super) struct Demux {
    /// The socket, which the connector and the peers keep open.
    port: Weak<Port>,
    peers: HashMap<SocketAddr, Inbox>,
    /// Receives the addresses of peers that have ended.
    gone: mpsc::UnboundedReceiver<SocketAddr>,
    /// Passes new clients to the connector. Closed once the connector has stopped.
    newcomer: mpsc::Sender<Incoming>,
    cookies: Cookies,
    max_datagram: usize,
    rate: RateLimits,
    errors: AcceptErrors,
}

impl Demux {
    pub(super) fn new(
        port: &Arc<Port>,
        gone: mpsc::UnboundedReceiver<SocketAddr>,
        newcomer: mpsc::Sender<Incoming>,
        cookies: Cookies,
        (max_datagram, rate): (usize, RateLimits),
        url: String,
    ) -> Self {
        let (port, peers, errors) = (Arc::downgrade(port), HashMap::new(), AcceptErrors::of(url));
        Self { port, peers, gone, newcomer, cookies, max_datagram, rate, errors }
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

    /// Delivers a datagram to its peer, or handles it as a part of an opening.
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
        match opening::read(datagram) {
            Opening::Answer(cookie) if self.cookies.verify(from, cookie) => self.let_in(port, from),
            Opening::Answer(_) => limited!(DEBUG, %from, "a cookie is forged or too old"),
            Opening::Stray => {}
            Opening::Other if datagram.len() < opening::CHALLENGE => {}
            Opening::Other => {
                let challenge = opening::challenge(&self.cookies.make(from));
                // A challenge that cannot be sent counts as lost, and the client asks again.
                let _ = port.socket.try_send_to(&challenge, from);
            }
        }
    }

    /// Hands out a client that has proved that it receives datagrams at its address.
    fn let_in(&mut self, port: &Arc<Port>, from: SocketAddr) {
        let Ok(place) = self.newcomer.try_reserve() else {
            limited!(DEBUG, %from, "more clients than wait to be accepted");
            return;
        };
        let meter = RateMeter::new(&self.rate);
        let (peer, inbox) = Peer::new(Arc::clone(port), from, meter.clone());
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
        place.send(Incoming { address, behind_proxy: false, open: open.boxed() });
    }
}
