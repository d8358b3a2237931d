//! Goes on with the sessions of another process, in an upgrade of the server.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::SystemTime;

use futures_util::FutureExt as _;
use tracing::field::Empty;
use tracing::{Instrument as _, info_span};

use super::awake::needs_place;
use super::connection::{Connection, SavedConnection};
use super::handing::HandedListener;
use super::listeners::{Listening, Order};
use super::peer::Link;
use super::preparing::{carrier_of, min_timer, wire};
use super::running::Running;
use super::serving::{Counted, Known, caught, finish};
use super::{ServerState, clock};
use crate::codec::Codec as _;
use crate::codec::CodecError;
use crate::session::{BroadcastClass, ClientInfo, Machine, Outbox, Resumed, Session, SessionId, Vitals};
use crate::upgrade::{SavedCodec, SavedSession};
use wireplug_connectors::{HandedSocket, Opened};

/// A session that has come from another process.
pub(crate) struct Arrived {
    session: Session,
    saved: SavedSession,
    codec: Arc<SavedCodec>,
    socket: HandedSocket,
    listener: Listening,
}

impl Arrived {
    /// Creates the handle of a session that has come. It is in no table yet.
    pub(crate) fn new(
        running: &Running,
        listener: &HandedListener,
        codec: Arc<SavedCodec>,
        mut saved: SavedSession,
        socket: HandedSocket,
    ) -> Self {
        let (server, listener) = (&running.state, listener.0.clone());
        let limits = listener.context.settings.get().limits;
        let outbox = Outbox::resume((&limits).into(), saved.take_outbox());
        let vitals = Vitals::resume(Arc::clone(&listener.context.origin), &saved.vitals, server.time.now());
        let client: ClientInfo = saved.take_client();
        let (sessions, profile) = (server.sessions.clone(), saved.take_profile());
        let session = Session::resume(SessionId(saved.id), client, outbox, sessions, vitals, profile);
        if saved.machine.is_established() {
            // Before the first command for all sessions can come.
            session.set_established();
        }
        Self { session, saved, codec, socket, listener }
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Serves the session in a task of its own. Calls `settled` as soon as it is clear whether the
    /// session is served, or why not. A session that is not served has left nothing behind.
    pub(crate) fn serve(
        self,
        running: &Running,
        settled: impl FnOnce(SessionId, Result<(), String>) + Send + 'static,
    ) {
        let server = Arc::clone(&running.state);
        let (id, context) = (self.session.id(), &self.listener.context);
        let (url, codec) = (&context.origin.listener, context.slot.name());
        let peer = &self.session.client().address;
        let span = info_span!("connection", %id, listener = %url, codec, peer, client = Empty);
        let served = async move {
            let resumed = AssertUnwindSafe(self.resume(&server)).catch_unwind().await;
            match resumed.unwrap_or_else(|_| Err("the new process panicked, as its log says".to_owned())) {
                Ok(resumed) => {
                    settled(id, Ok(()));
                    resumed.run(&server).await;
                }
                Err(why) => settled(id, Err(why)),
            }
        };
        running.tasks.spawn(served.instrument(span));
    }

    /// Opens the session's socket and restores its codec.
    ///
    /// # Errors
    /// Returns why the session cannot go on here.
    async fn resume(self, server: &Arc<ServerState>) -> Result<Going, String> {
        let Self { session, saved, codec: old, socket, listener } = self;
        let context = Arc::clone(&listener.context);
        let opened = listener.order(|done| Order::Adopt(socket, done)).await;
        let opened = opened.ok_or("its listener has stopped")?.map_err(|error| error.to_string())?;
        let Opened { transport, meter, starttls, socket, .. } = opened;
        let settings = context.settings.get();
        let slot = &context.slot;
        let (lease, _) = slot.acquire(session.id().0, session.waker()).ok_or("its codec opens no session")?;
        let codec = Arc::clone(lease.generation());
        let new = lease.saved_codec();
        new.format.takes_over_from(&old.format)?;
        let carrier = carrier_of(&socket, context.max_datagram);
        let max_packet = slot.settings().limits.max_packet;
        let link =
            Link { carrier, max_packet: context.max_datagram.map_or(max_packet, |max| max_packet.min(max)) };
        let now = clock::at(saved.session_ms);
        // Another version of the codec has to understand the state, so it is asked at once.
        let goes_on_sleeping = saved.machine.is_asleep && new.identity == old.identity;
        let peer = link.peer(session.client(), codec.description());
        let (resumed, place) = match goes_on_sleeping {
            true => (Resumed::Asleep(codec.saved_states()), None),
            false => {
                let restored = codec.restore(peer, &saved.machine.state, now);
                let restored = restored.map_err(|error: CodecError| error.to_string())?;
                let place = needs_place(&codec).then(|| server.awake.take_extra());
                (Resumed::Awake(restored), place)
            }
        };
        let wire = wire(&codec, &socket, context.max_datagram, link, starttls.is_some());
        let min_timer = min_timer(slot);
        let SavedSession { machine, session_ms, deadlines, rates, bytes, class, .. } = saved;
        let asleep = goes_on_sleeping.then_some(machine.state.len());
        let machine = Machine::resume(
            &*codec,
            resumed,
            wire,
            session.outbox().clone(),
            min_timer,
            now,
            (machine, old.format.clock),
        );
        let mut known = Known::of(&session, transport);
        known.generation = Some(codec.number());
        known.since = std::time::Instant::now()
            .checked_sub(session.vitals().age(server.time.now()))
            .unwrap_or(known.since);
        let begun = SystemTime::now() - known.since.elapsed();
        known.trace = server.traces.connection(&session, &context.origin.listener, slot.name(), begun);
        let accepted = server.time.now();
        let mut connection = Box::new(Connection::new(
            Arc::clone(server),
            Arc::clone(&context),
            (socket, meter, starttls),
            machine,
            session.clone(),
            (lease, link, place),
            (settings, accepted, known.trace.link()),
        ));
        connection.resume(&SavedConnection { session_ms, asleep, deadlines, rates, bytes });
        match goes_on_sleeping {
            true => session.set_broadcast_class(class.map(|class| BroadcastClass { codec, class })),
            false => connection.update_broadcast_class(),
        }
        server.sessions.settle(&session);
        Ok(Going { connection, known, session, context })
    }
}

/// A session that goes on in this process.
struct Going {
    connection: Box<Connection>,
    known: Known,
    session: Session,
    context: Arc<super::ListenerContext>,
}

impl Going {
    async fn run(self, server: &Arc<ServerState>) {
        let Self { connection, mut known, session, context } = self;
        let _counted = Counted::begin(&context.connections);
        // They were admitted once, so limits that are lower now do not end them.
        let permit = server.connections.take_extra();
        let admitted = context.admission.readmit(&context.settings.get().access, &session.client().address);
        context.counters.accepted();
        context.counters.opened(known.transport.unwrap_or_default());
        server.sessions.moved(&session);
        let reason = caught(connection.run()).await;
        known.generation = Some(session.vitals().generation());
        drop((admitted, permit));
        finish(server, &context, session.id(), &mut known, &reason);
    }
}
