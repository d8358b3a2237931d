//! UDP on the client's side: the opening that `docs/udp.md` specifies, and then datagrams of whole
//! packages.
//!
//! Only the datagrams of the opening are sent again when they are lost.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::{anyhow, bail};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout};
use wireplug_pomelo::package;

use super::READ;

/// The first bytes of each datagram of an opening. The byte after them tells the kind of the
/// datagram.
const MAGIC: &[u8] = b"\xffWPUDP1";
const CHALLENGE: u8 = 1;
const ANSWER: u8 = 2;
const OPEN: u8 = 3;

/// The least size of the first datagram, in bytes. A server does not answer a shorter one.
const HELLO: usize = 24;

/// The time after which a datagram of the opening counts as lost and is sent again.
const AGAIN: Duration = Duration::from_millis(200);

/// The time after which the client gives up.
const PATIENCE: Duration = Duration::from_secs(5);

/// The largest datagram, in bytes.
const LARGEST: usize = 65_507;

/// A session over UDP.
pub(crate) struct Datagrams {
    socket: UdpSocket,
    datagram: Box<[u8]>,
    /// Whether the server has said that it has no session for this client.
    closed: bool,
}

impl Datagrams {
    /// Opens a session at the first address whose server accepts the client.
    ///
    /// # Errors
    /// Returns an error if no server opens a session within [`PATIENCE`].
    pub(super) async fn open(addresses: &[SocketAddr]) -> anyhow::Result<Self> {
        let mut opened = Err(anyhow!("the host has no address"));
        for address in addresses {
            opened = Self::open_at(address).await;
            if opened.is_ok() {
                break;
            }
        }
        opened
    }

    async fn open_at(server: &SocketAddr) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind(if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }).await?;
        socket.connect(server).await?;
        let mut say = vec![0; HELLO];
        let mut datagram = vec![0; LARGEST].into_boxed_slice();
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            socket.send(&say).await?;
            let Ok(received) = timeout(AGAIN, socket.recv(&mut datagram)).await else { continue };
            match datagram[..received?].strip_prefix(MAGIC) {
                Some([CHALLENGE, cookie @ ..]) => say = [MAGIC, &[ANSWER], cookie].concat(),
                Some([OPEN]) => return Ok(Self { socket, datagram, closed: false }),
                _ => {}
            }
        }
        bail!("no session within {} s: the server may be full, or refuse this address", PATIENCE.as_secs())
    }

    /// Sends the packages in `out`, each as a datagram, and appends the bytes that arrive to
    /// `into`. Returns the number of bytes that arrived; 0 if the server has no session for this
    /// client any more.
    pub(super) fn poll_exchange(
        &mut self,
        out: &mut Vec<u8>,
        into: &mut Vec<u8>,
        context: &mut Context<'_>,
    ) -> Poll<anyhow::Result<usize>> {
        if let Poll::Ready(Err(error)) = self.poll_send(out, context) {
            return Poll::Ready(Err(error.into()));
        }
        let before = into.len();
        while !self.closed && into.len() - before < READ {
            let mut datagram = ReadBuf::new(&mut self.datagram);
            match self.socket.poll_recv(context, &mut datagram) {
                Poll::Ready(received) => received?,
                Poll::Pending if into.len() > before => break,
                Poll::Pending => return Poll::Pending,
            }
            match datagram.filled().strip_prefix(MAGIC) {
                None => into.extend_from_slice(datagram.filled()),
                // A repeated answer to the opening.
                Some([OPEN]) => {}
                Some(_) => self.closed = true,
            }
        }
        Poll::Ready(Ok(into.len() - before))
    }

    fn poll_send(&self, out: &mut Vec<u8>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some((_, _, rest)) = package::split(out) {
            let length = out.len() - rest.len();
            ready!(self.socket.poll_send(context, &out[..length]))?;
            out.drain(..length);
        }
        Poll::Ready(Ok(()))
    }
}
