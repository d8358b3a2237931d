//! Socket.IO 4 over HTTP long-polling and WebSocket: each text of the event `message` is a packet.
//!
//! Of Engine.IO 4 and Socket.IO 5 this speaks what one namespace and one event need. One port takes
//! HTTP connections, of which a client has several, one after the other or at once. A client is
//! accepted when its session begins; what is left to be done before its first packet is to join the
//! namespace `/`.
//!
//! | file | its job |
//! |---|---|
//! | `packet` | the packets of both protocols |
//! | `session` | what they mean, and how many of them a client may send; a state machine |
//! | `heartbeat` | who is pinged, and who has not answered |
//! | `peer` | a client: its session, and its transport |
//! | `transport`, `polling` | what carries frames: WebSocket, or requests |
//! | `http`, `held`, `query`, `origins` | HTTP connections and requests |
//!
//! Nothing here grows with what a client sends: WebSocket messages are read when the session's task
//! wants the next; a request with packets is answered, and so the next one read, when the task has
//! read them.

mod heartbeat;
mod held;
mod http;
mod origins;
mod packet;
mod peer;
mod polling;
mod query;
mod session;
mod transport;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::http::Front;
use self::origins::Origins;
use self::polling::Sessions;
use super::dead_peers::DeadPeers;
use super::{BoxError, Connector, HostPort, Incoming, Layers, ListenOptions, SocketKinds, bind};

/// Clients that may wait to be accepted. Those above it are refused.
const BACKLOG: usize = 128;

/// How much longer a message of Socket.IO may be than its packet: quotes and backslashes in a JSON
/// text that is inside of a JSON text take two bytes for one.
const ESCAPED: usize = 2;

/// And what stands around it.
const ENVELOPE: usize = 1 << 10;

/// The least that the longest message may be: a CONNECT with the longest `auth` is one.
const LEAST_PAYLOAD: usize = session::MAX_AUTH + ENVELOPE;

/// TCP connections for each session that the server has room for: a client that polls has one for
/// each direction, and one more while it changes over to WebSocket.
const CONNECTIONS: usize = 3;

/// Socket.IO: `socketio://HOST:PORT`.
pub struct SocketIoServer {
    address: HostPort,
    listening: Option<Listening>,
}

/// What there is while it listens.
struct Listening {
    listener: TcpListener,
    front: Arc<Front>,
    newcomers: mpsc::Receiver<Incoming>,
    dead_peers: DeadPeers,
    _alive: Arc<Alive>,
}

/// Held by the connector and its clients. When all are gone, so are the HTTP connections.
struct Alive(#[expect(dead_code, reason = "it is there to be dropped")] DropGuard);

impl SocketIoServer {
    /// Will listen at an address; port 0 takes a free one. A listener that names no codec speaks
    /// the built-in `sio`.
    pub fn new(address: HostPort) -> Self {
        Self { address, listening: None }
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
        Layers { tls: false, websocket: true }
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
        if !options.websocket.subprotocols.is_empty() {
            let why = "Socket.IO has no subprotocols, so `websocket.subprotocols` would have no effect";
            return Err(why.into());
        }
        Ok(())
    }

    fn start<'a>(&'a mut self, options: &'a ListenOptions) -> BoxFuture<'a, Result<(), BoxError>> {
        async {
            let max_payload = max_payload(options);
            let listener = bind::tcp(&self.address).await?;
            self.address = listener.local_addr().context("it does not know its address")?.into();

            let stopped = CancellationToken::new();
            let alive = Arc::new(Alive(stopped.clone().drop_guard()));
            let (newcomer, newcomers) = mpsc::channel(BACKLOG);
            let front = Front {
                sessions: Sessions::default(),
                newcomers: newcomer,
                alive: Arc::downgrade(&alive),
                stopped,
                proxies: options.proxies.as_slice().into(),
                paths: options.websocket.paths.clone(),
                origins: Origins(options.websocket.origins.clone()),
                headers: options.websocket.headers.clone(),
                head_timeout: some(options.first_byte_timeout),
                upgrade_timeout: some(options.handshake_timeout),
                rate: options.rate,
                max_payload,
                connections: Arc::new(Semaphore::new(CONNECTIONS * options.max_connections)),
            };
            let dead_peers = DeadPeers::of(options);
            let front = Arc::new(front);
            self.listening = Some(Listening { listener, front, newcomers, dead_peers, _alive: alive });
            Ok(())
        }
        .boxed()
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        async {
            let Listening { listener, front, newcomers, dead_peers, .. } =
                self.listening.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            loop {
                tokio::select! {
                    newcomer = newcomers.recv() => return newcomer.ok_or(io::ErrorKind::NotConnected.into()),
                    accepted = listener.accept() => {
                        let (stream, address) = accepted?;
                        dead_peers.watch(&stream);
                        Arc::clone(front).take(stream, bind::of_client(address));
                    }
                }
            }
        }
        .boxed()
    }

    fn stop(&mut self) {
        self.listening = None;
    }
}

/// A deadline that hyper and tokio can count with, where there is to be none.
fn some(timeout: Duration) -> Duration {
    /// For ever, as far as clients go.
    const LONG: Duration = Duration::from_secs(24 * 3600);
    if timeout.is_zero() { LONG } else { timeout }
}

/// An id that nobody can guess: whoever knows a session's may speak for its client.
fn random_id() -> io::Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}

/// The longest payload of a request or of a frame.
fn max_payload(options: &ListenOptions) -> usize {
    (ESCAPED * options.max_message + ENVELOPE).max(LEAST_PAYLOAD)
}
