//! Connectors: they accept clients and hand out sockets.
//!
//! A connector moves bytes or whole messages. It knows no codec, except that it may give the name
//! of one. Another crate adds a transport by implementing [`Connector`] and, if the transport is
//! not a stream, [`MessageSocket`]; `docs/connectors.md` builds a connector step by step.
//!
//! | file | its job |
//! |---|---|
//! | `registry` | which connector a URL's scheme stands for |
//! | `url` | a listener's URL |
//! | `tcp` | TCP, and the layers of a connection over it |
//! | `unix`, `pipe` | sockets and named pipes of the file system |
//! | [`memory`] | streams within the process |
//! | `shm` | shared memory between processes (feature `shm`, Linux) |
//! | `bind`, `dead_peers`, `accept_errors` | the code that listeners of the operating system share: binding, detecting vanished peers, handling errors of accept |
//! | `proxy` | the PROXY header, by which a load balancer reports a client's address |
//! | `forwarded` | the header fields by which HTTP proxies report it |
//! | `health` | the answers to health checks |
//! | `protocol` | the protocol over a stream: plain packets, WebSocket, or either |
//! | `prefixed_stream` | a stream that can be given bytes back, and waits while its client is over its rates |
//! | `rate_wait` | the wait of a reader whose client is over its rates |
//! | `meter` | the rates that a client is held to |
//! | `tls` | TLS over a stream |
//! | `upgrade`, `websocket`, `frames` | WebSocket: its upgrade, its messages, the bounds of its frames |
//! | `http` | an answer for HTTP clients that connect to the wrong port |
//! | `socketio` | Socket.IO 4; with the feature `socketio` |
//! | `udp` | UDP: which client may open a session, and to which session a datagram belongs |

mod accept_errors;
mod bind;
pub mod certificates;
pub mod config;
mod dead_peers;
mod forwarded;
mod frames;
mod health;
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

pub use self::health::{Health, HealthAnswer};
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
pub use self::udp::{AddressCheck, MaxDatagramError, Udp, UdpOptions};
pub use self::unix::Unix;
pub use self::url::{HostPort, ListenUrl, UrlError};
use crate::certificates::Certificates;
use crate::config::{TlsConfig, WebSocketConfig};
use crate::running_time::RunningTime;
pub use wireplug_base::BoxError;

/// Code that the server shares with its connectors: it binds sockets, handles errors of accept, and
/// recognizes protocols by their first bytes. The control API uses it too.
pub mod listening {
    pub use crate::accept_errors::{AcceptErrors, SpareDescriptor, is_out_of_descriptors};
    pub use crate::bind::tcp_at as bind_tcp;
    pub use crate::dead_peers::DeadPeers;
    pub use crate::http::MAX_HEAD;
    pub use crate::proxy::contains;
    pub use crate::tls::{TlsError, UNEXPECTED, is_client_hello, load as load_tls};
    pub use crate::unix::{BindError, BoundSocket};
}

