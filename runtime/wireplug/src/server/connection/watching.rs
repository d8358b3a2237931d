//! What a connection does for traces of its session, and for the last packets before a fault.

use super::Connection;
use crate::codec::{Codec as _, CodecError, Instant, Peer};
use crate::server::ServerState;
use crate::session::{CloseReason, Session};
use crate::session_trace::{Beginning, Fault, Order, Ring, Watch, close_record};
use crate::slot::Lease;
use wireplug_core::vectors::Start;

/// Why there are no packets of a session whose codec keeps none.
const OFF: &str =
    "the last packets of the sessions of this codec are not kept: set `limits.keep-packets` of the codec";

/// Returns what watches a session from its opening as this client, if anything does.
pub(in crate::server) fn watch_opening(
    server: &ServerState,
    session: &Session,
    lease: &Lease,
    peer: &Peer,
    now: Instant,
) -> Option<Box<Watch>> {
    let traces = server.session_traces.of_opening(session.id(), &peer.address);
    let limits = lease.limits();
    let keeps = limits.keep_packets > 0;
    if !keeps && traces.is_empty() {
        return None;
    }
    let options = lease.recorded_options();
    let generation = lease.generation();
    let ring = keeps.then(|| {
        let keep = (limits.keep_packets as usize, limits.keep_bytes);
        Ring::new(generation.clone(), keep, &options, peer, now)
    });
    let mut watch = Box::new(Watch::new(session.id(), ring));
    for trace in traces {
        let secrets = generation.secrets();
        watch.add(trace, Beginning { options: &options, peer, start: Start::Opening, now, secrets });
    }
    Some(watch)
}

/// Keeps the fault of a codec that did not open a session, and ends the traces of the session.
pub(in crate::server) fn not_opened(
    server: &ServerState,
    session: &Session,
    lease: &Lease,
    watch: Option<Box<Watch>>,
    error: &CodecError,
) {
    let mut watch = watch;
    if let Some(ring) = watch.as_mut().and_then(|watch| watch.ring.as_mut()) {
        ring.not_opened(error);
    }
    if let Some(watch) = &mut watch {
        watch.not_opened(error);
        watch.note(&format!("the session did not open: {error}"));
        watch.traces().filter(|trace| trace.ends_with(session.id())).for_each(|trace| trace.ended.cancel());
    }
    if !matches!(error, CodecError::Refused(_) | CodecError::Exhausted(_)) {
        keep(server, session, lease.generation().number(), watch.as_deref(), error);
    }
}

fn keep(server: &ServerState, session: &Session, generation: u64, watch: Option<&Watch>, error: &CodecError) {
    let ring = watch.and_then(|watch| watch.ring.as_ref());
    server.session_traces.faults.keep(Fault {
        session: session.id().0,
        peer: session.client().address.clone(),
        user: session.user().map(String::from),
        codec: session.vitals().codec().to_owned(),
        generation,
        cause: error.cause(),
        reason: error.to_string(),
        vectors: ring.map_or_else(|| Err(OFF.to_owned()), Ring::vectors),
    });
}

impl Connection {
    /// Does what was asked about traces of this session.
    pub(super) fn take_orders(&mut self) {
        for order in self.session.take_orders() {
            match order {
                Order::Watch(trace) => self.codec.watch(trace),
                Order::Look => self.codec.prune_watch(),
                Order::Recent(answer) => {
                    let ring = self.codec.watch_mut().and_then(|watch| watch.ring.as_ref());
                    let vectors = ring.map_or_else(|| Err(OFF.to_owned()), Ring::vectors);
                    // Whoever asked may have gone.
                    let _ = answer.send(vectors);
                }
            }
        }
    }

    /// Keeps the fault of the codec, once, with the last packets before it.
    pub(super) fn keep_fault(&mut self) {
        let Some(fault) = self.codec.take_unkept_fault() else { return };
        let generation = self.session.vitals().generation();
        let (server, session) = (&self.server, &self.session);
        keep(server, session, generation, self.codec.watch_mut().map(|watch| &*watch), &fault);
    }

    /// Delivers the last record of the session to its traces.
    pub(super) fn end_watch(&mut self, reason: &CloseReason) {
        let id = self.session.id();
        if let Some(watch) = self.codec.watch_mut() {
            for trace in watch.traces() {
                if trace.is_live() {
                    trace.deliver(id, close_record(id, reason));
                }
                if trace.ends_with(id) {
                    trace.ended.cancel();
                }
            }
        }
        for order in self.session.take_orders() {
            if let Order::Watch(trace) = order
                && trace.ends_with(id)
            {
                trace.ended.cancel();
            }
        }
    }
}
