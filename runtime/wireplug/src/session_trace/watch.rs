//! The observer of a session that is watched.

use std::sync::Arc;

use super::{Recording, Ring, Tap, Trace, TraceKind};
use crate::codec::{Codec, CodecError, Event, Secrets};
use crate::session::SessionId;
use wireplug_core::codec::driver::{CallEnd, ObservedCall, Observer};
use wireplug_core::codec::{Instant, Peer};
use wireplug_core::vectors::{Recorder, Start};

/// Hands the calls of a session to the traces, recordings and the ring that watch it.
pub(crate) struct Watch {
    session: SessionId,
    taps: Vec<Tap>,
    recordings: Vec<Recording>,
    pub(crate) ring: Option<Ring>,
}

/// What a recording needs to begin.
pub(crate) struct Beginning<'a> {
    /// The options of the codec, as JSON without secrets.
    pub(crate) options: &'a str,
    pub(crate) peer: &'a Peer,
    pub(crate) start: Start<'a>,
    pub(crate) now: Instant,
    pub(crate) secrets: Secrets,
}

impl Watch {
    pub(crate) fn new(session: SessionId, ring: Option<Ring>) -> Self {
        Self { session, taps: Vec::new(), recordings: Vec::new(), ring }
    }

    /// Adds a trace.
    pub(crate) fn add(&mut self, trace: Arc<Trace>, beginning: Beginning<'_>) {
        let Beginning { options, peer, start, now, secrets } = beginning;
        match trace.kind {
            TraceKind::Live => self.taps.push(Tap::new(trace, self.session, secrets)),
            TraceKind::Vectors => {
                let recorder = Recorder::new(options, peer, start, now, secrets);
                let mut recording = Recording::new(trace, recorder);
                recording.deliver();
                self.recordings.push(recording);
            }
        }
    }

    /// Reports that the codec did not open the session.
    pub(crate) fn not_opened(&mut self, error: &CodecError) {
        for recording in &mut self.recordings {
            recording.recorder.not_opened(error);
            recording.deliver();
        }
    }

    /// Removes the traces that have ended. Returns whether nothing watches any more.
    pub(crate) fn prune(&mut self) -> bool {
        self.taps.retain(|tap| !tap.trace.has_ended());
        self.recordings.retain(|recording| !recording.trace.has_ended());
        self.taps.is_empty() && self.recordings.is_empty() && self.ring.is_none()
    }

    /// Reports what happened to the session outside of its codec.
    pub(crate) fn note(&self, note: &str) {
        self.taps.iter().for_each(|tap| tap.note(note));
    }

    /// Reports a packet that was encoded for several sessions.
    pub(crate) fn shared(&self, route: &str, packet: &[u8]) {
        self.taps.iter().for_each(|tap| tap.shared(route, packet));
    }

    /// Returns the traces that deliver records.
    pub(crate) fn traces(&self) -> impl Iterator<Item = &Arc<Trace>> {
        let recordings = self.recordings.iter().map(|recording| &recording.trace);
        self.taps.iter().map(|tap| &tap.trace).chain(recordings)
    }

    /// Ends a turn: charges the ring. Returns whether the ring wants a saved state.
    pub(crate) fn end_turn(&mut self) -> bool {
        let Some(ring) = &mut self.ring else { return false };
        ring.settle();
        ring.is_full()
    }

    /// Begins the next part of the ring with a saved state, or gives the ring up without one.
    pub(crate) fn turn_ring(
        &mut self,
        codec: Arc<dyn Codec>,
        peer: &Peer,
        start: Option<Start<'_>>,
        now: Instant,
    ) {
        let Some(ring) = &mut self.ring else { return };
        match start {
            Some(start) => ring.turn(codec, peer, start, now),
            None => ring.give_up(),
        }
    }

    fn recorders(&mut self) -> impl Iterator<Item = &mut Recorder> {
        let ring = self.ring.iter_mut().filter(|ring| !ring.is_given_up()).map(|ring| &mut ring.recorder);
        self.recordings.iter_mut().map(|recording| &mut recording.recorder).chain(ring)
    }
}

impl Observer for Watch {
    fn begin(&mut self, call: ObservedCall<'_>, now: Option<Instant>) {
        self.recorders().for_each(|recorder| recorder.begin(call, now));
        // The taps measure the call, so they come last.
        self.taps.iter_mut().for_each(|tap| tap.begin(call));
    }

    fn returned(&mut self) {
        self.taps.iter_mut().for_each(Tap::returned);
    }

    fn event(&mut self, packet: usize, event: &Event<'_>) {
        self.taps.iter_mut().for_each(|tap| tap.event(packet, event));
        self.recorders().for_each(|recorder| recorder.event(packet, event));
    }

    fn packet(&mut self, message: usize, packet: &[u8]) {
        self.taps.iter_mut().for_each(|tap| tap.packet(message, packet));
        self.recorders().for_each(|recorder| recorder.packet(message, packet));
    }

    fn refused(&mut self, message: usize, reason: &[u8]) {
        self.taps.iter_mut().for_each(|tap| tap.refused(message, reason));
        self.recorders().for_each(|recorder| recorder.refused(message, reason));
    }

    fn end(&mut self, end: CallEnd<'_>) {
        self.taps.iter_mut().for_each(|tap| tap.end(end));
        self.recorders().for_each(|recorder| recorder.end(end));
        self.recordings.iter_mut().for_each(Recording::deliver);
    }
}
