//! Socket.IO 4 over HTTP long-polling and WebSocket. The text or bytes of each event `message` are
//! a packet.
//!
//! This implements as much of Engine.IO 4 and Socket.IO 5 as one namespace and one event need. One
//! port accepts HTTP connections. A client may have several of them, one after the other or at
//! once. The connector hands out a client when its session begins. Before its first packet, the
//! client still has to join the namespace `/`.
//!
//! A session does not go to another process when the server is upgraded, because its HTTP
//! connections and requests belong to several tasks. It stays until its client closes. The
//! listening sockets go over, so a client that polls and opens a new connection reaches the new
//! process, which does not know its session: the client opens a new one.
//!
//! | file | its job |
//! |---|---|
//! | `packet` | the packets of both protocols |
//! | `session` | the meaning of packets, and how many a client may send; a state machine |
//! | `heartbeat` | when to ping a client, and whether it has answered |
//! | `peer` | a client: its session, and its transport |
//! | `transport`, `polling` | the transports of frames: WebSocket, or requests |
//! | `http`, `held`, `query`, `origins` | HTTP connections and requests |
//! | `room` | how many HTTP connections there may be |
//!
//! The memory of a session does not grow with what its client sends. WebSocket messages are read
//! when the session's task wants the next one. A request with packets is answered when the task has
//! read them, and only then the next request is read.

mod heartbeat;
mod held;
mod http;
mod origins;
mod packet;
mod peer;
mod polling;
mod query;
mod room;
mod session;
mod transport;

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::http::{Front, Rules};
use self::origins::Origins;
use self::polling::Sessions;
use self::room::Room;
use super::bind::TcpListeners;
use super::dead_peers::DeadPeers;
use super::socket_buffers::SocketBuffers;
use super::{BoxError, Connector, HostPort, Incoming, Layers, ListenOptions, SocketKinds, bind, inherited};

/// The largest number of clients that wait to be accepted. Further clients are refused.
const BACKLOG: usize = 128;

/// How many times longer than its packet a message of Socket.IO may be. A quote or a backslash
/// takes two bytes in a JSON text that is inside another JSON text.
const ESCAPED: usize = 2;

/// How many bytes a message of Socket.IO has around its packet, at most.
const ENVELOPE: usize = 1 << 10;

/// The lower bound of the longest message: it must hold a CONNECT with the longest `auth`.
const LEAST_PAYLOAD: usize = session::MAX_AUTH + ENVELOPE;

/// TCP connections for each session that the server has room for. A client that polls has one for
/// each direction, and one more while it changes to WebSocket.
const CONNECTIONS: usize = 3;

/// The connector for Socket.IO: `socketio://HOST:PORT`.
pub struct SocketIoServer {
    address: HostPort,
    /// The sockets of another process, until the connector starts.
    inherited: Option<TcpListeners>,
    listening: Option<Listening>,
}

/// The state of a listener.
struct Listening {
    listener: TcpListeners,
    front: Arc<Front>,
    newcomers: mpsc::Receiver<Incoming>,
    dead_peers: DeadPeers,
    buffers: SocketBuffers,
    _alive: Arc<Alive>,
}

