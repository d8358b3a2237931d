//! The server: the whole path of a packet, put together.
//!
//! [`serve`] is the path, from top to bottom: connector, codec, framing, session, and the task that drives
//! them.

mod accepting;
mod admission;
mod budget;
mod check;
mod clock;
mod close_code;
pub(crate) mod cluster;
mod compile;
mod connection;
mod deadlines;
mod descriptors;
mod from_config;
mod listener;
mod moving;
mod nodes;
mod rate;
mod reload;
mod slots;
mod wrong_port;

use std::future::poll_fn;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::FutureExt as _;
use serde_json::Value;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Span, debug, error, info, warn};

use self::accepting::accept;
use self::admission::{Gate, Places};
use self::budget::opening_turn;
pub use self::check::CheckedCodec;
use self::cluster::Cluster;
use self::connection::Connection;
pub use self::listener::Listener;
use self::listener::{DefaultCodecs, Resolved, cannot_listen};
pub use self::nodes::{NatsStatus, NodeStatus, Nodes};
pub use self::reload::Reloaded;
use self::slots::Slots;
use crate::app::{App, Parts, Routes};
use crate::codec::shadow::ShadowedSession;
use crate::codec::wasm::{CompileObserver, Compiler};
use crate::codec::{Codec as _, CodecError, Reason};
use crate::config::{ClientLimits, CompileConfig, ServerConfig};
use crate::connector::{Connector, Connectors, Incoming, ListenUrl, Opened, Socket};
use crate::framing::Layout;
use crate::session::{ClientInfo, CloseReason, Machine, Outbox, Output, Session, SessionId, Sessions, Wire};
pub use crate::slot::CodecSource;
use crate::slot::Slot;
use crate::stats::{Counters, Stats};
use wireplug_base::LogLimit;
pub use wireplug_connectors::certificates::CertificateStatus;
use wireplug_connectors::certificates::Certificates;
use wireplug_connectors::listening::SpareDescriptor;
use wireplug_connectors::running_time::RunningTime;

/// A server that is not started yet: an application, and where it is reached in which protocol.
///
/// See the [crate's front page](crate) for an example.
#[derive(Debug)]
pub struct Server {
    app: Parts,
    config: ServerConfig,
    connectors: Connectors,
    /// The codecs that connectors may name as their own.
    default_codecs: DefaultCodecs,
    listeners: Vec<Listener>,
    compile: CompileConfig,
    compiler: Compiler,
    on_compiling: Option<CompileObserver>,
    cluster: Option<Box<dyn Cluster>>,
}

/// A server at work. Dropping it leaves it at work; [`RunningServer::shutdown`] ends it.
pub struct RunningServer {
    shared: Arc<Shared>,
    slots: Vec<Slot>,
    urls: Vec<String>,
    nodes: Nodes,
    compiler: Compiler,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What the connections of a server share. None of it is locked on the way of a packet: so a connection
/// learns from its own session that the server stops, and does not wait for `stop` beside its work.
struct Shared {
    routes: Routes,
    connectors: Connectors,
    config: ServerConfig,
    places: Arc<Places>,
    sessions: Sessions,
    counters: Counters,
    /// Of the log lines of connections that ended.
    log_limit: LogLimit,
    /// Of those that ended in the ordinary way.
    ordinary_log_limit: LogLimit,
    next_id: AtomicU64,
    /// The time in which clients are held to their deadlines.
    time: RunningTime,
    spare: SpareDescriptor,
}

/// What the connections of a listener share.
struct Door {
    slot: Slot,
    gate: Gate,
    limits: ClientLimits,
    /// The largest message, where messages are datagrams.
    max_datagram: Option<usize>,
}

impl Server {
    /// A server for an application.
    pub fn new<S>(app: App<S>) -> Self {
        Self {
            app: app.into_parts(),
            config: ServerConfig::default(),
            connectors: Connectors::default(),
            default_codecs: DefaultCodecs::default(),
            listeners: Vec::new(),
            compile: CompileConfig::default(),
            compiler: Compiler::in_process(),
            on_compiling: None,
            cluster: None,
        }
    }

    /// Sets what concerns all listeners together.
    pub fn config(mut self, config: ServerConfig) -> Self {
        self.config = config;
        self
    }

    /// Has listeners' URLs of a scheme make connectors by `factory`: [`Connectors::register`] has the details.
    ///
    /// # Panics
    /// Where the scheme is taken, or is none.
    pub fn register_connector<C: Connector>(
        mut self,
        scheme: &str,
        factory: impl Fn(&ListenUrl, Value) -> anyhow::Result<C> + Send + Sync + 'static,
    ) -> Self {
        self.connectors = self.connectors.register(scheme, factory);
        self
    }

