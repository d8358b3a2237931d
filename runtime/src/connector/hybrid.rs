//! TCP and WebSocket on one port, told apart by the first bytes.

use std::io;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::acceptor::{Accepted, Acceptor};
use super::{BindOptions, Connector, Incoming, Opened, SocketKinds, tcp, websocket};

/// How every WebSocket client begins (RFC 6455, section 4.1). A protocol whose own first packet begins so
/// cannot be used here.
const UPGRADE: &[u8] = b"GET ";

/// TCP and WebSocket on one port: a client that begins with an HTTP GET is a WebSocket client, any other
/// speaks the protocol at once. A server that must speak first does so only when it has heard the client's
/// first byte.
pub struct Hybrid {
    acceptor: Acceptor,
    max_message: usize,
}

impl Hybrid {
    /// Accepts from a listener that is bound.
    ///
    /// # Errors
    /// Where the listener does not know its address.
    pub fn new(listener: TcpListener, options: &BindOptions) -> io::Result<Self> {
        Ok(Self { acceptor: Acceptor::new(listener, options)?, max_message: options.max_message })
    }
}

impl Connector for Hybrid {
    fn url(&self) -> String {
        format!("hybrid://{}", self.acceptor.address())
    }

    fn kinds(&self) -> SocketKinds {
        SocketKinds { stream: true, messages: true }
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        async {
            let accepted = self.acceptor.accept().await?;
            Ok(Incoming {
                address: accepted.address.clone(),
                behind_proxy: accepted.behind_proxy,
                open: open(accepted, self.max_message).boxed(),
            })
        }
        .boxed()
    }
}

async fn open(accepted: Accepted, max_message: usize) -> io::Result<Opened> {
    accepted.first_byte().await?;
    let (mut stream, client) = accepted.begin().await?;
    let mut first = Vec::with_capacity(UPGRADE.len());
    // The bytes may come one by one: each is looked at until one differs.
    while first.len() < UPGRADE.len() && UPGRADE.starts_with(&first) {
        let mut rest = (&mut stream).take((UPGRADE.len() - first.len()) as u64);
        if rest.read_buf(&mut first).await? == 0 {
            break;
        }
    }
    let upgrade = first == UPGRADE;
    stream.unread(first);
    if upgrade {
        websocket::upgrade(stream, client, max_message).await
    } else {
        Ok(tcp::opened(stream, client))
    }
}
