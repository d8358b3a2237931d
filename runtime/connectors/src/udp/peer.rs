//! One peer of a UDP socket.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::opening::{self, OPEN, Opening};
use crate::{CloseCode, MessageSocket, Pace, RateMeter, Traffic};
use wireplug_base::limited;

/// Datagrams of one peer that may wait to be read: as many as tokio lets one task read before the
/// others have their turn. A client that sends faster than it is read loses what comes above it, as
/// it might anywhere on the way.
const INBOX: usize = 128;

/// The socket, and how those who hold it tell that they are gone. Dropped in this order: who hears
/// that all are gone finds the address free.
pub(super) struct Port {
    pub(super) socket: UdpSocket,
    gone: mpsc::UnboundedSender<SocketAddr>,
}

impl Port {
    /// With the addresses of the peers that are gone.
    pub(super) fn new(socket: UdpSocket) -> (Arc<Self>, mpsc::UnboundedReceiver<SocketAddr>) {
        let (gone, those_gone) = mpsc::unbounded_channel();
        (Arc::new(Self { socket, gone }), those_gone)
    }
}

/// The way to a peer.
pub(super) struct Inbox {
    datagrams: mpsc::Sender<Bytes>,
    lost: Arc<AtomicU64>,
    meter: RateMeter,
}

impl Inbox {
    /// Whether the peer is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.datagrams.is_closed()
    }

    /// Hands it a datagram of at most `max` bytes. Where too many wait it is lost: those that wait
    /// came first.
    pub(super) fn deliver(&self, datagram: &[u8], max: usize) {
        let too_long = datagram.len() > max;
        // An empty one in the place of one that is too long: the session's task is to see what was
        // counted.
        let given = if too_long { Bytes::new() } else { Bytes::copy_from_slice(datagram) };
        let waits = self.datagrams.try_send(given).is_ok();
        // A client in debt pays for what it will be read. To lose the rest is how it is slowed, and
        // costs it no more: else one that stays above its rate would be read never again.
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
    /// None once it is dropped.
    port: Option<Arc<Port>>,
    address: SocketAddr,
    datagrams: mpsc::Receiver<Bytes>,
    lost: Arc<AtomicU64>,
    /// What is to be sent next.
    pending: Option<Bytes>,
    /// Until the socket takes it. Many peers wait for one socket, each in a future of its own.
    writable: Option<BoxFuture<'static, ()>>,
    /// Bytes that came.
    read: u64,
    closed: bool,
}

impl Peer {
    pub(super) fn new(port: Arc<Port>, address: SocketAddr, meter: RateMeter) -> (Self, Inbox) {
        let (sender, datagrams) = mpsc::channel(INBOX);
        let lost = Arc::<AtomicU64>::default();
        let inbox = Inbox { datagrams: sender, lost: Arc::clone(&lost), meter };
        let peer = Self {
            port: Some(port),
            address,
            datagrams,
            lost,
            pending: None,
            writable: None,
            read: 0,
            closed: false,
        };
        (peer, inbox)
    }

    /// Tells the client that it has a session. It asks again where this is lost.
    pub(super) fn welcome(&self) {
        let _ = self.port().socket.try_send_to(&OPEN, self.address);
    }

    fn port(&self) -> &Arc<Port> {
        self.port.as_ref().expect("it is not dropped")
    }
}

impl MessageSocket for Peer {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        while !self.closed {
            // The sender is gone where the socket cannot be read any more.
            let received = ready!(self.datagrams.poll_recv(cx));
            let datagram = received.ok_or(io::ErrorKind::ConnectionAborted)?;
            self.read += datagram.len() as u64;
            match opening::read(&datagram) {
                Opening::Answer(_) => self.welcome(),
                Opening::Stray => {}
                // Some clients keep their address open by it, and it holds no packet.
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
        self.pending = Some(message);
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
                    // The next try reports an error.
                    self.writable = Some(async move { drop(port.socket.writable().await) }.boxed());
                }
                Err(error) => {
                    // The way to the client may be cut for a while. That is a datagram lost, like
                    // any other; a client that stays away is idle.
                    limited!(DEBUG, %error, bytes = datagram.len(), "a datagram cannot be sent");
                    self.lost.fetch_add(1, Ordering::Relaxed);
                    self.pending = None;
                }
                Ok(_) => self.pending = None,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// What is written counts for nothing: that it was sent does not say that anybody is there.
    fn traffic(&self) -> Traffic {
        Traffic { read: self.read, written: 0, partial: false }
    }

    fn take_lost(&mut self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }

    /// There is nothing to close, and nobody to wait for.
    fn poll_close(&mut self, _: CloseCode, _: &str, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        self.closed = true;
        Poll::Ready(Ok(()))
    }
}

impl Drop for Peer {
    /// Its place is free, and the address too, if it was the last.
    fn drop(&mut self) {
        self.datagrams.close();
        self.writable = None;
        if let Some(port) = self.port.take() {
            let gone = port.gone.clone();
            drop(port);
            // Nobody listens where the runtime is gone.
            let _ = gone.send(self.address);
        }
    }
}