/// A listener of one transport at one address. Each transport defines what an address is.
///
/// A new connector has not used any resource of the system yet. [`start`](Connector::start)
/// listens, [`accept`](Connector::accept) returns one client after another, and
/// [`stop`](Connector::stop) frees the address.
pub trait Connector: Send + 'static {
    /// Returns the URL at which clients reach the connector. After [`start`](Connector::start), the
    /// URL has the address that was really bound, such as the port.
    fn url(&self) -> String;

    /// Returns the kinds of sockets that the connector may hand out.
    fn kinds(&self) -> SocketKinds;

    /// Returns the largest message in bytes if messages are datagrams. Several whole packets share
    /// a datagram up to that size, and a larger packet cannot be sent. Since datagrams may be lost,
    /// a codec whose packets run across messages is refused.
    ///
    /// The default, `None`, means that messages are not lost, and that each packet is sent as one
    /// message.
    fn max_datagram(&self) -> Option<usize> {
        None
    }

    /// Returns the name of the codec that a listener uses if the listener names none: a built-in
    /// codec, such as `sio`, or a codec that the application gave the server under this name.
    fn default_codec(&self) -> Option<&str> {
        None
    }

    /// Returns the number of file descriptors that each client takes in this process. With this
    /// number the server limits the connections, so that some descriptors stay in reserve.
    fn descriptors(&self) -> u32 {
        1
    }

    /// Returns the layers between the transport and the codec. A listener may have settings only
    /// for these layers.
    fn layers(&self) -> Layers {
        Layers::default()
    }

    /// Checks whether the connector can listen with these options, as far as that is possible
    /// without using any resource of the system. Called before [`start`](Connector::start), and
    /// when a configuration is only checked.
    ///
    /// # Errors
    /// Returns an error if the connector cannot listen with these options. `start` need not check
    /// this again.
    fn check(&self, options: &ListenOptions) -> Result<(), BoxError> {
        let _ = options;
        Ok(())
    }

    /// Starts to listen. Called once, before all methods below.
    ///
    /// # Errors
    /// Returns an error of any type if the connector cannot listen. The server adds the
    /// [`url`](Connector::url) to the error, and does not start.
    fn start<'a>(&'a mut self, options: &'a ListenOptions) -> BoxFuture<'a, Result<(), BoxError>>;

    /// Replaces the options, for the clients that are accepted from now on. Called while the
    /// connector listens, after [`check`](Connector::check) with the same options. The default does
    /// nothing; it is for a connector that uses no option after its start.
    ///
    /// # Errors
    /// Returns an error if the options cannot be used. The connector goes on with those that it
    /// has.
    fn update(&mut self, options: &ListenOptions) -> Result<(), BoxError> {
        let _ = options;
        Ok(())
    }

    /// Returns the next client. The future may be dropped, and the method called again, without
    /// losing a client. Not called after [`stop`](Connector::stop).
    ///
    /// # Errors
    /// Returns an error if the listener cannot accept at this moment. The server calls the method
    /// again: at once if the operating system's error concerns one client, such as `ECONNABORTED`,
    /// and otherwise after a pause.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>>;

    /// Stops accepting clients, and frees the address: another listener can use the address at
    /// once. Sockets that were handed out stay open; the server closes them itself. If they share
    /// the bound socket, as over UDP, the address is free when the last of them is closed. The call
    /// does nothing if the connector has stopped already, or never started. Dropping a connector
    /// must also stop it.
    fn stop(&mut self);
}

/// The kinds of sockets that a connector may hand out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketKinds {
    /// Streams of bytes.
    pub stream: bool,
    /// Message transports.
    pub messages: bool,
}

/// The layers of a connector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    /// The connector encrypts, so its listener must have settings for TLS.
    pub tls: bool,
    /// The connector can let TLS begin in the middle of a stream, so its listener may have settings
    /// for TLS with `starttls`.
    pub starttls: bool,
    /// The connector speaks WebSocket, or lets its clients choose WebSocket.
    pub websocket: bool,
}

