//! The server: the whole path of a packet, put together.
//!
//! [`serve`] is the path, from top to bottom: connector, codec, framing, session, and the task that drives
//! them.

mod clock;
mod connection;
mod source;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::bail;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, debug, info, info_span, warn};

use self::connection::Connection;
pub use self::source::CodecSource;
use crate::app::App;
use crate::codec::wasm::WasmEngine;
use crate::codec::{Codec, CodecError, CodecSession, Peer, Reason};
use crate::config::Config;
use crate::connector::{self, Connector, Incoming, Opened, Socket, SocketKinds};
use crate::session::{
    ClientInfo, CloseReason, KnownRoutes, Machine, Output, Session, SessionId, Sessions, Wire,
};
use crate::stats::{Counters, Stats};

/// Sandboxes beside those of connections: to load a codec is to try it.
const SPARE_SANDBOXES: u32 = 64;

/// WebSocket messages may be longer than the largest packet by its framing.
const FRAMING_OVERHEAD: usize = 64;

/// How long a listener that cannot accept waits before it tries again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A server that is not started yet: an application, and where it is reached in which protocol.
///
/// See the [crate's front page](crate) for an example.
#[derive(Debug)]
pub struct Server {
    app: App,
    config: Config,
    listen: Vec<(String, CodecSource)>,
}

/// A server at work. Dropping it leaves it at work; [`RunningServer::shutdown`] ends it.
pub struct RunningServer {
    shared: Arc<Shared>,
    urls: Vec<String>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What the connections of a server share. None of it is locked on the way of a packet: so a connection
/// learns from its own session that the server stops, and does not wait for `stop` beside its work.
struct Shared {
    app: App,
    routes: Arc<KnownRoutes>,
    config: Config,
    sessions: Sessions,
    counters: Counters,
    next_id: AtomicU64,
}

impl Server {
    /// A server for an application.
    pub fn new(app: App) -> Self {
        Self { app, config: Config::default(), listen: Vec::new() }
    }

    /// Sets the configuration.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Adds a listener: `tcp://`, `ws://` or `hybrid://` with `HOST:PORT`, and the protocol that is spoken
    /// there.
    pub fn listen(mut self, url: &str, codec: CodecSource) -> Self {
        self.listen.push((url.to_owned(), codec));
        self
    }

    /// Loads the codecs and starts the listeners.
    ///
    /// # Errors
    /// Where a codec is refused, a listener cannot be bound, or the two do not fit.
    pub async fn start(self) -> anyhow::Result<RunningServer> {
        let Server { app, config, listen } = self;
        if listen.is_empty() {
            bail!("a server needs a listener: Server::listen(\"hybrid://127.0.0.1:3010\", …)");
        }
        let engine = WasmEngine::new(config.max_connections + SPARE_SANDBOXES, config.limits.memory)?;
        let mut listeners: Vec<(Box<dyn Connector>, Arc<dyn Codec>)> = Vec::new();
        for (url, source) in listen {
            let codec = source.load(&engine, &app, config.limits)?;
            let connector = connector::bind(&url, config.limits.max_packet + FRAMING_OVERHEAD).await?;
            check_fit(&url, connector.kinds(), &*codec)?;
            listeners.push((connector, codec));
        }

        let shared = Arc::new(Shared {
            routes: Arc::new(app.known_routes()),
            app,
            config,
            sessions: Sessions::default(),
            counters: Counters::default(),
            next_id: AtomicU64::new(1),
        });
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let urls = listeners.iter().map(|(connector, _)| connector.url()).collect();
        for (connector, codec) in listeners {
            tasks.spawn(accept(Arc::clone(&shared), connector, codec, stop.clone(), tasks.clone()));
        }
        Ok(RunningServer { shared, urls, stop, tasks })
    }
}

impl RunningServer {
    /// Where clients reach each listener, in the order in which they were added, with the ports that were
    /// really bound.
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    /// All sessions that are established.
    pub fn sessions(&self) -> &Sessions {
        &self.shared.sessions
    }

    /// What was counted since the start.
    pub fn stats(&self) -> Stats {
        self.shared.counters.snapshot()
    }

