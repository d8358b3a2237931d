//! Connectors: accept clients and hand out sockets.
//!
//! A connector knows bytes, or whole messages, and no codec but, if it likes, the name of one.
//! Another crate adds a transport by implementing [`Connector`] and, for one that is not a stream,
//! [`MessageSocket`]; `docs/connectors.md` builds one from nothing.
//!
//! | file | its job |
//! |---|---|
//! | `registry` | which connector a URL's scheme stands for |
//! | `url` | a listener's URL |
//! | `tcp` | TCP, and the layers of a connection over it |
//! | `unix`, `pipe` | sockets and named pipes of the file system |
//! | [`memory`] | streams within the process |
//! | `shm` | shared memory between processes (feature `shm`, Linux) |
//! | `bind`, `dead_peers`, `accept_errors` | what sockets of the system have in common: to bind, to notice that a peer is gone, to fail to accept |
//! | `proxy` | a client's address from a load balancer |
//! | `protocol` | what is spoken over a stream: packets at once, WebSocket, or either |
//! | `prefixed_stream` | a stream that can be given bytes back, and waits while its client is over its rates |
//! | `rate_wait` | the wait of a reader whose client is over its rates |
//! | `meter` | the rates that a client is held to |
//! | `tls` | TLS over a stream |
//! | `upgrade`, `websocket`, `frames` | WebSocket: its opening, its messages, where its frames end |
//! | `http` | an answer for clients of HTTP that are wrong here |
//! | `socketio` | Socket.IO 4; with the feature `socketio` |
//! | `udp` | UDP: who may open a session, and whose a datagram is |

mod accept_errors;
mod bind;
pub mod certificates;
pub mod config;
mod dead_peers;
mod frames;
mod http;
pub mod memory;
mod meter;
mod path;
mod pipe;
mod prefixed_stream;
mod protocol;
mod proxy;
mod rate_wait;
mod registry;
pub mod running_time;
#[cfg(all(feature = "shm", target_os = "linux"))]
pub mod shm;
#[cfg(feature = "socketio")]
mod socketio;
mod tcp;
mod tls;
mod udp;
mod unix;
mod upgrade;
mod url;
mod websocket;

use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncWrite};

pub use self::memory::Memory;
pub use self::meter::{Pace, RateLimits, RateMeter};
pub use self::path::PathOptions;
pub use self::pipe::Pipe;
pub use self::protocol::Protocol;
pub use self::registry::{Connectors, CreateError};
#[cfg(all(feature = "shm", target_os = "linux"))]
pub use self::shm::{Shm, ShmNameError};
#[cfg(feature = "socketio")]
pub use self::socketio::SocketIoServer;
pub use self::tcp::Tcp;
pub use self::udp::{MaxDatagramError, Udp, UdpOptions};
pub use self::unix::Unix;
pub use self::url::{HostPort, ListenUrl, UrlError};
use crate::certificates::Certificates;
use crate::config::{TlsConfig, WebSocketConfig};
use crate::running_time::RunningTime;
pub use wireplug_base::BoxError;

/// What a server shares with its connectors: how sockets of the system are bound and accepted, and
/// what first bytes give away. The control API listens by it too.
pub mod listening {
    pub use crate::accept_errors::{AcceptErrors, SpareDescriptor, is_out_of_descriptors};
    pub use crate::bind::tcp_at as bind_tcp;
    pub use crate::dead_peers::DeadPeers;
    pub use crate::http::MAX_HEAD;
    pub use crate::proxy::contains;
    pub use crate::tls::{TlsError, UNEXPECTED, is_client_hello, load as load_tls};
    pub use crate::unix::{BindError, BoundSocket};
}

