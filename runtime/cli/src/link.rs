//! A client's connection to a Pomelo server, over each transport that it can speak.

mod target;
mod tls;
mod udp;

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::{Sink as _, Stream as _};
use tokio::io::{AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use wireplug_connectors::ByteStream;
use wireplug_pomelo::package;

pub(super) use self::target::Target;
use self::target::Transport;
pub(super) use self::tls::{Identity, Tls, Trust};
use self::udp::Datagrams;

/// The size of a read, in bytes.
const READ: usize = 16 << 10;

/// A stream of bytes to a server.
type Stream = Box<dyn ByteStream>;

/// A connection to a Pomelo server.
pub(super) enum Link {
    Bytes(Stream),
    WebSocket(Box<WebSocketStream<Stream>>),
    Datagrams(Box<Datagrams>),
}

impl Link {
    pub(super) async fn connect(target: &Target) -> anyhow::Result<Self> {
        let server = &target.url;
        let cannot = || format!("cannot connect to {server}");
        let (addresses, tls, websocket) = match &target.transport {
            Transport::Udp(addresses) => {
                let datagrams = Datagrams::open(addresses).await.with_context(cannot)?;
                return Ok(Link::Datagrams(Box::new(datagrams)));
            }
            Transport::Unix(path) => {
                let stream = UnixStream::connect(path).await.with_context(cannot)?;
                return Ok(Link::Bytes(Box::new(stream)));
            }
            Transport::Tcp { addresses, tls, websocket } => (addresses, tls, *websocket),
        };
        let stream = TcpStream::connect(&addresses[..]).await.with_context(cannot)?;
        stream.set_nodelay(true)?;
        let stream: Stream = match tls {
            Some(tls) => Box::new(tls.connect(stream).await.with_context(cannot)?),
            None => Box::new(stream),
        };
        if !websocket {
            return Ok(Link::Bytes(stream));
        }
        // The buffer is small, because it is allocated when the connection opens, and for each
        // connection.
        let config = WebSocketConfig::default().read_buffer_size(READ);
        let (socket, _) = client_async_with_config(server, stream, Some(config))
            .await
            .with_context(|| format!("{server} does not speak WebSocket"))?;
        Ok(Link::WebSocket(Box::new(socket)))
    }

    /// Waits until bytes arrive from the server, appends them to `into`, and returns their number;
    /// 0 if the server has closed. Meanwhile sends the whole packages in `out`, and removes each
    /// from `out` when it is sent.
    ///
    /// Nothing is lost if the future is dropped before it completes.
    ///
    /// Sending and receiving run together, because a server that cannot send its answers stops
    /// reading.
    pub(super) async fn exchange(&mut self, out: &mut Vec<u8>, into: &mut Vec<u8>) -> anyhow::Result<usize> {
        std::future::poll_fn(|context| match self {
            Link::Bytes(stream) => exchange_bytes(stream, out, into, context),
            Link::WebSocket(socket) => exchange_messages(socket, out, into, context),
            Link::Datagrams(datagrams) => datagrams.poll_exchange(out, into, context),
        })
        .await
    }

    /// Closes the connection with the farewell that the transport has, if any.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        match self {
            Link::Bytes(mut stream) => stream.shutdown().await?,
            Link::WebSocket(mut socket) => WebSocketStream::close(&mut socket, None).await?,
            Link::Datagrams(_) => {}
        }
        Ok(())
    }
}

fn exchange_bytes(
    stream: &mut Stream,
    out: &mut Vec<u8>,
    into: &mut Vec<u8>,
    context: &mut Context<'_>,
) -> Poll<anyhow::Result<usize>> {
    // A send error is returned only after everything that can still be read, because that may tell
    // the cause.
    let sent = poll_write(stream, out, context);
    into.reserve(READ);
    let count = ready!(pin!(stream.read_buf(into)).poll(context))?;
    match sent {
        Poll::Ready(Err(error)) if count == 0 => Poll::Ready(Err(error.into())),
        _ => Poll::Ready(Ok(count)),
    }
}

fn poll_write(stream: &mut Stream, out: &mut Vec<u8>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
    let mut stream = Pin::new(stream);
    while !out.is_empty() {
        let count = ready!(stream.as_mut().poll_write(context, out))?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        out.drain(..count);
    }
    stream.poll_flush(context)
}

fn exchange_messages(
    socket: &mut WebSocketStream<Stream>,
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

/// Sends each package as a message of its own, because Pomelo reads only one package from a
/// message.
fn poll_send(
    socket: &mut WebSocketStream<Stream>,
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

/// Reads all messages that are there, so that all of them can be answered at once.
fn poll_receive(
    socket: &mut WebSocketStream<Stream>,
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
