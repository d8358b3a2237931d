//! Prepares the connection of one client, until its session can run.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio_util::sync::CancellationToken;
use tracing::Span;

use super::admission::{Admitted, Permit};
use super::awake::needs_place;
use super::budget::opening_turn;
use super::connection::{Connection, not_opened, watch_opening};
use super::peer::Link;
use super::serving::Known;
use super::turning_away::{close_socket, refuse, turned_away_as};
use super::{ListenerContext, ListenerSettings, ServerState, clock};
use crate::codec::shadow::ShadowedSession;
use crate::codec::{Carrier, Codec as _, CodecError, Reason};
use crate::session::{ClientInfo, CloseReason, Machine, Outbox, Output, Session, SessionId, Vitals, Wire};
use crate::slot::{Generation, Slot};
use wireplug_connectors::{Incoming, Opened, Socket};
use wireplug_core::framing::Layout;

/// How long a new client waits for sessions to sleep, if all sandboxes are taken. It is shorter
/// than a session that sleeps waits: a new client can try another server.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that is ready to run, and what it holds until it ends.
pub(super) struct Prepared<'a> {
    pub(super) connection: Box<Connection>,
    pub(super) admitted: Option<Admitted<'a>>,
    pub(super) permit: Permit,
}

/// Prepares one client's connection: admission, socket, codec, framing and session. Returns the
/// reason if the client gets no session.
pub(super) async fn prepare<'a>(
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
pub(super) fn carrier_of(socket: &Socket, max_datagram: Option<usize>) -> Carrier {
    match (socket, max_datagram) {
        (Socket::Stream(_), _) => Carrier::Bytes,
        (Socket::Messages(_), None) => Carrier::Messages,
        (Socket::Messages(_), Some(_)) => Carrier::Datagrams,
    }
}

/// Returns the framing that the codec describes, for this kind of socket.
pub(super) fn wire(
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
pub(super) fn min_timer(slot: &Slot) -> u64 {
    u64::try_from(slot.settings().limits.min_timer.as_millis()).unwrap_or(u64::MAX)
}
