//! TCP.

use std::io;
use std::net::SocketAddr;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::net::{TcpListener, TcpStream};

use super::{Connector, Incoming, Opened, Socket, SocketKinds};

/// Plain TCP: a stream of bytes.
pub struct Tcp {
    listener: TcpListener,
    address: SocketAddr,
}

impl Tcp {
    /// Accepts from a listener that is bound.
    ///
    /// # Errors
    /// Where the listener does not know its address.
    pub fn new(listener: TcpListener) -> io::Result<Self> {
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }
}

impl Connector for Tcp {
    fn url(&self) -> String {
        format!("tcp://{}", self.address)
    }

    fn kinds(&self) -> SocketKinds {
        SocketKinds { stream: true, messages: false }
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        async {
            let (stream, address) = accept(&self.listener).await?;
            let opened =
                Opened { transport: "tcp", attributes: Vec::new(), socket: Socket::Stream(Box::new(stream)) };
            Ok(Incoming { address, open: async { Ok(opened) }.boxed() })
        }
        .boxed()
    }
}

/// The next TCP client, with Nagle's algorithm off: the runtime gathers small packets itself, and knows
/// better when all is there.
pub(super) async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, String)> {
    let (stream, address) = listener.accept().await?;
    // Fails only for a client that is gone already, which its first read will tell.
    let _ = stream.set_nodelay(true);
    Ok((stream, address.to_string()))
}