    /// Stops: accepts nobody any more, answers the requests in flight, says farewell to each client, and
    /// closes. What has not come to its end after [`Config::drain_timeout`] is cut off. Returns the last
    /// counts.
    pub async fn shutdown(self) -> Stats {
        self.stop.cancel();
        self.shared.sessions.close_all(&CloseReason::Shutdown);
        self.tasks.close();
        // Each connection keeps the limit by itself; the second over it is for those that just end.
        let limit = self.shared.config.drain_timeout + Duration::from_secs(1);
        if timeout(limit, self.tasks.wait()).await.is_err() {
            warn!(connections = self.tasks.len(), "not all connections ended in time");
        }
        self.stats()
    }
}

/// Whether a listener's sockets can carry a codec's packets.
fn check_fit(url: &str, kinds: SocketKinds, codec: &dyn Codec) -> anyhow::Result<()> {
    let description = codec.description();
    if kinds.stream && description.stream_layout().is_none() {
        bail!("{url}: the codec {} has no framing for streams: listen on ws:// instead", description.name);
    }
    if kinds.messages && description.message_layout().is_none() {
        bail!("{url}: the codec {} refuses message transports: listen on tcp:// instead", description.name);
    }
    Ok(())
}

/// Accepts clients until the server stops; each gets a task of its own.
async fn accept(
    shared: Arc<Shared>,
    mut connector: Box<dyn Connector>,
    codec: Arc<dyn Codec>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    let url = connector.url();
    loop {
        let incoming = tokio::select! {
            () = stop.cancelled() => return,
            incoming = connector.accept() => incoming,
        };
        match incoming {
            Ok(incoming) => {
                let id = SessionId(shared.next_id.fetch_add(1, Ordering::Relaxed));
                let span =
                    info_span!("connection", %id, codec = codec.description().name, peer = incoming.address);
                shared.counters.accepted();
                let connection =
                    connection(Arc::clone(&shared), Arc::clone(&codec), id, incoming, stop.clone());
                tasks.spawn(connection.instrument(span));
            }
            Err(error) => {
                // Most likely out of file descriptors: to try again at once would only burn time.
                warn!(%url, %error, "cannot accept");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one client, and counts and logs how it ended.
async fn connection(
    shared: Arc<Shared>,
    codec: Arc<dyn Codec>,
    id: SessionId,
    incoming: Incoming,
    stop: CancellationToken,
) {
    let reason = serve(&shared, &*codec, id, incoming, &stop).await;
    shared.counters.closed(&reason);
    match &reason {
        CloseReason::CodecFault(_) => warn!(cause = reason.cause(), %reason, "closed"),
        CloseReason::ClientClosed => debug!(cause = reason.cause(), %reason, "closed"),
        _ => info!(cause = reason.cause(), %reason, "closed"),
    }
}

/// The path of one client's packets, put together: connector, codec, framing, session, and the task that
/// drives them.
async fn serve(
    shared: &Arc<Shared>,
    codec: &dyn Codec,
    id: SessionId,
    incoming: Incoming,
    stop: &CancellationToken,
) -> CloseReason {
    let config = shared.config;
    let handshake_by = Instant::now() + config.handshake_timeout;

    // The connector's socket, once it is ready for packets.
    let opened = tokio::select! {
        () = stop.cancelled() => return CloseReason::Shutdown,
        opened = timeout_at(handshake_by, incoming.open) => opened,
    };
    let Opened { transport, attributes, socket } = match opened {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => return error.into(),
        Err(_) => return CloseReason::HandshakeTimeout,
    };
    let client = ClientInfo { transport: transport.to_owned(), address: incoming.address, attributes };

    // The codec: for one of Wasm, a sandbox of its own.
    let codec_session = match open_codec(codec, &client) {
        Ok(session) => session,
        Err(CodecError::Refused(reason)) => return CloseReason::Refused(reason),
        Err(error) => return CloseReason::CodecFault(error),
    };

    // The framing that the codec describes, for this kind of socket.
    let description = codec.description();
    let (layout, output) = match &socket {
        Socket::Stream(_) => (description.stream_layout(), Output::stream()),
        Socket::Messages(_) => (description.message_layout(), Output::messages(description.text)),
    };
    let layout = layout.expect("checked at the start");
    let wire = Wire::new(layout, description.text, config.limits.max_packet, output);

    // The session, and the task's turns until it ends.
    let session = Session::new(id, client, config.max_outbox);
    let machine = Machine::new(codec, codec_session, wire, session.clone(), Arc::clone(&shared.routes));
    let connection = Connection::new(Arc::clone(shared), socket, machine, session.clone(), handshake_by);
    shared.sessions.insert(session.clone());
    if stop.is_cancelled() {
        // The server stopped while this client was opening, and closed all that it knew of.
        session.close(CloseReason::Shutdown);
    }
    connection.run().await
}

fn open_codec(codec: &dyn Codec, client: &ClientInfo) -> Result<Box<dyn CodecSession>, CodecError> {
    let mut entropy = [0; 32];
    getrandom::fill(&mut entropy).map_err(|error| CodecError::Exhausted(Reason::new(error.to_string())))?;
    codec.open(Peer {
        transport: client.transport.clone(),
        address: client.address.clone(),
        entropy,
        attributes: client.attributes.clone(),
    })
}
