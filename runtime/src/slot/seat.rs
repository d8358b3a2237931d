//! A session's place in its slot.

use std::sync::Arc;
use std::task::Waker;

use super::roster::{Answer, Call, Order, Sat};
use super::sync::lock;
use super::{Generation, Inner, Slot};
use crate::codec::shadow::{Comparison, Shadow};
use crate::codec::{CodecError, CodecSession, CpuAccount};
use crate::config::CodecLimits;

/// A session's place: from its opening to its end the slot knows which generation it is on.
pub(crate) struct Seat {
    slot: Arc<Inner>,
    id: u64,
    generation: Arc<Generation>,
    call: Arc<Call>,
}

impl Slot {
    /// A place for a new session whose task `waker` wakes, and the generation that is to mirror it. None: the
    /// codec fails so often that no session is opened for a while.
    pub(crate) fn sit(&self, id: u64, waker: Waker) -> Option<(Seat, Option<Arc<Generation>>)> {
        let Sat { generation, mirror, call } = self.0.roster.sit(id, waker);
        let seat = Seat { slot: Arc::clone(&self.0), id, generation, call };
        seat.generation.admits().then_some((seat, mirror))
    }
}

impl Seat {
    /// The generation that the session is on.
    pub(crate) fn generation(&self) -> &Arc<Generation> {
        &self.generation
    }

    /// The limits of the slot's sandboxes.
    pub(crate) fn limits(&self) -> &CodecLimits {
        &self.slot.settings.limits
    }

    /// The CPU time of all sandboxes of the slot.
    pub(crate) fn cpu(&self) -> Arc<CpuAccount> {
        Slot(Arc::clone(&self.slot)).cpu()
    }

    /// Whether the slot wants something of this session.
    pub(crate) fn is_called(&self) -> bool {
        self.call.is_on()
    }

    /// What it wants.
    pub(crate) fn order(&self) -> Order<Generation> {
        self.slot.roster.order(self.id)
    }

    /// Tells the slot what the session did.
    pub(crate) fn answer(&self, answer: Answer<Generation>) {
        self.slot.roster.answer(self.id, answer);
        self.slot.answered.notify_one();
    }

    /// The session goes on with this generation.
    pub(crate) fn moved(&mut self, to: Arc<Generation>) {
        self.generation = Arc::clone(&to);
        self.answer(Answer::Moved(to.number(), to));
    }

    /// The session is about to end: no swap waits for it any more. It keeps its generation.
    pub(crate) fn leave(&self) {
        self.slot.roster.leave(self.id);
        self.slot.answered.notify_one();
    }

    /// A shadow of this session by a candidate, if there is a sandbox to be had for it. `open` opens it.
    pub(crate) fn shadow(
        &self,
        candidate: &Arc<Generation>,
        open: impl FnOnce(&Generation) -> Result<Box<dyn CodecSession>, CodecError>,
    ) -> Option<Shadow> {
        let comparison: Arc<Comparison> = lock(&self.slot.comparison).clone()?;
        let Ok(place) = self.slot.shadows.take() else {
            comparison.not_mirrored();
            return None;
        };
        // Its faults were counted where they were found.
        match open(candidate) {
            Ok(session) => {
                let candidate = Arc::clone(candidate);
                let on_fault = move |error: &CodecError| {
                    let _ = &place;
                    candidate.fault(error);
                };
                Some(Shadow::new(session, comparison, Box::new(on_fault)))
            }
            Err(_) => {
                comparison.not_mirrored();
                None
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
    }
}
