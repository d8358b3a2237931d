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
//! | `socket` | a client's socket, of bytes or of messages |
//! | `handover` | a client's socket on its way to another process |
//! | `tcp` | TCP, and the layers of a connection over it |
//! | `unix`, `pipe` | sockets and named pipes of the file system |
//! | [`memory`] | streams within the process |
//! | `shm` | shared memory between processes (feature `shm`, Linux) |
//! | `bind`, `dead_peers`, `accept_errors` | the code that listeners of the operating system share: binding, detecting vanished peers, handling errors of accept |
//! | `inherited` | listening sockets that another process has bound |
//! | `socket_buffers` | the sizes of the kernel's buffers for a client |
//! | `proxy` | the PROXY header, by which a load balancer reports a client's address |
//! | `forwarded` | the header fields by which HTTP proxies report it |
//! | `health` | the answers to health checks |
//! | `protocol` | the protocol over a stream: plain packets, WebSocket, or either |
//! | `prefixed_stream` | a stream that can be given bytes back, and waits while its client is over its rates |
//! | `rate_wait` | the wait of a reader whose client is over its rates |
//! | `meter` | the rates that a client is held to |
//! | `tls` | TLS over a stream |
//! | `turn_away` | how the server turns away clients that speak HTTP |
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
mod handover;
mod health;
mod http;
mod inherited;
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
mod socket;
mod socket_buffers;
#[cfg(feature = "socketio")]
mod socketio;
mod tcp;
mod tls;
mod turn_away;
mod udp;
mod unix;
mod upgrade;
mod url;
mod websocket;

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use futures_util::future::BoxFuture;
use ipnet::IpNet;

pub use self::handover::{HandedSocket, PROTOCOL as HANDOVER_PROTOCOL};
pub use self::health::{Health, HealthAnswer};
pub use self::memory::Memory;
pub use self::meter::{Pace, RateLimits, RateMeter, SavedMeter};
pub use self::path::PathOptions;
pub use self::pipe::Pipe;
pub use self::protocol::Protocol;
pub use self::registry::{Connectors, CreateError};
#[cfg(all(feature = "shm", target_os = "linux"))]
pub use self::shm::{Shm, ShmNameError};
pub use self::socket::{ByteStream, CloseCode, Lost, MessageSocket, Socket, Traffic};
#[cfg(feature = "socketio")]
pub use self::socketio::SocketIoServer;
pub use self::tcp::Tcp;
pub use self::turn_away::{TurnAway, TurnedAway};
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
    pub use crate::inherited::{is_tcp_at, tcp as inherit_tcp};
    pub use crate::proxy::contains;
    pub use crate::tls::{
        Secure, ServerTls, TlsError, TlsFiles, UNEXPECTED, is_client_hello, load as load_tls,
    };
    pub use crate::unix::{BindError, BoundSocket};
}

/// A listener of one transport at one address. Each transport defines what an address is.
///
/// A new connector has not used any resource of the system yet. [`start`](Connector::start)
/// listens, [`accept`](Connector::accept) returns one client after another, and
/// [`stop`](Connector::stop) frees the address.
///
/// When the server is upgraded, the connectors of the old and of the new process work together, in
/// this order:
///
/// 1. The old one returns its [`sockets`](Connector::sockets). The new one
///    [`inherit`](Connector::inherit)s them, and starts.
/// 2. The old one is not asked to accept any more. If it has a shared socket, it
///    [`pause`](Connector::pause)s.
/// 3. The new one [`adopt`](Connector::adopt)s clients. Meanwhile it accepts others, or, with a
///    shared socket, does so after [`resume`](Connector::resume).
/// 4. The old one [`leave`](Connector::leave)s.
///
/// If the new process fails before that, the old one accepts again, after `resume` if it paused.
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

    /// Returns duplicates of the listening sockets, for another process. Empty if they cannot be
    /// passed, or if the connector does not listen.
    ///
    /// # Errors
    /// Returns an error if the process has no descriptor left.
    fn sockets(&self) -> io::Result<Vec<OwnedFd>> {
        Ok(Vec::new())
    }

    /// Returns whether a listening socket is bound to the connector's address, for sockets that the
    /// service manager has bound. Called before [`start`](Connector::start). A port that is 0 has
    /// no such socket. May wait for the resolution of a name.
    fn is_for(&self, socket: BorrowedFd<'_>) -> bool {
        let _ = socket;
        false
    }

    /// Takes listening sockets that another process has bound, instead of binding. Called before
    /// [`start`](Connector::start), at most once, and within a runtime of tokio.
    ///
    /// # Errors
    /// Returns an error if the connector takes no sockets over, or if these are not such sockets as
    /// it listens on.
    fn inherit(&mut self, sockets: Vec<OwnedFd>) -> Result<(), BoxError> {
        let _ = sockets;
        Err("its transport takes no sockets over".into())
    }

    /// Continues with a client of another process, whose connector was of the same kind. The
    /// connector applies the options that it has now. Called after [`start`](Connector::start).
    ///
    /// The attributes and the address of the client move with its session, so [`Opened`] has none
    /// of them. Its meter begins anew, unless the server calls [`RateMeter::resume`].
    ///
    /// # Errors
    /// Returns an error of kind [`io::ErrorKind::Unsupported`] if the connector takes no clients
    /// over, one of kind [`io::ErrorKind::InvalidData`] if this is not a client that it can serve,
    /// and otherwise the error of the system. The other process then goes on with the client.
    fn adopt(&mut self, client: HandedSocket) -> io::Result<Opened> {
        let _ = client;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Stops accepting clients like [`stop`](Connector::stop), but leaves the address to the other
    /// process that has the sockets: the file of a Unix domain socket stays.
    fn leave(&mut self) {
        self.stop();
    }

    /// Stops reading a socket that the clients share, as over UDP, and returns what another process
    /// must know to go on reading it. Until [`resume`](Connector::resume), what clients send waits
    /// in the kernel, and the server does not call [`accept`](Connector::accept). Called before the
    /// clients are handed over.
    ///
    /// `None` for transports on which each client has a socket of its own: two processes may accept
    /// from one listening socket.
    fn pause(&mut self) -> Option<Vec<u8>> {
        None
    }

    /// Goes on reading a socket that the clients share. After [`inherit`](Connector::inherit), the
    /// connector does not read before this call.
    ///
    /// `state` is what [`pause`](Connector::pause) returned in the other process. It is `None` if
    /// that process is gone, and for a connector that was paused itself, which has its state.
    fn resume(&mut self, state: Option<&[u8]>) {
        let _ = state;
    }
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
    /// For a transport that can answer a client whom the server turns away: `open` asks it for the
    /// server's decision, answers the client, and returns an error. `None` for other transports:
    /// the connection of such a client is just closed.
    pub turn_away: Option<TurnAway>,
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
    /// The size in bytes of the kernel's buffer for what comes from each client. Zero: the kernel
    /// chooses.
    pub receive_buffer: usize,
    /// The size in bytes of the kernel's buffer for what goes to each client. Zero: the kernel
    /// chooses.
    pub send_buffer: usize,
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
            receive_buffer: 0,
            send_buffer: 0,
            certificates: Certificates::default(),
            time: RunningTime::default(),
            health: Health::default(),
        }
    }
}
