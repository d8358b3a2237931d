//! A client's connection to a Pomelo server, over TCP or WebSocket.

use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};
use url::Url;

/// The head of a Pomelo package: a type, and three bytes of length.
const HEAD: usize = 4;

/// A connection to a Pomelo server.
pub(super) enum Link {
    Tcp(TcpStream),
    WebSocket(Box<WebSocketStream<TcpStream>>),
}

impl Link {
    /// Connects to `tcp://HOST:PORT` or `ws://HOST:PORT`.
    pub(super) async fn connect(server: &str) -> anyhow::Result<Self> {
        let url = Url::parse(server)
            .with_context(|| format!("{server:?} is not a URL like tcp://127.0.0.1:3010"))?;
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .with_context(|| format!("{server}: the host is missing"))?;
        let port = url.port_or_known_default().with_context(|| format!("{server}: the port is missing"))?;
        if !matches!(url.scheme(), "tcp" | "ws") {
            bail!("{server}: a client speaks tcp:// or ws://");
        }
        let stream = TcpStream::connect(format!("{host}:{port}"))
            .await
            .with_context(|| format!("cannot connect to {server}"))?;
        stream.set_nodelay(true)?;
        if url.scheme() == "tcp" {
            return Ok(Link::Tcp(stream));
        }
        let (socket, _) = client_async(url.as_str(), stream)
            .await
            .with_context(|| format!("{server} does not speak WebSocket"))?;
        Ok(Link::WebSocket(Box::new(socket)))
    }

    /// Sends whole packages, and leaves the buffer empty. Over WebSocket each is a message of its own: Pomelo
    /// reads no more than one.
    pub(super) async fn send(&mut self, packages: &mut Vec<u8>) -> anyhow::Result<()> {
        match self {
            Link::Tcp(stream) => stream.write_all(packages).await?,
            Link::WebSocket(socket) => {
                let mut rest = Bytes::copy_from_slice(packages);
                while let Some(&[_, a, b, c]) = rest.first_chunk::<HEAD>() {
                    let length = HEAD + u32::from_be_bytes([0, a, b, c]) as usize;
                    socket.feed(Message::Binary(rest.split_to(length))).await?;
                }
                socket.flush().await?;
            }
        }
        packages.clear();
        Ok(())
    }

    /// Says goodbye.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        match self {
            Link::Tcp(mut stream) => stream.shutdown().await?,
            Link::WebSocket(mut socket) => WebSocketStream::close(&mut socket, None).await?,
        }
        Ok(())
    }

    /// What the server sent; none when it has closed.
    pub(super) async fn receive(&mut self) -> anyhow::Result<Option<Bytes>> {
        match self {
            Link::Tcp(stream) => {
                let mut bytes = Vec::with_capacity(16 << 10);
                let count = stream.read_buf(&mut bytes).await?;
                Ok((count > 0).then(|| bytes.into()))
            }
            Link::WebSocket(socket) => loop {
                return Ok(match socket.next().await.transpose()? {
                    Some(Message::Binary(bytes)) => Some(bytes),
                    Some(Message::Text(text)) => Some(text.into()),
                    Some(Message::Close(_)) | None => None,
                    Some(_) => continue,
                });
            },
        }
    }
}
