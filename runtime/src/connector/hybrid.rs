//! TCP and WebSocket on one port, told apart by the first bytes.

use std::io;
use std::net::SocketAddr;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::rewind::Rewind;
use super::{Connector, Incoming, Opened, Socket, SocketKinds, tcp, websocket};

/// How every WebSocket client begins (RFC 6455, section 4.1). A protocol whose own first packet begins so
/// cannot be used here.
const UPGRADE: &[u8] = b"GET ";

/// TCP and WebSocket on one port: a client that begins with an HTTP GET is a WebSocket client, any other
/// speaks the protocol at once.
pub struct Hybrid {
    listener: TcpListener,
    address: SocketAddr,
    max_message: usize,
}

impl Hybrid {
    /// Accepts from a listener that is bound. A WebSocket message has at most `max_message` bytes.
    ///
    /// # Errors
    /// Where the listener does not know its address.
    pub fn new(listener: TcpListener, max_message: usize) -> io::Result<Self> {
        let address = listener.local_addr()?;
        Ok(Self { listener, address, max_message })
    }
}

impl Connector for Hybrid {
    fn url(&self) -> String {
        format!("hybrid://{}", self.address)
    }

    fn kinds(&self) -> SocketKinds {
        SocketKinds { stream: true, messages: true }
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        async {
            let (stream, address) = tcp::accept(&self.listener).await?;
            Ok(Incoming { address, open: open(stream, self.max_message).boxed() })
        }
        .boxed()
    }
}

async fn open(mut stream: TcpStream, max_message: usize) -> io::Result<Opened> {
    let mut first = Vec::with_capacity(UPGRADE.len());
    // The bytes may come one by one: each is looked at until one differs.
    while first.len() < UPGRADE.len() && UPGRADE.starts_with(&first) {
        let mut rest = (&mut stream).take((UPGRADE.len() - first.len()) as u64);
        if rest.read_buf(&mut first).await? == 0 {
            break;
        }
    }
    let upgrade = first == UPGRADE;
    let stream = Rewind::new(first, stream);
    if upgrade {
        websocket::upgrade(stream, max_message).await
    } else {
        Ok(Opened { transport: "tcp", attributes: Vec::new(), socket: Socket::Stream(Box::new(stream)) })
    }
}
