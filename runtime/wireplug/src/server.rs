//! The server. It combines connectors, codecs, framing and sessions into the path of a packet.
//!
//! [`prepare`] prepares one connection: admission, socket, codec, framing and session.
//! [`connection`] moves its packets.
//!
//! | file | its job |
//! |---|---|
//! | `builder`, `listener`, `from_config` | a server before it starts, set up by a program or a configuration |
//! | `inherited` | listening sockets that another process has bound |
//! | `check` | finds the errors that a start would report |
//! | `taking_over` | what a start does differently in an upgrade |
//! | `start`, `slots`, `descriptors` | starts a server: its codecs, its listeners, its file descriptors |
//! | `error` | why a server did not start |
//! | `running`, `nodes` | a running server |
//! | `handing` | what an upgrade needs of a running server |
//! | `draining` | closes all sessions of a server that goes on running |
//! | `listeners`, `live`, `reload` | its listeners, their settings, and how a reload changes them |
//! | `cluster` | the interface through which the server reaches services and other servers |
//! | `access_log` | the lines of connections that ended, and of requests |
//! | `turning_away` | answers clients that cannot connect |
//! | `accepting`, `admission` | accepts clients, and decides which of them may connect |
//! | `peer` | what a codec sees of a client |
//! | `connection` | the task that owns one connection |
//! | `arriving` | goes on with the sessions of another process |
//! | `metrics` | the metrics of a running server, as text |
//! | `memory` | the budget of the process's memory |
//! | `budget`, `clock`, `deadlines`, `rate` | the times and limits of one connection |
//! | `protocol_mismatch`, `close_code` | find out why a connection ended, and report it to the client |

mod accepting;
mod access_log;
mod admission;
pub(crate) mod arriving;
mod awake;
mod budget;
mod builder;
mod check;
mod clock;
mod close_code;
pub(crate) mod cluster;
mod connection;
mod deadlines;
mod descriptors;
mod draining;
mod error;
mod from_config;
mod handing;
mod inherited;
#[cfg(feature = "control")]
mod inspect;
mod listener;
mod listeners;
mod live;
mod memory;
#[cfg(feature = "metrics")]
mod metrics;
mod nodes;
mod peer;
mod protocol_mismatch;
mod rate;
mod reload;
mod running;
mod slots;
mod start;
mod taking_over;
mod turning_away;

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use self::access_log::AccessLog;
use self::admission::{Admission, Admitted, ConnectionLimit, Permit};
pub use self::awake::AwakeStatus;
use self::awake::{AwakeLimit, needs_place};
use self::budget::opening_turn;
pub use self::builder::Server;
pub use self::check::CheckedCodec;
use self::connection::{Connection, not_opened, watch_opening};
pub(crate) use self::deadlines::SavedDeadlines;
pub use self::draining::DrainReport;
pub use self::error::StartError;
pub(crate) use self::handing::HandedListener;
pub use self::inherited::{InheritedSocket, InheritedSockets};
#[cfg(feature = "control")]
pub(crate) use self::inspect::{AddressFilter, SessionFilter};
#[cfg(feature = "control")]
pub use self::inspect::{SessionDetails, SessionLimits, SessionPage, SessionStatus, SessionSummary};
pub use self::listener::Listener;
use self::live::Live;
use self::memory::MemoryBudget;
#[cfg(feature = "metrics")]
pub use self::metrics::MetricsFormat;
#[cfg(feature = "control")]
pub(crate) use self::metrics::ServerStats;
pub use self::nodes::{NatsStatus, NodeStatus, Nodes};
use self::peer::Link;
pub use self::reload::{ConfigFile, ReloadError, ReloadReport};
pub(crate) use self::running::Running;
pub use self::running::RunningServer;
use self::turning_away::{close_socket, refuse, turned_away_as};
use crate::app::{Carried, Routes};
use crate::codec::shadow::ShadowedSession;
use crate::codec::{Carrier, Codec as _, CodecError, Reason};
use crate::config::{AccessConfig, ClientLimits, ServerConfig};
#[cfg(feature = "control")]
use crate::events::{Ended, Events};
use crate::session::{
    ClientInfo, CloseReason, Machine, Origin, Outbox, Output, Session, SessionId, Sessions, Vitals, Wire,
};
use crate::session_trace::SessionTraces;
pub use crate::slot::CodecSource;
use crate::slot::{Generation, Slot};
use crate::stats::{Counters, ListenerCounters};
use crate::traces::{ConnectionTrace, Traces};
pub use wireplug_connectors::certificates::CertificateStatus;
use wireplug_connectors::listening::SpareDescriptor;
use wireplug_connectors::running_time::RunningTime;
use wireplug_connectors::{Connectors, Incoming, Opened, RateLimits, RateMeter, Socket};
use wireplug_core::framing::Layout;