/// Held by the connector and its clients. The HTTP connections end when all holders are gone.
struct Alive(#[expect(dead_code, reason = "it is there to be dropped")] DropGuard);

impl SocketIoServer {
    /// Creates a connector that will listen at an address. Port 0 selects a free port. A listener
    /// that names no codec uses the built-in codec `sio`.
    pub fn new(address: HostPort) -> Self {
        Self { address, inherited: None, listening: None }
    }
}

impl Connector for SocketIoServer {
    fn url(&self) -> String {
        format!("socketio://{}", self.address)
    }

    fn kinds(&self) -> SocketKinds {
        SocketKinds { stream: false, messages: true }
    }

    fn layers(&self) -> Layers {
        Layers { tls: false, starttls: false, websocket: true }
    }

    fn descriptors(&self) -> u32 {
        CONNECTIONS as u32
    }

    fn default_codec(&self) -> Option<&str> {
        Some("sio")
    }

    fn check(&self, options: &ListenOptions) -> Result<(), BoxError> {
        if u32::try_from(max_payload(options)).is_err() {
            return Err("`max-packet` is more than Socket.IO can carry".into());
        }
        if !options.websocket.ping_interval.is_zero() {
            let why = "Socket.IO has pings of its own, so `websocket.ping-interval` would have no effect";
            return Err(why.into());
        }
        if !options.websocket.subprotocols.is_empty() {
            let why = "Socket.IO has no subprotocols, so `websocket.subprotocols` would have no effect";
            return Err(why.into());
        }
        Ok(())
    }

    fn start<'a>(&'a mut self, options: &'a ListenOptions) -> BoxFuture<'a, Result<(), BoxError>> {
        async {
            let listener = match self.inherited.take() {
                Some(inherited) => inherited,
                None => TcpListeners::bind(&self.address).await?,
            };
            self.address = listener.address(&self.address).context("it does not know its address")?;

            let stopped = CancellationToken::new();
            let alive = Arc::new(Alive(stopped.clone().drop_guard()));
            let (newcomer, newcomers) = mpsc::channel(BACKLOG);
            let front = Front {
                sessions: Sessions::default(),
                newcomers: newcomer,
                alive: Arc::downgrade(&alive),
                stopped,
                rules: Rules::new(options),
                connections: Room::new(CONNECTIONS * options.max_connections),
            };
            let (dead_peers, buffers) = (DeadPeers::of(options), SocketBuffers::of(options));
            let front = Arc::new(front);
            self.listening =
                Some(Listening { listener, front, newcomers, dead_peers, buffers, _alive: alive });
            Ok(())
        }
        .boxed()
    }

    fn update(&mut self, options: &ListenOptions) -> Result<(), BoxError> {
        if let Some(Listening { front, dead_peers, buffers, .. }) = &mut self.listening {
            *front = Arc::new(Front { rules: Rules::new(options), ..Front::clone(front) });
            front.connections.set_max(CONNECTIONS * options.max_connections);
            *dead_peers = DeadPeers::of(options);
            *buffers = SocketBuffers::of(options);
        }
        Ok(())
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        async {
            let Listening { listener, front, newcomers, dead_peers, buffers, .. } =
                self.listening.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            loop {
                tokio::select! {
                    newcomer = newcomers.recv() => return newcomer.ok_or(io::ErrorKind::NotConnected.into()),
                    accepted = listener.accept() => {
                        let (stream, address) = accepted?;
                        dead_peers.watch(&stream);
                        buffers.set(&stream);
                        Arc::clone(front).take(stream, bind::of_client(address));
                    }
                }
            }
        }
        .boxed()
    }

    fn stop(&mut self) {
        (self.inherited, self.listening) = (None, None);
    }

    fn sockets(&self) -> io::Result<Vec<OwnedFd>> {
        let listener = self.listening.as_ref().map(|listening| &listening.listener);
        listener.map_or(Ok(Vec::new()), TcpListeners::duplicates)
    }

    fn is_for(&self, socket: BorrowedFd<'_>) -> bool {
        inherited::is_tcp_at(socket, &self.address)
    }

    fn inherit(&mut self, sockets: Vec<OwnedFd>) -> Result<(), BoxError> {
        self.inherited = Some(TcpListeners::inherit(sockets)?);
        Ok(())
    }
}

impl Rules {
    fn new(options: &ListenOptions) -> Self {
        Self {
            proxies: options.proxies.as_slice().into(),
            trusted_proxies: options.websocket.trusted_proxies.as_slice().into(),
            forwarded_header: options.websocket.forwarded_header,
            answers_probes: options.websocket.health,
            health: options.health.clone(),
            paths: options.websocket.paths.clone(),
            origins: Origins(options.websocket.origins.clone()),
            headers: options.websocket.headers.clone(),
            head_timeout: some(options.first_byte_timeout),
            upgrade_timeout: some(options.handshake_timeout),
            rate: options.rate,
            max_payload: max_payload(options),
        }
    }
}

/// Replaces zero, which means no limit, by a timeout that hyper and tokio can compute with.
fn some(timeout: Duration) -> Duration {
    /// One day, which is practically no limit for a client.
    const LONG: Duration = Duration::from_secs(24 * 3600);
    if timeout.is_zero() { LONG } else { timeout }
}

/// Creates an id that nobody can guess. Whoever knows the id of a session can speak for its client.
fn random_id() -> io::Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}

/// Returns the longest payload of a request or of a frame, in bytes.
fn max_payload(options: &ListenOptions) -> usize {
    (ESCAPED * options.max_message + ENVELOPE).max(LEAST_PAYLOAD)
}
