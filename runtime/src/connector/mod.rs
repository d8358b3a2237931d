//! Connectors: accept clients and hand out sockets.
//!
//! A connector knows bytes, or whole messages, and no protocol. Another crate adds a transport by
//! implementing [`Connector`] and, for one that is not a stream, [`MessageSocket`].

mod acceptor;
mod frames;
mod hybrid;
mod rewind;
mod tcp;
mod url;
mod websocket;

use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

pub use self::url::{ListenUrl, Transport};
pub(crate) use acceptor::contains;
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
    /// The address is a load balancer's: the client's own is known when the connection is open.
    pub behind_proxy: bool,
    /// What is left to be done before the first packet: to look at the first bytes, to upgrade. Runs in the
    /// connection's own task and under its deadline, so that a client that does nothing keeps nobody waiting.
    pub open: BoxFuture<'static, io::Result<Opened>>,
}

/// A client that is ready to send packets.
pub struct Opened {
    /// The transport it came by: `tcp`, `ws`.
    pub transport: &'static str,
    /// The client's address, where a load balancer has told it.
    pub client: Option<String>,
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
/// An error of the kind [`io::ErrorKind::InvalidData`] says that the client broke the transport's own
/// protocol.
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

    /// What has passed so far.
    fn traffic(&self) -> Traffic;

    /// Ends the connection in the transport's way, saying why if it can. The code and the reason are those of
    /// the first call.
    fn poll_close(&mut self, code: CloseCode, reason: &str, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// What has passed over a socket so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes from the client.
    pub read: u64,
    /// Bytes to the client.
    pub written: u64,
    /// A message has begun to come and is not whole yet.
    pub partial: bool,
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

/// What a listener is told when it is bound.
#[derive(Clone, Debug)]
pub struct BindOptions {
    /// The longest message of a message transport, in bytes.
    pub max_message: usize,
    /// Load balancers whose connections begin with a PROXY header.
    pub proxies: Vec<IpNet>,
    /// From accept until the first byte, for transports that cannot open without it. Zero: no limit.
    pub first_byte_timeout: Duration,
}

/// Binds the listener that a URL names: `tcp://`, `ws://` or `hybrid://`, with `HOST:PORT`; port 0 takes a
/// free one.
///
/// # Errors
/// Where the URL is none of these, or the address cannot be bound.
pub async fn bind(listen: &str, options: &BindOptions) -> anyhow::Result<Box<dyn Connector>> {
    type Connect = fn(TcpListener, &BindOptions) -> io::Result<Box<dyn Connector>>;
    let url = ListenUrl::parse(listen)?;
    let connect: Connect = match url.transport {
        Transport::Tcp => |listener, options| Ok(Box::new(Tcp::new(listener, options)?)),
        Transport::WebSocket => |listener, options| Ok(Box::new(WebSocket::new(listener, options)?)),
        Transport::Hybrid => |listener, options| Ok(Box::new(Hybrid::new(listener, options)?)),
    };
    let cannot = || format!("cannot listen on {listen}");
    let listener = TcpListener::bind(url.address()).await.with_context(cannot)?;
    connect(listener, options).with_context(cannot)
}