/// How long a new client waits for sessions to sleep, if all sandboxes are taken. It is shorter
/// than a session that sleeps waits: a new client can try another server.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// The state that all connections of a server share. Nothing in it is locked on the path of a
/// packet. A connection with a session does not watch the token that stops the server. Its session
/// is closed instead.
struct ServerState {
    routes: Routes,
    connectors: Connectors,
    config: Live<ServerConfig>,
    connections: Arc<ConnectionLimit>,
    /// Counts new connections, as a meter counts packets.
    accept_rate: RateMeter,
    sessions: Sessions,
    counters: Arc<Counters>,
    access_log: AccessLog,
    traces: Traces,
    next_id: AtomicU64,
    /// The connections that were accepted and have no session yet.
    opening: AtomicU64,
    /// The running time, in which clients' deadlines are measured.
    time: RunningTime,
    spare: SpareDescriptor,
    /// Limits the clients that are turned away with an answer.
    refusals: Semaphore,
    /// The places of the sessions that are awake.
    awake: AwakeLimit,
    memory: MemoryBudget,
    #[cfg(feature = "control")]
    events: Events,
    /// The traces of sessions, and the faults.
    session_traces: Arc<SessionTraces>,
    /// What the application keeps beside its sessions.
    carried: Carried,
}

/// The state that the connections of one listener share.
struct ListenerContext {
    slot: Slot,
    admission: Admission,
    settings: Live<ListenerSettings>,
    /// The largest message, in bytes, if messages are datagrams.
    max_datagram: Option<usize>,
    /// What its sessions say about where they come from.
    origin: Arc<Origin>,
    /// How many connections are open.
    connections: AtomicU64,
    /// The counts of its connections.
    counters: Arc<ListenerCounters>,
}

/// The settings of a listener that also apply to connections that are open.
struct ListenerSettings {
    limits: ClientLimits,
    access: AccessConfig,
}

/// Returns the limits of a meter that counts new connections.
fn accept_limits(config: &ServerConfig) -> RateLimits {
    RateLimits { packets_per_second: config.accept_rate, ..RateLimits::default() }
}

/// Counts one more until it is dropped.
struct Counted<'a>(&'a AtomicU64);

