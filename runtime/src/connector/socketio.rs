//! Socket.IO 4 over HTTP long-polling and WebSocket, by socketioxide: each text of the event `message` is a packet.
//!
//! One port takes HTTP connections, of which a client has several, one after the other or at once; only when it has
//! joined the namespace `/` does it count as a client, and is accepted. What there is before that is held to limits of
//! its own.

mod gate;
mod http;
mod peer;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use serde_json::json;
use socketioxide::SocketIo;
use socketioxide::extract::SocketRef;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::gate::Gates;
use self::http::{Elsewhere, Front, Origin};
use self::peer::Peer;
use super::{Connector, HostPort, Incoming, ListenOptions, Opened, Socket, SocketKinds};
use crate::slot::CodecSource;

/// Clients that may wait to be accepted. Those above it are disconnected.
const BACKLOG: usize = 128;

/// Packets that may wait inside of the library for one client, beside what the session's own limits count.
const BUFFERED: usize = 32;

/// How much longer a message of Socket.IO may be than its packet: quotes and backslashes in a JSON text that is
/// inside of a JSON text take two bytes for one.
const ESCAPED: usize = 2;

/// And what stands around it.
const ENVELOPE: usize = 1 << 10;

/// TCP connections for each session that the server has room for: a client that polls has one for each direction, and
/// one more while it changes over to WebSocket.
const CONNECTIONS: usize = 3;

/// Socket.IO: `socketio://HOST:PORT`.
pub struct SocketIoServer {
    address: HostPort,
    codec: CodecSource,
    listening: Option<Listening>,
}

/// What there is while it listens.
struct Listening {
    listener: TcpListener,
    front: Arc<Front>,
    newcomers: mpsc::Receiver<Incoming>,
    _alive: Arc<Alive>,
}

/// Held by the connector and its clients. When all are gone, so are the HTTP connections.
struct Alive(#[expect(dead_code, reason = "it is there to be dropped")] DropGuard);

impl SocketIoServer {
    /// Will listen at an address; port 0 takes a free one. A listener that names no codec speaks the built-in
    /// [`sio`](CodecSource::sio).
    pub fn new(address: HostPort) -> Self {
        Self::with_default(address, CodecSource::sio(json!({})))
    }

    /// Listeners that are given clones of one source share what is loaded of it.
    pub(super) fn with_default(address: HostPort, codec: CodecSource) -> Self {
        Self { address, codec, listening: None }
    }
}

impl Connector for SocketIoServer {
    fn url(&self) -> String {
        format!("socketio://{}", self.address)
    }

    fn kinds(&self) -> SocketKinds {
        SocketKinds { stream: false, messages: true }
    }

    fn default_codec(&self) -> Option<CodecSource> {
        Some(self.codec.clone())
    }

    fn check(&self, options: &ListenOptions) -> anyhow::Result<()> {
        let is_carried = u32::try_from(max_payload(options)).is_ok();
        ensure!(is_carried, "`max-packet` is more than Socket.IO can carry");
        Ok(())
    }

    fn start<'a>(&'a mut self, options: &'a ListenOptions) -> BoxFuture<'a, anyhow::Result<()>> {
        async {
            let max_payload = max_payload(options);
            let listener = TcpListener::bind(self.address.to_string()).await?;
            self.address = listener.local_addr().context("it does not know its address")?.into();

            let (service, io) = SocketIo::builder()
                .max_payload(max_payload as u64)
                .ws_max_message_size(max_payload)
                .ws_max_frame_size(max_payload)
                .max_buffer_size(BUFFERED)
                .connect_timeout(some(options.handshake_timeout))
                .upgrade_timeout(some(options.handshake_timeout))
                .build_with_inner_svc(Elsewhere);
            let stopped = CancellationToken::new();
            let alive = Arc::new(Alive(stopped.clone().drop_guard()));
            let gates = Gates::new(options.max_message);
            let (newcomer, newcomers) = mpsc::channel(BACKLOG);
            let (known, weak) = (gates.clone(), Arc::downgrade(&alive));
            io.ns("/", move |socket: SocketRef| {
                // The first part of it runs before any message is read.
                if let Some(alive) = weak.upgrade() {
                    join(socket, &newcomer, &known, alive);
                } else {
                    // It has stopped. Where this fails the client is gone already.
                    let _ = socket.disconnect();
                }
                ready(())
            });
            let front = Front {
                service,
                gates,
                stopped,
                proxies: options.proxies.as_slice().into(),
                head_timeout: some(options.first_byte_timeout),
                connections: Arc::new(Semaphore::new(CONNECTIONS * options.max_connections)),
                sessions: Arc::new(Semaphore::new(2 * options.max_connections)),
            };
            self.listening = Some(Listening { listener, front: Arc::new(front), newcomers, _alive: alive });
            Ok(())
        }
        .boxed()
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        async {
            let Listening { listener, front, newcomers, .. } =
                self.listening.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            loop {
                tokio::select! {
                    newcomer = newcomers.recv() => return newcomer.ok_or(io::ErrorKind::NotConnected.into()),
                    accepted = listener.accept() => {
                        let (stream, address) = accepted?;
                        Arc::clone(front).take(stream, address);
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

/// A deadline of the library's, which has none that is off.
fn some(timeout: Duration) -> Duration {
    /// For ever, as far as clients go.
    const LONG: Duration = Duration::from_secs(24 * 3600);
    if timeout.is_zero() { LONG } else { timeout }
}

/// Takes a client that has joined the namespace.
fn join(socket: SocketRef, newcomer: &mpsc::Sender<Incoming>, gates: &Gates, alive: Arc<Alive>) {
    let request = socket.req_parts();
    let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
    let transport = format!("{:?}", socket.transport_type()).to_lowercase();
    let attributes = [
        ("path", Some(request.uri.path())),
        ("query", request.uri.query()),
        ("host", header("host")),
        ("origin", header("origin")),
        ("transport", Some(transport.as_str())),
    ];
    let attributes: Vec<_> = attributes
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    let origin = request.extensions.get::<Origin>().expect("each request has one");
    let address = origin.address.clone();
    let Ok(place) = newcomer.try_reserve() else {
        let _ = socket.disconnect();
        return;
    };
    let gate = gates.open(socket.id.to_string());
    origin.valve_of(&socket, &gate);
    let peer = Peer::new(socket, gate, alive);
    let open = async move {
        let socket = Socket::Messages(Box::new(peer));
        Ok(Opened { transport: "socketio", client: None, attributes, socket })
    };
    place.send(Incoming { address, behind_proxy: false, open: open.boxed() });
}

/// The longest payload of a request or of a frame.
fn max_payload(options: &ListenOptions) -> usize {
    ESCAPED * options.max_message + ENVELOPE
}