impl Layers {
    /// Compares a listener's settings with these layers. Returns the key of a setting that is
    /// missing or would have no effect, and what is wrong, or `None` if the settings fit.
    pub fn misfit(
        self,
        tls: Option<&TlsConfig>,
        websocket: &WebSocketConfig,
    ) -> Option<(&'static str, &'static str)> {
        match tls {
            None if self.tls => {
                return Some(("tls", "it is encrypted, and has no `tls` with a `certificate` and its `key`"));
            }
            Some(tls) if tls.starttls && !self.starttls => {
                let what = "its `tls.starttls` would have no effect: only tcp:// can switch to TLS later";
                return Some(("tls", what));
            }
            Some(tls) if !self.tls && !tls.starttls => {
                let what = "it is not encrypted, so `tls` would have no effect; tls://, wss:// and hybrid+tls:// are, and \
                            tcp:// switches to TLS later with `tls.starttls = true`";
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
    /// The client's address as the transport writes it: `ip:port`, `[v6]:port`, or empty. The rules
    /// for addresses, such as the lists of networks and the limit for each address, apply only if
    /// there is an IP address.
    pub address: String,
    /// Whether the address is that of a load balancer. The client's own address is known when
    /// [`open`](Incoming::open) has finished.
    pub behind_proxy: bool,
    /// The steps that remain before the first packet, such as looking at the first bytes, or an
    /// upgrade. The future runs in the connection's own task and under its deadline, so that a
    /// client that sends nothing does not delay other clients.
    ///
    /// The kind of an error says what the client did:
    /// - [`io::ErrorKind::TimedOut`]: its first byte did not come in time.
    /// - [`io::ErrorKind::InvalidData`]: it broke the transport's protocol.
    /// - [`io::ErrorKind::PermissionDenied`]: the rules of the listener refuse it.
    /// - [`io::ErrorKind::QuotaExceeded`]: it was over its rates.
    /// - [`io::ErrorKind::UnexpectedEof`]: it closed the connection without sending a byte.
    ///
    /// An error of any other kind is an error of the socket.
    pub open: BoxFuture<'static, io::Result<Opened>>,
}

/// A client that is ready to send packets.
pub struct Opened {
    /// The name of the client's transport, such as `tcp`, `ws` or `unix`.
    pub transport: &'static str,
    /// The client's address, if a load balancer has reported it.
    pub client: Option<String>,
    /// Attributes that the transport knows of the client, as names and values. The codec and the
    /// application see them.
    pub attributes: Vec<(String, String)>,
    /// The meter with which the connector counts the client's bytes as it reads them, and its
    /// frames or datagrams if the transport has any. The server then counts only the packets of a
    /// message after the first one. If this is `None`, the server itself counts [`Traffic::read`]
    /// and the messages or packets that the socket returns.
    pub meter: Option<RateMeter>,
    /// Lets TLS begin in the middle of the client's stream, if the listener offers that. The
    /// attributes then contain `starttls`.
    pub starttls: Option<StartTls>,
    /// The client's socket.
    pub socket: Socket,
}

/// Lets TLS begin in the middle of a client's stream.
pub struct StartTls(Box<Begin>);

type Begin = dyn FnOnce(Box<dyn ByteStream>, Vec<u8>) -> BoxFuture<'static, io::Result<Secured>> + Send;

/// A stream on which TLS is up.
pub struct Secured {
    /// The encrypted stream.
    pub stream: Box<dyn ByteStream>,
    /// The attributes that TLS added.
    pub attributes: Vec<(String, String)>,
}

impl StartTls {
    /// The attribute of a client whose stream can switch to TLS.
    pub const ATTRIBUTE: &'static str = "starttls";

    /// Creates the switch. `begin` gets the client's stream, and the bytes of TLS that were read
    /// from it already. It performs the handshake.
    pub fn new<F>(begin: impl FnOnce(Box<dyn ByteStream>, Vec<u8>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = io::Result<Secured>> + Send + 'static,
    {
        Self(Box::new(|stream, early| Box::pin(begin(stream, early))))
    }

    /// Performs the handshake on the client's stream. `early` are the bytes of TLS that were read
    /// from it already.
    ///
    /// # Errors
    /// Returns an error of kind [`io::ErrorKind::InvalidData`] if the client does not speak TLS, or
    /// breaks the handshake off.
    pub fn begin(
        self,
        stream: Box<dyn ByteStream>,
        early: Vec<u8>,
    ) -> BoxFuture<'static, io::Result<Secured>> {
        (self.0)(stream, early)
    }
}

/// A client's socket.
pub enum Socket {
    /// A stream of bytes.
    Stream(Box<dyn ByteStream>),
    /// A message transport.
    Messages(Box<dyn MessageSocket>),
}

/// A stream of bytes in both directions. The end of the stream means that the client has closed the
/// connection. Errors of the stream are errors of the socket.
///
/// The server passes all bytes that it sends together to one
/// [`poll_write`](AsyncWrite::poll_write). If the transport takes only a part, the rest follows in
/// further calls.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// A socket that carries whole messages.
///
/// A method returns an error of the kind [`io::ErrorKind::InvalidData`] if the client broke the
/// transport's own protocol. An error of any other kind is an error of the socket.
pub trait MessageSocket: Send {
    /// Returns the next message from the client, always exactly one whole message, or `None` if the
    /// client has closed the connection.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>>;

    /// Returns whether the message received last was text, for a transport that tells text and
    /// binary apart. Called once after each message.
    fn is_text(&self) -> bool {
        false
    }

    /// Waits until [`MessageSocket::send`] may be called once.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Takes a message to send, as text if `text` is true and as binary otherwise. The transport
    /// may gather messages until the call of [`MessageSocket::poll_flush`] that follows.
    fn send(&mut self, message: Bytes, text: bool) -> io::Result<()>;

    /// Returns the number of the acknowledgement that the client wants for the message received
    /// last, or `None` if it wants none or the transport has no acknowledgements. The client
    /// chooses the number. Called once after each message.
    fn take_ack(&mut self) -> Option<u64> {
        None
    }

    /// Takes the acknowledgement with the number `ack` to send, like [`MessageSocket::send`]. If
    /// the acknowledged message is a request, `message` is the response; otherwise `message` is
    /// `None`. Called at most once for each number.
    fn acknowledge(&mut self, ack: u64, message: Option<Bytes>, text: bool) -> io::Result<()> {
        let _ = ack;
        message.map_or(Ok(()), |message| self.send(message, text))
    }

    /// Waits until all messages that were sent have been written.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Returns how much data has passed over the socket so far.
    fn traffic(&self) -> Traffic;

    /// Returns whether the client receives what is sent to its address. An unverified session ends
    /// after the listener's `handshake-timeout`. The default is true, for transports on which no
    /// client can open a session with a forged address.
    fn is_address_verified(&self) -> bool {
        true
    }

    /// Notes that the codec has found that the client receives what is sent to its address. May be
    /// called several times.
    fn verify_address(&mut self) {}

    /// Returns the messages that were lost since the last call, for a transport that may lose
    /// messages.
    fn take_lost(&mut self) -> Lost {
        Lost::default()
    }

    /// Closes the connection in the transport's way, and sends the code and the reason if the
    /// transport can. The code and the reason of the first call apply.
    fn poll_close(&mut self, code: CloseCode, reason: &str, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// The data that has passed over a socket so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes from the client.
    pub read: u64,
    /// Bytes to the client, as far as the transport knows that the client takes them. A connection
    /// on which this number grows is not idle.
    pub written: u64,
    /// Whether a message has arrived in part.
    pub partial: bool,
}

/// The messages that a transport has lost, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Messages in either direction that were too long, came faster than they were read, or could
    /// not be sent.
    pub messages: u64,
    /// Messages that were not sent because the client's address is not verified, and the client has
    /// been sent as much as such a client may be sent.
    pub unverified: u64,
    /// Messages from any address without a session that opened none because of a limit.
    pub turned_away: u64,
}

/// The reason why a connection ends, for transports that can send one. The numbers are those of
/// WebSocket (RFC 6455, section 7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// The connection ends normally.
    pub const NORMAL: Self = Self(1000);
    /// The client broke the protocol.
    pub const PROTOCOL: Self = Self(1002);
    /// The client broke a rule of the server.
    pub const POLICY: Self = Self(1008);
    /// The server failed.
    pub const INTERNAL: Self = Self(1011);
    /// The server stops or restarts. The client may connect again, at best after a random time.
    pub const RESTART: Self = Self(1012);
    /// The server has no room now. The client may try again later.
    pub const TRY_LATER: Self = Self(1013);
}

/// The options of a listener, which its connector gets when it starts, and when they change.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListenOptions {
    /// The largest message of a message transport, in bytes.
    pub max_message: usize,
    /// Load balancers whose connections begin with a PROXY header.
    pub proxies: Vec<IpNet>,
    /// The longest time from accept until the client's first byte, for transports that cannot open
    /// without that byte. Zero: no limit.
    pub first_byte_timeout: Duration,
    /// The longest time without any sign of life from the client, for transports that need such a
    /// limit. Zero: no limit.
    pub idle_timeout: Duration,
    /// The longest time in which a client takes none of the bytes that are written to it, for
    /// transports that can observe this better than the server. Zero: no limit.
    pub write_timeout: Duration,
    /// The longest time from accept until the end of the handshake, for transports that have a
    /// handshake of their own. Zero: no limit.
    pub handshake_timeout: Duration,
    /// The largest number of sessions at a time, for transports that must keep state before a
    /// session opens.
    pub max_connections: usize,
    /// The rates of the listener's clients, for transports that read data that does not become
    /// packets.
    pub rate: RateLimits,
    /// The settings for TLS, for a connector that encrypts.
    pub tls: Option<TlsConfig>,
    /// The settings for WebSocket connections.
    pub websocket: WebSocketConfig,
    /// Records when the certificates for TLS expire.
    pub certificates: Certificates,
    /// The clock with which the deadlines of clients are measured.
    pub time: RunningTime,
    /// The health of the server, for transports that can be asked for it.
    pub health: Health,
}

impl Default for ListenOptions {
    /// Returns the options of a listener with the default limits.
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
            health: Health::default(),
        }
    }
}
