//! TCP.

use std::io;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;

use super::acceptor::{Accepted, Acceptor};
use super::rewind::Rewind;
use super::{BindOptions, Connector, Incoming, Opened, Socket, SocketKinds};

/// Plain TCP: a stream of bytes.
pub struct Tcp {
    acceptor: Acceptor,
}

impl Tcp {
    /// Accepts from a listener that is bound.
    ///
    /// # Errors
    /// Where the listener does not know its address.
    pub fn new(listener: TcpListener, options: &BindOptions) -> io::Result<Self> {
        Ok(Self { acceptor: Acceptor::new(listener, options)? })
    }
}

impl Connector for Tcp {
    fn url(&self) -> String {
        format!("tcp://{}", self.acceptor.address())
    }

    fn kinds(&self) -> SocketKinds {
        SocketKinds { stream: true, messages: false }
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        async {
            let accepted = self.acceptor.accept().await?;
            Ok(Incoming {
                address: accepted.address.clone(),
                behind_proxy: accepted.behind_proxy,
                open: open(accepted).boxed(),
            })
        }
        .boxed()
    }
}

async fn open(accepted: Accepted) -> io::Result<Opened> {
    // Not to wait for the first byte here: a server may speak first.
    let (stream, client) = accepted.begin().await?;
    Ok(opened(stream, client))
}

/// A TCP client whose first byte of protocol is the next.
pub(super) fn opened(stream: Rewind, client: Option<String>) -> Opened {
    Opened { transport: "tcp", client, attributes: Vec::new(), socket: Socket::Stream(Box::new(stream)) }
}