/// Accepts clients of one transport at one address, whatever an address is to it.
///
/// Made, it has touched nothing; [`start`](Connector::start) listens, [`accept`](Connector::accept)
/// is the stream of its clients, and [`stop`](Connector::stop) gives the address back.
pub trait Connector: Send + 'static {
    /// Where clients reach it. Once it has started, with what was really bound, such as the port.
    fn url(&self) -> String;

    /// Which kinds of sockets it may hand out.
    fn kinds(&self) -> SocketKinds;

    /// The largest message, in bytes, where messages are datagrams: whole packets share one up to
    /// that size, and a packet that does not fit cannot be sent. Since datagrams may be lost, a
    /// codec whose packets run across messages is refused. None: messages arrive, and each packet
    /// is one.
    fn max_datagram(&self) -> Option<usize> {
        None
    }

    /// The name of the codec that a listener speaks here unless it names another one: a codec that
    /// is built in, such as `sio`, or one that the server was given under this name.
    fn default_codec(&self) -> Option<&str> {
        None
    }

    /// How many file descriptors of this process a client takes. The server keeps some in reserve
    /// by it.
    fn descriptors(&self) -> u32 {
        1
    }

    /// Which layers lie between its transport and the codec: a listener has settings for these
    /// alone.
    fn layers(&self) -> Layers {
        Layers::default()
    }

    /// Whether it can listen with these options, as far as that can be said without touching
    /// anything. Called before [`start`](Connector::start), and where a configuration is checked
    /// and nothing is started.
    ///
    /// # Errors
    /// Returns an error if it cannot: `start` need not look at that again.
    fn check(&self, options: &ListenOptions) -> Result<(), BoxError> {
        let _ = options;
        Ok(())
    }

    /// Listens. Called once, before all below.
    ///
    /// # Errors
    /// Returns an error of any type if it cannot listen. The server adds where, by
    /// [`url`](Connector::url), and starts nothing.
    fn start<'a>(&'a mut self, options: &'a ListenOptions) -> BoxFuture<'a, Result<(), BoxError>>;

    /// The next client. May be dropped and called again without losing one. Not called after
    /// [`stop`](Connector::stop).
    ///
    /// # Errors
    /// Where the listener cannot accept at this moment. It is called again: at once where the
    /// system's error is that of one client, such as `ECONNABORTED`, else after a pause.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>>;

    /// Accepts nobody any more, and frees the address: another may listen there at once. Sockets
    /// that were handed out live on; the server ends them in its own way. Where they share what is
    /// bound, as over UDP, the address is free when the last of them is gone. To stop twice, or
    /// what never started, does nothing. A connector that is dropped has stopped too.
    fn stop(&mut self);
}

/// Which kinds of sockets a connector may hand out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketKinds {
    /// Streams of bytes.
    pub stream: bool,
    /// Message transports.
    pub messages: bool,
}

/// Which layers a connector has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    /// It encrypts: its listener must have settings for TLS.
    pub tls: bool,
    /// It speaks WebSocket, or may.
    pub websocket: bool,
}

impl Layers {
    /// What is wrong with a listener's settings for layers, and the key that it concerns: each has
    /// its layer, and TLS its settings.
    pub fn misfit(
        self,
        tls: Option<&TlsConfig>,
        websocket: &WebSocketConfig,
    ) -> Option<(&'static str, &'static str)> {
        match tls {
            None if self.tls => {
                return Some(("tls", "it is encrypted, and has no `tls` with a `certificate` and its `key`"));
            }
            Some(_) if !self.tls => {
                let what = "it is not encrypted, so `tls` would have no effect; tls://, wss:// and hybrid+tls:// are";
                return Some(("tls", what));
            }
            _ => {}
        }
        let idle = !self.websocket && *websocket != WebSocketConfig::default();
        idle.then_some(("websocket", "it speaks no WebSocket, so `websocket` would have no effect"))
    }
}

/// A client that has just connected.
pub struct Incoming {
    /// Its address as the transport writes it: `ip:port`, `[v6]:port`, or empty. What is said of
    /// addresses, as the lists of networks and the limit for one, holds where there is an IP
    /// address.
    pub address: String,
    /// The address is a load balancer's: the client's own is known when the connection is open.
    pub behind_proxy: bool,
    /// What is left to be done before the first packet: to look at the first bytes, to upgrade.
    /// Runs in the connection's own task and under its deadline, so that a client that does nothing
    /// keeps nobody waiting.
    ///
    /// The kind of an error says what the client did: [`io::ErrorKind::TimedOut`], that its first
    /// byte did not come in time; [`io::ErrorKind::InvalidData`], that it broke the transport's
    /// protocol; [`io::ErrorKind::PermissionDenied`], that the listener's rules keep it out;
    /// [`io::ErrorKind::QuotaExceeded`], that it was over its rates;
    /// [`io::ErrorKind::UnexpectedEof`], that it left without a byte. Any other is the socket's.
    pub open: BoxFuture<'static, io::Result<Opened>>,
}