    /// Sets all connectors that URLs can name: those with which a configuration was read, for one.
    pub fn connectors(mut self, connectors: Connectors) -> Self {
        self.connectors = connectors;
        self
    }

    /// Gives the server a codec under a name, by which a connector may name it as its
    /// [default codec](Connector::default_codec). Listeners that speak it share what is loaded of it.
    pub fn default_codec(mut self, name: &str, codec: CodecSource) -> Self {
        self.default_codecs.add(name, codec);
        self
    }

    /// Adds a listener at a URL with the default limits, and the protocol that is spoken there:
    /// [`Listener::new`].
    pub fn listen(self, url: &str, codec: CodecSource) -> Self {
        self.listener(Listener::new(url, codec))
    }

    /// Adds a listener, or a connector that speaks a codec of its own.
    pub fn listener(mut self, listener: impl Into<Listener>) -> Self {
        self.listeners.push(listener.into());
        self
    }

    /// Sets the way to services and other servers.
    #[cfg(feature = "nats")]
    pub(crate) fn cluster(mut self, cluster: impl Cluster + 'static) -> Self {
        self.cluster = Some(Box::new(cluster));
        self
    }

    /// Loads the codecs and starts the listeners. Dropping the future gives up the start: what compiles in a
    /// worker ends at once.
    ///
    /// Raises the process's soft limit of open files to the hard one. Where there are fewer file descriptors than
    /// [`ServerConfig::max_connections`] needs, that many clients are let in as there are descriptors for, and a
    /// warning says so.
    ///
    /// # Errors
    /// Where a codec is refused, a listener cannot be bound, or the two do not fit.
    pub async fn start(self) -> anyhow::Result<RunningServer> {
        let Server {
            mut app,
            mut config,
            connectors,
            default_codecs,
            listeners,
            compile,
            compiler,
            on_compiling,
            cluster,
        } = self;
        if listeners.is_empty() {
            bail!("a server needs a listener: Server::listen(\"hybrid://127.0.0.1:3010\", …)");
        }
        let certificates = Certificates::default();
        let joining = nodes::join(cluster, &mut app, certificates.clone()).await?;
        let listeners = listeners.into_iter().map(|listener| listener.resolve(&connectors, &default_codecs));
        let listeners: Vec<Resolved> = listeners.collect::<Result<_, _>>()?;
        descriptors::raise_limit();
        config.max_connections = descriptors::limit_connections(config.max_connections, &listeners);
        let memory =
            listeners.iter().map(|listener| listener.codec.settings.limits.memory).max().unwrap_or_default();
        let compiler = compiler.limits(&compile);
        let given_up = compiler.stop_on_drop();
        let mut slots = Slots::new(
            &config,
            &compile,
            listeners.len(),
            memory,
            compiler.clone(),
            on_compiling,
            app.routes(),
        )?;
        let time = RunningTime::default();
        let mut doors: Vec<(Box<dyn Connector>, Door)> = Vec::new();
        for listener in listeners {
            let slot = slots.of(listener.codec.clone(), listener.named).await?;
            let mut options = listener.options(&config);
            options.certificates = certificates.clone();
            options.time = time.clone();
            listener.check(&slot, &options)?;
            let Resolved { mut connector, access, limits, .. } = listener;
            let wanted = connector.url();
            connector.start(&options).await.with_context(|| cannot_listen(&wanted))?;
            let max_datagram = connector.max_datagram();
            slot.add_listener(connector.url(), connector.kinds(), max_datagram.is_some())?;
            doors.push((connector, Door { slot, gate: Gate::new(access), limits, max_datagram }));
        }
        let slots = slots.into_vec();

        let shared = Arc::new(Shared {
            connectors,
            places: Places::new(config.max_connections),
            sessions: Sessions::new(
                config.sessions_per_user,
                std::mem::take(&mut app.hooks),
                joining.elsewhere(),
            ),
            routes: app.finish(),
            config,
            counters: Counters::default(),
            log_limit: LogLimit::new(),
            ordinary_log_limit: LogLimit::new(),
            next_id: AtomicU64::new(1),
            time: time.clone(),
            spare: SpareDescriptor::new(),
        });
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let urls = doors.iter().map(|(connector, _)| connector.url()).collect();
        for (connector, door) in doors {
            tasks.spawn(accept(Arc::clone(&shared), connector, Arc::new(door), stop.clone(), tasks.clone()));
        }
        let stopped = stop.clone();
        tasks.spawn(async move { stopped.run_until_cancelled(time.keep()).await });
        for slot in slots.iter().filter(|slot| slot.settings().swap.watch) {
            tasks.spawn(slot.clone().watch(slot.digest(), stop.clone()));
        }
        let nodes = joining.start(&shared, &slots, &compiler);
        given_up.disarm();
        Ok(RunningServer { shared, slots, urls, nodes, compiler, stop, tasks })
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

    /// The codecs, each with its generations, in the order in which listeners named them first.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The slot of this name.
    pub fn slot(&self, name: &str) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.name() == name)
    }

