//! A session's lease on a generation of its slot.

use std::sync::Arc;
use std::task::Waker;

use super::assignments::{Ack, Assigned, Directive, Signal};
use super::sync::lock;
use super::{Generation, Slot, SlotState};
use crate::codec::shadow::{Comparison, Shadow};
use crate::codec::{Codec as _, CodecError, CodecSession, CpuAccount};
use crate::config::CodecLimits;
use crate::upgrade::SavedCodec;

/// A session's lease on a generation. From the opening of the session to its end, the slot knows
/// which generation the session is on.
pub(crate) struct Lease {
    slot: Arc<SlotState>,
    id: u64,
    generation: Arc<Generation>,
    signal: Arc<Signal>,
}

impl Slot {
    /// Returns a lease for a new session, and the generation that is to mirror the session. `waker`
    /// wakes the session's task. Returns `None` while no session opens, because the codec fails too
    /// often.
    pub(crate) fn acquire(&self, id: u64, waker: Waker) -> Option<(Lease, Option<Arc<Generation>>)> {
        let Assigned { generation, mirror, signal } = self.0.assignments.acquire(id, waker);
        let lease = Lease { slot: Arc::clone(&self.0), id, generation, signal };
        lease.generation.admits().then_some((lease, mirror))
    }
}

impl Lease {
    /// The generation that the session is on.
    pub(crate) fn generation(&self) -> &Arc<Generation> {
        &self.generation
    }

    /// The options of the generation for test vectors: as JSON, with the application's routes, and
    /// with a text in the place of each secret.
    pub(crate) fn recorded_options(&self) -> String {
        self.generation.options.given.recorded(&self.slot.resources.routes)
    }

    /// Returns the codec as another process has to know it.
    pub(crate) fn saved_codec(&self) -> &Arc<SavedCodec> {
        self.generation.saved.get_or_init(|| Arc::new(self.to_saved()))
    }

    fn to_saved(&self) -> SavedCodec {
        let description = self.generation.description();
        let identity = match self.generation.component {
            Some(component) => component.digest.to_string(),
            None => format!("{} {}", description.name, description.version),
        };
        SavedCodec {
            slot: self.slot.settings.name.clone(),
            identity: format!("{identity} {}", self.recorded_options()),
            format: self.generation.wire_format(),
        }
    }

    /// The limits of the slot's sandboxes.
    pub(crate) fn limits(&self) -> &CodecLimits {
        &self.slot.settings.limits
    }

    /// The CPU time of all sandboxes of the slot.
    pub(crate) fn cpu(&self) -> Arc<CpuAccount> {
        Slot(Arc::clone(&self.slot)).cpu()
    }

    /// Whether the slot has a directive for this session. Cheap: the flag belongs to this session
    /// alone.
    pub(crate) fn is_signalled(&self) -> bool {
        self.signal.is_set()
    }

    /// Returns what the session has to do.
    pub(crate) fn directive(&self) -> Directive<Generation> {
        self.slot.assignments.directive(self.id)
    }

    /// Reports that the session, which waited, can move and be mirrored again. Returns what it has
    /// to do.
    pub(crate) fn resume(&self) -> Directive<Generation> {
        self.slot.assignments.resume(self.id)
    }

    /// Reports to the slot what the session did with its directive.
    pub(crate) fn ack(&self, ack: Ack<Generation>) {
        self.slot.assignments.ack(self.id, ack);
        self.slot.acked.notify_one();
    }

    /// Reports that the session goes on with this generation.
    pub(crate) fn moved(&mut self, to: Arc<Generation>) {
        self.generation = Arc::clone(&to);
        self.ack(Ack::Moved(to.number(), to));
    }

    /// Reports that the session is about to end. No swap waits for it any more. It keeps its
    /// generation.
    pub(crate) fn release(&self) {
        self.slot.assignments.release(self.id);
        self.slot.acked.notify_one();
    }

    /// Returns a shadow of this session by a candidate, or `None` if there is no room for another
    /// sandbox or the candidate does not open. `open` opens the candidate's session.
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
        // The candidate's faults were counted where they were found.
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

impl Drop for Lease {
    fn drop(&mut self) {
        self.release();
    }
}
