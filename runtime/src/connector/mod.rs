//! Connectors: accept clients and hand out sockets.
//!
//! A connector knows bytes, or whole messages, and no protocol. Another crate adds a transport by
//! implementing [`Connector`] and, for one that is not a stream, [`MessageSocket`].

mod hybrid;
mod rewind;
mod tcp;
mod url;
mod websocket;

use std::io;
use std::task::{Context, Poll};

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

pub use self::url::{ListenUrl, Transport};
pub use hybrid::Hybrid;
pub use tcp::Tcp;
pub use websocket::WebSocket;

/// Accepts clients of one transport at one address.
pub trait Connector: Send + 'static {
    /// Where clients reach it, with the port that was really bound.
    fn url(&self) -> String;

    /// Which kinds of sockets it may hand out.
    fn kinds(&self) -> SocketKinds;

    /// The next client. May be dropped and called again without losing one.
    ///
    /// # Errors
    /// Where the listener cannot accept at this moment; it is called again after a pause.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>>;
}

/// Which kinds of sockets a connector may hand out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketKinds {
    /// Streams of bytes.
    pub stream: bool,
    /// Message transports.
    pub messages: bool,
}

/// A client that has just connected.
pub struct Incoming {
    /// Its address as the transport writes it: `ip:port`, `[v6]:port`, or empty.
    pub address: String,
    /// What is left to be done before the first packet: to look at the first bytes, to upgrade. Runs in the
    /// connection's own task and under its deadline, so that a client that does nothing keeps nobody waiting.
    pub open: BoxFuture<'static, io::Result<Opened>>,
}

/// A client that is ready to send packets.
pub struct Opened {
    /// The transport it came by: `tcp`, `ws`.
    pub transport: &'static str,
    /// What the transport knows of it, as names and values.
    pub attributes: Vec<(String, String)>,
    /// Its socket.
    pub socket: Socket,
}

/// A client's socket.
pub enum Socket {
    /// A stream of bytes.
    Stream(Box<dyn ByteStream>),
    /// A message transport.
    Messages(Box<dyn MessageSocket>),
}

/// A stream of bytes in both directions.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// A socket that carries whole messages.
///
/// An error of the kind [`io::ErrorKind::InvalidData`] says that the client broke the transport's own protocol.
pub trait MessageSocket: Send {
    /// The next message from the client; none when it has closed.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>>;

    /// Ready when [`MessageSocket::send`] may be called once.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Takes a message to be sent, as text or not. Gathers as the transport can;
    /// [`MessageSocket::poll_flush`] follows.
    fn send(&mut self, message: Bytes, text: bool) -> io::Result<()>;

    /// Ready when all that was sent has been written.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ends the connection in the transport's way, saying why if it can. The code and the reason are those of
    /// the first call.
    fn poll_close(&mut self, code: CloseCode, reason: &str, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// How a connection ends, for transports that can say so. The numbers are those of WebSocket (RFC 6455,
/// section 7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum CloseCode {
    /// All is said.
    Normal = 1000,
    /// The server stops.
    Away = 1001,
    /// The client broke the protocol.
    Protocol = 1002,
    /// The client broke a rule of the server.
    Policy = 1008,
    /// The server failed.
    Internal = 1011,
}

/// Binds the listener that a URL names: `tcp://`, `ws://` or `hybrid://`, with `HOST:PORT`; port 0 takes a
/// free one.
///
/// `max_message` bounds a WebSocket message in bytes.
///
/// # Errors
/// Where the URL is none of these, or the address cannot be bound.
pub async fn bind(listen: &str, max_message: usize) -> anyhow::Result<Box<dyn Connector>> {
    let url = ListenUrl::parse(listen)?;
    let connect: fn(TcpListener, usize) -> io::Result<Box<dyn Connector>> = match url.transport {
        Transport::Tcp => |listener, _| Ok(Box::new(Tcp::new(listener)?)),
        Transport::WebSocket => |listener, max_message| Ok(Box::new(WebSocket::new(listener, max_message)?)),
        Transport::Hybrid => |listener, max_message| Ok(Box::new(Hybrid::new(listener, max_message)?)),
    };
    let listener =
        TcpListener::bind(url.address()).await.with_context(|| format!("cannot listen on {listen}"))?;
    connect(listener, max_message).with_context(|| format!("cannot listen on {listen}"))
}