    /// This server and those that serve with it as one.
    pub fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// What was counted since the start.
    pub fn stats(&self) -> Stats {
        self.shared.counters.snapshot()
    }

    /// Stops: accepts nobody any more, gives up loads that compile in a worker or wait for that, answers the requests in flight, says farewell to each client, and
    /// closes. What has not come to its end after [`ServerConfig::drain_timeout`] is cut off. Returns the
    /// last counts.
    pub async fn shutdown(self) -> Stats {
        self.stop.cancel();
        self.compiler.stop();
        self.shared.sessions.close_all(&CloseReason::Shutdown);
        self.tasks.close();
        // Each connection keeps its limits by itself; the second over them is for those that just end.
        let limit = self.shared.config.drain_timeout + connection::GOODBYE + Duration::from_secs(1);
        if timeout(limit, self.tasks.wait()).await.is_err() {
            warn!(connections = self.tasks.len(), "not all connections ended in time");
        }
        if timeout(connection::GOODBYE, self.nodes.leave()).await.is_err() {
            debug!("NATS did not take the last words in time");
        }
        #[cfg(feature = "control")]
        if let Some(slot) = self.slots.first() {
            slot.audit_log().written().await;
        }
        self.stats()
    }
}

/// Serves one client, and counts and logs how it ended.
async fn connection(
    shared: Arc<Shared>,
    door: Arc<Door>,
    id: SessionId,
    incoming: Incoming,
    stop: CancellationToken,
) {
    // A panic here is a fault of this program. It ends this connection like any other end, counted and with
    // its place given back.
    let mut session = None;
    let served = serve(&shared, &door, id, incoming, &stop, &mut session);
    let reason = AssertUnwindSafe(served).catch_unwind().await.unwrap_or(CloseReason::Internal);
    shared.counters.closed(&reason);
    if let Some(session) = &session {
        shared.sessions.closed(session, &reason);
    }
    if reason == CloseReason::ClientClosed {
        if tracing::enabled!(tracing::Level::DEBUG)
            && let Some(left_out) = shared.ordinary_log_limit.admit()
        {
            let left_out = (left_out > 0).then_some(left_out);
            debug!(left_out, cause = reason.cause(), %reason, "closed");
        }
        return;
    }
    let Some(left_out) = shared.log_limit.admit() else { return };
    if left_out > 0 {
        warn!(left_out, "more connections ended than the log has lines for: the counts have them all");
    }
    match &reason {
        CloseReason::Internal => error!(cause = reason.cause(), %reason, "closed"),
        CloseReason::CodecFault(_) => warn!(cause = reason.cause(), %reason, "closed"),
        _ => info!(cause = reason.cause(), %reason, "closed"),
    }
}

