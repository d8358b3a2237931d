//! What a rollout over all nodes needs of a slot.

use super::admit::blocking;
use super::assignments::{self, RunningTrial};
use super::load;
use super::sync::lock;
use super::{CodecSource, Generation, Slot, SourceError, SwapError, Trial};
use crate::codec::Digest;

/// The components of a slot.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SlotNow {
    /// The component on which new sessions open. `None` if the codec is native.
    pub(crate) current: Option<Digest>,
    /// The component on trial. The inner value is `None` if it is native.
    pub(crate) candidate: Option<(Option<Digest>, Trial)>,
    /// Whether the component that is asked about was rolled back.
    pub(crate) is_rejected: bool,
}

/// The counts of a component.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Sessions that are on it.
    pub(crate) sessions: usize,
    /// Its faults.
    pub(crate) faults: u64,
    /// Answers that differed when it was in the shadow.
    pub(crate) differences: u64,
}

/// A source that has taken the place of a slot's own one.
#[derive(Clone, Debug)]
pub(crate) struct Adopted {
    source: CodecSource,
    before: CodecSource,
}

impl Slot {
    /// Returns the components of the slot. `asked` is the one that may have been rolled back.
    pub(crate) fn now(&self, asked: Digest) -> SlotNow {
        let digest = |generation: &Generation| generation.component.map(|component| component.digest);
        let candidate = self.0.assignments.on_trial().map(|(candidate, trial)| {
            let trial = match trial {
                RunningTrial::Shadow(_) => Trial::Shadow,
                RunningTrial::Canary(_) => Trial::Canary,
            };
            (digest(&candidate), trial)
        });
        let is_rejected = lock(&self.0.rejected).iter().any(|(rejected, _)| *rejected == asked);
        SlotNow { current: self.digest(), candidate, is_rejected }
    }

    /// Returns the counts of a component, of all generations that are held of it.
    pub(crate) fn counts_of(&self, component: Digest) -> Counts {
        let mut counts = Counts::default();
        for listed in self.0.assignments.list() {
            if listed.generation.component.is_some_and(|it| it.digest == component) {
                counts.sessions += listed.sessions;
                counts.faults += lock(&listed.generation.counts.faults).values().sum::<u64>();
                if let assignments::Role::Trial(RunningTrial::Shadow(_)) = listed.role {
                    let compared = lock(&self.0.comparison).as_ref().map(|comparison| comparison.snapshot());
                    counts.differences = compared.map_or(0, |compared| compared.differences);
                }
            }
        }
        counts
    }

    /// Returns a source like the slot's own one, whose component is elsewhere. Its component must
    /// be the one with this digest.
    ///
    /// # Errors
    /// Returns an error if `place` is neither in a registry nor in an object store nor a file.
    pub(crate) fn own_from(&self, place: &str, component: Digest) -> Result<CodecSource, SwapError> {
        Ok(self.at(place)?.pinned(component))
    }

    /// Reads or fetches the component that is at `place`, and returns its digest.
    ///
    /// # Errors
    /// Returns an error if there is no component.
    pub(crate) async fn digest_at(&self, place: &str) -> Result<Option<Digest>, SwapError> {
        let source = self.at(place)?.fetched().await?;
        blocking(move || Ok(load::read(&source)?.digest())).await
    }

    fn at(&self, place: &str) -> Result<CodecSource, SourceError> {
        self.0.resources.source(self.0.own().at(place)?)
    }

    /// Makes a source the slot's own one, which a reload of the slot reads. The pin of the slot
    /// stays. Nothing is loaded, and changes at that place are not followed.
    pub(crate) fn adopt(&self, mut source: CodecSource) -> Adopted {
        let mut own = lock(&self.0.own);
        source.settings.pin = own.settings.pin;
        source.is_rolled_out = true;
        let before = std::mem::replace(&mut *own, source.clone());
        Adopted { source, before }
    }

    /// Returns whether a rollout has given the slot its own source.
    pub(crate) fn is_rolled_out(&self) -> bool {
        self.0.own().is_rolled_out
    }

    /// Gives the slot the source back that it had before, unless a reload has given it another one.
    pub(crate) fn give_back(&self, Adopted { source, before }: Adopted) {
        let mut own = lock(&self.0.own);
        if own.is_same(&source) {
            *own = before;
        }
    }
}
