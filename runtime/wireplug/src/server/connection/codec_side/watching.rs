//! Lets traces watch the session, and keeps its last packets.

use std::sync::Arc;

use super::CodecSide;
use crate::codec::{Codec as _, CodecError, Peer};
use crate::session_trace::{Beginning, Trace, TraceKind, Watch};
use wireplug_core::vectors::Start;

impl CodecSide {
    /// Lets a trace watch the session from now on. A recording begins with the saved state of the
    /// session.
    pub(in crate::server::connection) fn watch(&mut self, trace: Arc<Trace>) {
        let now = self.now();
        let generation = Arc::clone(self.lease.generation());
        let state = match trace.kind {
            TraceKind::Live => Vec::new(),
            TraceKind::Vectors => match self.recordable_state() {
                Ok(state) => state,
                Err(why) => return trace.refuse(&why),
            },
        };
        let options = self.lease.recorded_options();
        // The seed with which the session opened is part of its state.
        let peer = Peer { random_seed: [0; 32], ..self.peer_of(&generation) };
        let start = Start::State(&state, self.machine.is_established(), self.machine.timer());
        let beginning =
            Beginning { options: &options, peer: &peer, start, now, secrets: generation.secrets() };
        if !self.machine.is_watched() {
            self.machine.set_watch(Some(Box::new(Watch::new(self.session.id(), None))));
        }
        if let Some(watch) = self.machine.watch_mut() {
            watch.add(trace, beginning);
        }
    }

    /// Returns the state of the session for a recording.
    ///
    /// # Errors
    /// Returns why there is none.
    fn recordable_state(&mut self) -> Result<Vec<u8>, String> {
        if !self.lease.generation().abilities().handoff {
            return Err("the codec does not export `handoff`, so only a session that is traced from its opening can be \
                        saved: trace the client's address, and let the client connect again"
                .to_owned());
        }
        if !self.is_between_calls() {
            return Err("the session is in its handshake: try again when it is established".to_owned());
        }
        self.machine.save().map_err(|error| format!("its codec does not save the session: {error}"))
    }

    /// Returns whether a saved state is all that a replay needs.
    fn is_between_calls(&self) -> bool {
        !self.machine.hello_is_open()
            && !self.machine.tls_begins()
            && self.answer.is_none()
            && self.secured.is_none()
    }

    /// Removes the traces that have ended.
    pub(in crate::server::connection) fn prune_watch(&mut self) {
        if self.watch_mut().is_some_and(Watch::prune) {
            self.machine.set_watch(None);
        }
    }

    pub(in crate::server::connection) fn watch_mut(&mut self) -> Option<&mut Watch> {
        self.machine.watch_mut()
    }

    /// Returns the fault of the codec, if there is one that was not returned before.
    pub(in crate::server::connection) fn take_unkept_fault(&mut self) -> Option<CodecError> {
        let fault = self.machine.fault().filter(|_| !self.fault_is_kept).cloned();
        self.fault_is_kept |= fault.is_some();
        fault
    }

    /// Ends the turn of a session that is watched: its ring may need a saved state.
    pub(super) fn end_watched_turn(&mut self) {
        if !self.watch_mut().is_some_and(Watch::end_turn) {
            return;
        }
        let generation = Arc::clone(self.lease.generation());
        // In the middle of a handshake the ring grows until a later turn.
        if generation.abilities().handoff && !self.is_between_calls() {
            return;
        }
        let now = self.now();
        let state = match generation.abilities().handoff && self.machine.is_movable() {
            true => self.machine.save().ok(),
            false => None,
        };
        let (established, timer) = (self.machine.is_established(), self.machine.timer());
        let peer = Peer { random_seed: [0; 32], ..self.peer_of(&generation) };
        if let Some(watch) = self.machine.watch_mut() {
            let start = state.as_deref().map(|state| Start::State(state, established, timer));
            watch.turn_ring(generation, &peer, start, now);
        }
    }
}