impl<'a> Counted<'a> {
    fn begin(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves one client, and counts and logs how its connection ended.
async fn serve_client(
    server: Arc<ServerState>,
    listener: Arc<ListenerContext>,
    id: SessionId,
    incoming: Incoming,
    stop: CancellationToken,
) {
    let _counted = Counted::begin(&listener.connections);
    let mut known = Known::new(&incoming);
    let reason = caught(serve(&server, &listener, id, incoming, &stop, &mut known)).await;
    finish(&server, &listener, id, &mut known, &reason);
}

/// Returns why a connection ended. A panic in it is a bug in this program, and ends the connection
/// like any other reason.
async fn caught(served: impl Future<Output = CloseReason>) -> CloseReason {
    AssertUnwindSafe(served).catch_unwind().await.unwrap_or(CloseReason::Internal)
}

/// Counts, reports and logs the end of a connection. A session that goes on in another process has
/// not ended.
fn finish(
    server: &ServerState,
    listener: &ListenerContext,
    id: SessionId,
    known: &mut Known,
    reason: &CloseReason,
) {
    listener.counters.closed(reason);
    if *reason == CloseReason::Moved {
        return;
    }
    if let Some(session) = &known.session {
        known.trace.end(session, known.generation, reason);
        server.sessions.closed(session, reason);
    }
    #[cfg(feature = "control")]
    server.events.ended(Ended {
        session: id,
        user: known.session.as_ref().and_then(Session::user),
        peer: known.session.as_ref().map_or(&known.client, |session| &session.client().address),
        listener: &listener.origin.listener,
        codec: listener.slot.name(),
        generation: known.generation,
        reason,
    });
    server.access_log.connection(known, reason);
}

/// What is known about a connection when it ends.
struct Known {
    /// When the client was accepted.
    since: std::time::Instant,
    /// The client's address, until there is a session. Behind a load balancer it is the
    /// balancer's, until the balancer has said whose it is.
    client: String,
    /// The name of the transport, once the socket is open.
    transport: Option<&'static str>,
    /// The session, as soon as the application can learn of it.
    session: Option<Session>,
    /// The generation of the codec that the session was on last.
    generation: Option<u64>,
    trace: ConnectionTrace,
}

impl Known {
    /// What is known of a session that has come from another process.
    fn of(session: &Session, transport: &'static str) -> Self {
        Self {
            since: std::time::Instant::now(),
            client: String::new(),
            transport: Some(transport),
            session: Some(session.clone()),
            generation: None,
            trace: ConnectionTrace::default(),
        }
    }

    fn new(incoming: &Incoming) -> Self {
        Self {
            since: std::time::Instant::now(),
            client: incoming.address.clone(),
            transport: None,
            session: None,
            generation: None,
            trace: ConnectionTrace::default(),
        }
    }
}

/// Prepares one client's connection, runs it, and returns why it ended. Sets what becomes known
/// about the connection.
async fn serve(
    server: &Arc<ServerState>,
    listener: &Arc<ListenerContext>,
    id: SessionId,
    incoming: Incoming,
    stop: &CancellationToken,
    known: &mut Known,
) -> CloseReason {
    // The preparation needs more memory than all that follows. It is in a box, so that the task of
    // an open connection does not keep this memory.
    let opening = Counted::begin(&server.opening);
    let prepared = Box::pin(prepare(server, listener, id, incoming, stop, known)).await;
    drop(opening);
    match prepared {
        Ok(Prepared { connection, admitted, permit }) => {
            let reason = connection.run().await;
            known.generation = known.session.as_ref().map(|session| session.vitals().generation());
            drop((admitted, permit));
            reason
        }
        Err(reason) => reason,
    }
}

/// A connection that is ready to run, and what it holds until it ends.
struct Prepared<'a> {
    connection: Box<Connection>,
    admitted: Option<Admitted<'a>>,
    permit: Permit,
}

/// Prepares one client's connection: admission, socket, codec, framing and session. Returns the
/// reason if the client gets no session.
async fn prepare<'a>(
    server: &Arc<ServerState>,
    listener: &'a Arc<ListenerContext>,
    id: SessionId,
    incoming: Incoming,
    stop: &CancellationToken,
    known: &mut Known,
) -> Result<Prepared<'a>, CloseReason> {
    let ListenerContext { slot, admission, settings, max_datagram, origin, .. } = &**listener;
    let settings = settings.get();
    let ListenerSettings { limits, access } = &*settings;
    let mut accepted = server.time.now();

    // Admission. The address of a client behind a load balancer is known only when the connection
    // has opened, so that client is admitted below.
    let Incoming { address, behind_proxy, mut open, turn_away } = incoming;
    let at_once = if behind_proxy { Ok(None) } else { admission.admit_to(slot, access, &address).map(Some) };
    let mut admitted = match at_once {
        Ok(admitted) => admitted,
        Err(reason) => return Err(refuse(server, open, turn_away, reason).await),
    };
    let permit = server.connections.take().filter(|_| !server.memory.is_over());
    let Some(permit) = permit else {
        return Err(refuse(server, open, turn_away, CloseReason::ServerFull).await);
    };

    let turned_away = behind_proxy.then(|| turned_away_as(listener, turn_away.as_ref()));

    // The connector's socket, once it is ready for packets.
    let opened = tokio::select! {
        () = stop.cancelled() => {
            // A client that is turned away may have its answer already.
            let known = turned_away.and_then(|reason| reason.get().cloned());
            return Err(match known {
                Some(reason) => reason,
                None => refuse(server, open, turn_away, CloseReason::Shutdown).await,
            });
        }
        opened = server.time.timeout(limits.handshake_limit(), &mut open) => opened,
    };
    drop(open);
    let Opened { transport, client, attributes, meter, starttls, socket } = match opened {
        Some(Ok(opened)) => opened,
        Some(Err(error)) => {
            if let Some(reason) = turned_away.and_then(|reason| reason.get().cloned()) {
                return Err(reason);
            }
            return Err(match error.kind() {
                io::ErrorKind::TimedOut if error.raw_os_error().is_none() => CloseReason::FirstByteTimeout,
                io::ErrorKind::UnexpectedEof => CloseReason::ClientClosed,
                io::ErrorKind::PermissionDenied => CloseReason::Forbidden(Reason::new(error.to_string())),
                _ => error.into(),
            });
        }
        None => return Err(CloseReason::HandshakeTimeout),
    };
    listener.counters.opened(transport);
    if let Some(client) = &client {
        Span::current().record("client", client);
        known.client.clone_from(client);
    }
    let address = client.unwrap_or(address);
    if behind_proxy {
        admitted = match admission.admit_to(slot, access, &address) {
            Ok(admitted) => Some(admitted),
            Err(reason) => return Err(close_socket(server, socket, reason).await),
        };
    }
    known.transport = Some(transport);
    let client = ClientInfo { transport: transport.to_owned(), address, attributes };

    // A place among the sessions that are awake. If all are taken, others are asked to sleep.
    let waits = server.time.now();
    let place = match needs_place(&slot.current()) {
        true => {
            let place = server.awake.wait(|| server.time.now());
            let place = tokio::select! {
                () = stop.cancelled() => return Err(CloseReason::Shutdown),
                place = server.time.timeout(OPEN_TIMEOUT, place) => place,
            };
            let Some(place) = place else {
                return Err(close_socket(server, socket, CloseReason::ServerFull).await);
            };
            Some(place)
        }
        false => None,
    };

    // While the codec is over its budget of CPU time, sessions open one after the other. A client
    // that waits for its turn is on no generation yet, so no swap waits for the client.
    let turn = tokio::select! {
        () = stop.cancelled() => return Err(CloseReason::Shutdown),
        turn = server.time.timeout(limits.handshake_limit(), opening_turn(slot.cpu())) => turn,
    };
    let Some(turn) = turn else {
        return Err(close_socket(server, socket, CloseReason::HandshakeTimeout).await);
    };
    // This time does not count towards the client's deadlines.
    accepted += server.time.now() - waits;

    // The session, and its lease on a generation of the codec.
    let outbox = Outbox::new(limits.into());
    let vitals = Vitals::new(Arc::clone(origin), server.time.now());
    let session = Session::with_vitals(id, client, outbox.clone(), server.sessions.clone(), vitals);
    let Some((lease, shadowed_by)) = slot.acquire(id.0, session.waker()) else {
        drop((turn, place));
        return Err(close_socket(server, socket, CloseReason::Suspended).await);
    };
    // A canary may use another pool than the current generation.
    let place = match (needs_place(lease.generation()), place) {
        (true, None) => Some(server.awake.take_extra()),
        (needs_place, place) => place.filter(|_| needs_place),
    };

    // The codec: for a component, a sandbox of its own.
    let codec_limits = &slot.settings().limits;
    let carrier = carrier_of(&socket, *max_datagram);
    // A datagram holds whole packets.
    let max_packet = max_datagram.map_or(codec_limits.max_packet, |max| codec_limits.max_packet.min(max));
    let link = Link { carrier, max_packet };
    let now = clock::at(0);
    let codec = Arc::clone(lease.generation());
    known.generation = Some(codec.number());
    let description = codec.description();
    let peer = link.peer(session.client(), description);
    let watch = watch_opening(server, &session, &lease, &peer, now);
    let codec_session = match codec.open(peer, now) {
        Ok(codec_session) => codec_session,
        Err(error) => {
            not_opened(server, &session, &lease, watch, &error);
            // From here on no swap and no other session waits for this one.
            drop((lease, turn, place));
            let reason = match error {
                CodecError::Refused(reason) => CloseReason::Refused(reason),
                error => CloseReason::CodecFault(error),
            };
            return Err(close_socket(server, socket, reason).await);
        }
    };

    let wire = wire(&codec, &socket, *max_datagram, link, starttls.is_some());

    // The session's machine. The task runs its turns until the connection ends. From here on a
    // candidate may mirror the codec.
    let mut codec_session = ShadowedSession::new(codec_session);
    if let Some(candidate) = shadowed_by {
        codec_session.set_shadow(lease.shadow(&candidate, |candidate| {
            candidate.open(link.peer(session.client(), candidate.description()), now)
        }));
    }
    let machine = Machine::new(&*codec, codec_session, wire, outbox, min_timer(slot), now, watch);
    drop(turn);
    let begun = SystemTime::now() - known.since.elapsed();
    known.trace = server.traces.connection(&session, &origin.listener, slot.name(), begun);
    let connection = Box::new(Connection::new(
        Arc::clone(server),
        Arc::clone(listener),
        (socket, meter, starttls),
        machine,
        session.clone(),
        (lease, link, place),
        // If they have changed meanwhile, the first turn applies the new ones.
        (settings, accepted, known.trace.link()),
    ));
    known.session = Some(session.clone());
    // The session has it too.
    known.client = String::new();
    server.sessions.insert(session.clone());
    if stop.is_cancelled() {
        // The server stopped while this client was opening, and closed all sessions that it knew
        // of.
        session.close(CloseReason::Shutdown);
    }
    Ok(Prepared { connection, admitted, permit })
}