/// The path of one client's packets, put together: connector, codec, framing, session, and the task that
/// drives them. `known` is the session from where the application can come to know of it.
async fn serve(
    shared: &Arc<Shared>,
    door: &Door,
    id: SessionId,
    incoming: Incoming,
    stop: &CancellationToken,
    known: &mut Option<Session>,
) -> CloseReason {
    let Door { slot, gate, limits, max_datagram } = door;
    let mut accepted = shared.time.now();

    // The gate: who is let in. A client behind a load balancer tells its address when the connection opens.
    let Incoming { address, behind_proxy, open } = incoming;
    let at_once = if behind_proxy { Ok(None) } else { gate.admit_to(slot, &address).map(Some) };
    let mut admitted = match at_once {
        Ok(admitted) => admitted,
        Err(reason) => return reason,
    };
    let Some(_place) = shared.places.take() else { return CloseReason::ServerFull };

    // The connector's socket, once it is ready for packets.
    let opened = tokio::select! {
        () = stop.cancelled() => return CloseReason::Shutdown,
        opened = shared.time.timeout(opening_limit(limits), open) => opened,
    };
    let Opened { transport, client, attributes, meter, socket } = match opened {
        Some(Ok(opened)) => opened,
        Some(Err(error)) => {
            return match error.kind() {
                io::ErrorKind::TimedOut if error.raw_os_error().is_none() => CloseReason::FirstByteTimeout,
                io::ErrorKind::UnexpectedEof => CloseReason::ClientClosed,
                io::ErrorKind::PermissionDenied => CloseReason::Forbidden(Reason::new(error.to_string())),
                _ => error.into(),
            };
        }
        None => return CloseReason::HandshakeTimeout,
    };
    if let Some(client) = &client {
        Span::current().record("client", client);
    }
    let address = client.unwrap_or(address);
    if behind_proxy {
        admitted = match gate.admit_to(slot, &address) {
            Ok(admitted) => Some(admitted),
            Err(reason) => return reason,
        };
    }
    let client = ClientInfo { transport: transport.to_owned(), address, attributes };

    // Where the codec is over its budget of CPU time, sessions open one after the other. A client that waits for that
    // is on no generation yet, so no swap waits for it.
    let waits = shared.time.now();
    let turn = tokio::select! {
        () = stop.cancelled() => return CloseReason::Shutdown,
        turn = shared.time.timeout(opening_limit(limits), opening_turn(slot.cpu())) => turn,
    };
    let Some(turn) = turn else { return turn_away(socket, CloseReason::HandshakeTimeout).await };
    // That was not the client's time.
    accepted += shared.time.now() - waits;

    // The session, and its place in the slot: on which generation of the codec it is.
    let outbox = Outbox::new(limits.max_outbox, limits.overflow);
    let session = Session::new(id, client, outbox.clone(), shared.sessions.clone());
    let Some((seat, shadowed_by)) = slot.sit(id.0, session.waker()) else {
        drop(turn);
        return turn_away(socket, CloseReason::Suspended).await;
    };

    // The codec: for one of Wasm, a sandbox of its own.
    let peer = moving::peer(session.client());
    let codec_session = match seat.generation().open(peer.clone()) {
        Ok(codec_session) => codec_session,
        Err(error) => {
            // No swap waits for it, and no other session.
            drop((seat, turn));
            let reason = match error {
                CodecError::Refused(reason) => CloseReason::Refused(reason),
                error => CloseReason::CodecFault(error),
            };
            return turn_away(socket, reason).await;
        }
    };

    // The framing that the codec describes, for this kind of socket.
    let codec = Arc::clone(seat.generation());
    let description = codec.description();
    let layout = match &socket {
        Socket::Stream(_) => description.stream_layout(),
        Socket::Messages(_) => description.message_layout(),
    };
    let layout = layout.expect("each generation is checked against the listeners");
    let output = match (&socket, *max_datagram) {
        (Socket::Stream(_), _) => Output::stream(),
        (Socket::Messages(_), None) => Output::messages(description.text),
        (Socket::Messages(_), Some(max)) => {
            Output::datagrams(description.text, max, matches!(layout, Layout::Framed(_)))
        }
    };
    let codec_limits = &slot.settings().limits;
    let wire = Wire::new(layout, description.text, codec_limits.max_packet, output);

    // The machine, and the task's turns until it ends. A candidate may mirror the codec from here on.
    let mut codec_session = ShadowedSession::new(codec_session);
    if let Some(candidate) = shadowed_by {
        codec_session.set_shadow(seat.shadow(&candidate, |candidate| candidate.open(peer)));
    }
    let min_timer = u64::try_from(codec_limits.min_timer.as_millis()).unwrap_or(u64::MAX);
    let machine = Machine::new(&*codec, codec_session, wire, outbox, min_timer);
    drop(turn);
    let connection = Connection::new(
        Arc::clone(shared),
        *limits,
        (socket, meter),
        machine,
        session.clone(),
        seat,
        accepted,
    );
    *known = Some(session.clone());
    shared.sessions.insert(session.clone());
    if stop.is_cancelled() {
        // The server stopped while this client was opening, and closed all that it knew of.
        session.close(CloseReason::Shutdown);
    }
    let reason = connection.run().await;
    drop(admitted);
    reason
}

/// Ends a connection that got no session. Over WebSocket the client is told why.
async fn turn_away(mut socket: Socket, reason: CloseReason) -> CloseReason {
    if let Socket::Messages(socket) = &mut socket {
        let close = poll_fn(|cx| socket.poll_close(close_code::close_code(&reason), reason.cause(), cx));
        // It may be gone already, or not listen: that changes nothing.
        let _ = timeout(connection::GOODBYE, close).await;
    }
    reason
}

/// How long a client may take until it is ready for packets.
fn opening_limit(limits: &ClientLimits) -> Duration {
    if limits.handshake_timeout.is_zero() { Duration::MAX } else { limits.handshake_timeout }
}
