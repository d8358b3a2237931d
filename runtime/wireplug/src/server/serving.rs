//! Serves one client, from the moment at which it was accepted.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;

use super::preparing::{Prepared, prepare};
use super::{ListenerContext, ServerState};
#[cfg(feature = "control")]
use crate::events::Ended;
use crate::session::{CloseReason, Session, SessionId};
use crate::traces::ConnectionTrace;
use wireplug_connectors::Incoming;

/// Counts one more until it is dropped.
pub(super) struct Counted<'a>(&'a AtomicU64);

impl<'a> Counted<'a> {
    pub(super) fn begin(count: &'a AtomicU64) -> Self {
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
pub(super) async fn serve_client(
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
pub(super) async fn caught(served: impl Future<Output = CloseReason>) -> CloseReason {
    AssertUnwindSafe(served).catch_unwind().await.unwrap_or(CloseReason::Internal)
}

/// Counts, reports and logs the end of a connection. A session that goes on in another process has
/// not ended.
#[cfg_attr(not(feature = "control"), allow(unused_variables, reason = "only the events name the session"))]
pub(super) fn finish(
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
pub(super) struct Known {
    /// When the client was accepted.
    pub(super) since: std::time::Instant,
    /// The client's address, until there is a session. Behind a load balancer it is the
    /// balancer's, until the balancer has said whose it is.
    pub(super) client: String,
    /// The name of the transport, once the socket is open.
    pub(super) transport: Option<&'static str>,
    /// The session, as soon as the application can learn of it.
    pub(super) session: Option<Session>,
    /// The generation of the codec that the session was on last.
    pub(super) generation: Option<u64>,
    pub(super) trace: ConnectionTrace,
}

impl Known {
    /// What is known of a session that has come from another process.
    pub(super) fn of(session: &Session, transport: &'static str) -> Self {
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