/// Returns how bytes travel over a socket. `max_datagram` is the size of the largest message, in
/// bytes, if messages are datagrams.
fn carrier_of(socket: &Socket, max_datagram: Option<usize>) -> Carrier {
    match (socket, max_datagram) {
        (Socket::Stream(_), _) => Carrier::Bytes,
        (Socket::Messages(_), None) => Carrier::Messages,
        (Socket::Messages(_), Some(_)) => Carrier::Datagrams,
    }
}

/// Returns the framing that the codec describes, for this kind of socket.
fn wire(
    codec: &Generation,
    socket: &Socket,
    max_datagram: Option<usize>,
    link: Link,
    may_start_tls: bool,
) -> Wire {
    let layout = codec.layout(link.carrier).expect("each generation is checked against the listeners");
    // Several packets that are framed may share a datagram.
    let is_shared = matches!(layout, Layout::Framed(_) | Layout::Framer { .. });
    let output = match (socket, max_datagram) {
        (Socket::Stream(_), _) => Output::stream(),
        (Socket::Messages(_), None) => Output::messages(),
        (Socket::Messages(_), Some(max)) => Output::datagrams(max, is_shared),
    };
    let payload = codec.description().payload_on(link.carrier);
    Wire { layout, payload, max_packet: link.max_packet, may_start_tls, output }
}

/// Returns the shortest time of a codec's timer, in milliseconds.
fn min_timer(slot: &Slot) -> u64 {
    u64::try_from(slot.settings().limits.min_timer.as_millis()).unwrap_or(u64::MAX)
}
