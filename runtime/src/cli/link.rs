//! A client's connection to a Pomelo server, over TCP or WebSocket.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures_util::{Sink as _, Stream as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use url::Url;
use wireplug_pomelo::package;

/// The room for what one read brings.
const READ: usize = 16 << 10;

/// A server as its URL names it: `tcp://HOST:PORT` or `ws://HOST:PORT`.
pub(super) struct Target {
    url: String,
    websocket: bool,
    addresses: Vec<SocketAddr>,
}

impl Target {
    /// Reads the URL, and looks its host up.
    pub(super) async fn find(server: &str) -> anyhow::Result<Self> {
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
        let addresses = tokio::net::lookup_host(format!("{host}:{port}"))
            .await
            .with_context(|| format!("cannot find the host of {server}"))?;
        Ok(Self { url: server.to_owned(), websocket: url.scheme() == "ws", addresses: addresses.collect() })
    }
}

/// A connection to a Pomelo server.
pub(super) enum Link {
    Tcp(TcpStream),
    WebSocket(Box<WebSocketStream<TcpStream>>),
}

impl Link {
    pub(super) async fn connect(target: &Target) -> anyhow::Result<Self> {
        let server = &target.url;
        let stream = TcpStream::connect(&target.addresses[..])
            .await
            .with_context(|| format!("cannot connect to {server}"))?;
        stream.set_nodelay(true)?;
        if !target.websocket {
            return Ok(Link::Tcp(stream));
        }
        // Allocated at once, for each connection.
        let config = WebSocketConfig::default().read_buffer_size(READ);
        let (socket, _) = client_async_with_config(server, stream, Some(config))
            .await
            .with_context(|| format!("{server} does not speak WebSocket"))?;
        Ok(Link::WebSocket(Box::new(socket)))
    }

    /// Waits until the server sends something, and adds it to `into`; meanwhile sends the whole packages in
    /// `out`, and takes out what is sent. The count of bytes that came; 0 when the server has closed.
    ///
    /// Nothing is lost when this is dropped before it is done.
    ///
    /// Both at once: a server that finds no room for its answers does not read on.
    pub(super) async fn exchange(&mut self, out: &mut Vec<u8>, into: &mut Vec<u8>) -> anyhow::Result<usize> {
        match self {
            Link::Tcp(stream) => exchange_bytes(stream, out, into).await,
            Link::WebSocket(socket) => {
                std::future::poll_fn(|context| exchange_messages(socket, out, into, context)).await
            }
        }
    }

    /// Says goodbye.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        match self {
            Link::Tcp(mut stream) => stream.shutdown().await?,
            Link::WebSocket(mut socket) => WebSocketStream::close(&mut socket, None).await?,
        }
        Ok(())
    }
}

async fn exchange_bytes(
    stream: &mut TcpStream,
    out: &mut Vec<u8>,
    into: &mut Vec<u8>,
) -> anyhow::Result<usize> {
    let (mut reader, mut writer) = stream.split();
    // What cannot be sent any more is told after what can still be read, which may say why.
    let mut unsent = None;
    into.reserve(READ);
    loop {
        tokio::select! {
            biased;
            sent = writer.write(out), if !out.is_empty() && unsent.is_none() => match sent {
                Ok(count) => drop(out.drain(..count)),
                Err(error) => unsent = Some(error),
            },
            received = reader.read_buf(into) => return match (received?, unsent) {
                (0, Some(error)) => Err(error.into()),
                (count, _) => Ok(count),
            },
        }
    }
}

fn exchange_messages(
    socket: &mut WebSocketStream<TcpStream>,
    out: &mut Vec<u8>,
    into: &mut Vec<u8>,
    context: &mut Context<'_>,
) -> Poll<anyhow::Result<usize>> {
    let sent = poll_send(socket, out, context);
    match (poll_receive(socket, into, context)?, sent) {
        (Poll::Pending | Poll::Ready(0), Poll::Ready(Err(error))) => Poll::Ready(Err(error)),
        (received, _) => received.map(Ok),
    }
}

/// Each package is a message of its own: Pomelo reads no more than one.
fn poll_send(
    socket: &mut WebSocketStream<TcpStream>,
    out: &mut Vec<u8>,
    context: &mut Context<'_>,
) -> Poll<anyhow::Result<()>> {
    let mut socket = Pin::new(socket);
    let mut rest = &out[..];
    let mut ready = Poll::Ready(Ok(()));
    while let Some((_, _, next)) = package::split(rest) {
        ready = socket.as_mut().poll_ready(context);
        if !matches!(ready, Poll::Ready(Ok(()))) {
            break;
        }
        let one = Bytes::copy_from_slice(&rest[..rest.len() - next.len()]);
        socket.as_mut().start_send(Message::Binary(one))?;
        rest = next;
    }
    let taken = out.len() - rest.len();
    out.drain(..taken);
    ready!(ready)?;
    Poll::Ready(Ok(ready!(socket.poll_flush(context))?))
}

/// All that is there, so that all of it can be answered at once.
fn poll_receive(
    socket: &mut WebSocketStream<TcpStream>,
    into: &mut Vec<u8>,
    context: &mut Context<'_>,
) -> Poll<anyhow::Result<usize>> {
    let mut socket = Pin::new(socket);
    let before = into.len();
    while into.len() - before < READ {
        match socket.as_mut().poll_next(context) {
            Poll::Ready(Some(Ok(Message::Binary(bytes)))) => into.extend_from_slice(&bytes),
            Poll::Ready(Some(Ok(Message::Text(text)))) => into.extend_from_slice(text.as_bytes()),
            Poll::Ready(Some(Ok(Message::Close(_))) | None) => break,
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(Some(Err(_))) if into.len() > before => break,
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error.into())),
            Poll::Pending if into.len() > before => break,
            Poll::Pending => return Poll::Pending,
        }
    }
    Poll::Ready(Ok(into.len() - before))
}