/// A client that is ready to send packets.
pub struct Opened {
    /// The transport it came by: `tcp`, `ws`, `unix`.
    pub transport: &'static str,
    /// The client's address, where a load balancer has reported it.
    pub client: Option<String>,
    /// What the transport knows of it, as names and values: codec and application see them.
    pub attributes: Vec<(String, String)>,
    /// What counts the client's bytes where the connector reads them, and its frames or datagrams
    /// too if it has such: then only packets are counted here, beyond the first of a message. None:
    /// what the socket gives is counted, and [`Traffic::read`].
    pub meter: Option<RateMeter>,
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

/// A stream of bytes in both directions. Its end is the client's goodbye, and its errors are those
/// of the socket.
///
/// What is sent together comes as one [`poll_write`](AsyncWrite::poll_write), as far as the
/// transport takes it.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// A socket that carries whole messages.
///
/// An error of the kind [`io::ErrorKind::InvalidData`] says that the client broke the transport's
/// own protocol.
pub trait MessageSocket: Send {
    /// The next message from the client, never a part of one and never two; none when it has
    /// closed.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>>;

    /// Ready when [`MessageSocket::send`] may be called once.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Takes a message to be sent, as text or not. Gathers as the transport can;
    /// [`MessageSocket::poll_flush`] follows.
    fn send(&mut self, message: Bytes, text: bool) -> io::Result<()>;

    /// The acknowledgement that the client wants for the message received last, by a number of its
    /// choice, where the transport has acknowledgements. Asked once behind each message.
    fn take_ack(&mut self) -> Option<u64> {
        None
    }

    /// As [`MessageSocket::send`], for the acknowledgement with this number: with the response,
    /// where what the client wants acknowledged is a request, and else without a message. Each is
    /// sent at most once.
    fn acknowledge(&mut self, ack: u64, message: Option<Bytes>, text: bool) -> io::Result<()> {
        let _ = ack;
        message.map_or(Ok(()), |message| self.send(message, text))
    }

    /// Ready when all that was sent has been written.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// What has passed so far.
    fn traffic(&self) -> Traffic;

    /// How many messages were lost since the last call, in either direction, where a transport may
    /// lose some.
    fn take_lost(&mut self) -> u64 {
        0
    }

    /// Ends the connection in the transport's way, saying why if it can. The code and the reason
    /// are those of the first call.
    fn poll_close(&mut self, code: CloseCode, reason: &str, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// What has passed over a socket so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes from the client.
    pub read: u64,
    /// Bytes to the client, as far as it is known that somebody takes them: they keep a connection
    /// from being idle.
    pub written: u64,
    /// A message has begun to come and is not whole yet.
    pub partial: bool,
}

/// How a connection ends, for transports that can say so. The numbers are those of WebSocket (RFC
/// 6455, section 7.4.1).
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

/// What a connector gets when it starts.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListenOptions {
    /// The longest message of a message transport, in bytes.
    pub max_message: usize,
    /// Load balancers whose connections begin with a PROXY header.
    pub proxies: Vec<IpNet>,
    /// From accept until the first byte, for transports that cannot open without it. Zero: no
    /// limit.
    pub first_byte_timeout: Duration,
    /// Without a sign of life of the client, for transports that cannot do without. Zero: no limit.
    pub idle_timeout: Duration,
    /// While a client takes nothing of what is written to it, for transports that see more of that
    /// than the server does. Zero: no limit.
    pub write_timeout: Duration,
    /// From accept until the handshake is over, for transports that have one of their own. Zero: no
    /// limit.
    pub handshake_timeout: Duration,
    /// Sessions at a time that the server has room for, for transports that must keep something
    /// before there is one.
    pub max_connections: usize,
    /// The rates of its clients, for transports that read what no packet comes of.
    pub rate: RateLimits,
    /// TLS, for a connector that encrypts.
    pub tls: Option<TlsConfig>,
    /// How WebSocket connections open.
    pub websocket: WebSocketConfig,
    /// Learns when the certificates of TLS expire.
    pub certificates: Certificates,
    /// The time in which clients are held to their deadlines.
    pub time: RunningTime,
}

impl Default for ListenOptions {
    /// As a listener has them whose limits are the default ones.
    fn default() -> Self {
        Self {
            max_message: 64 << 10,
            proxies: Vec::new(),
            first_byte_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(300),
            write_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            max_connections: 10_000,
            rate: RateLimits::default(),
            tls: None,
            websocket: WebSocketConfig::default(),
            certificates: Certificates::default(),
            time: RunningTime::default(),
        }
    }
}
