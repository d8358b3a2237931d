//! The slots of a server that starts: one for each codec, however many listeners speak it.

use std::sync::Arc;

use anyhow::bail;

use crate::slot::{CodecSource, Shared, Slot};

/// The slots so far, each with what it was loaded from.
pub(super) struct Slots {
    shared: Arc<Shared>,
    loaded: Vec<(CodecSource, Slot)>,
}

impl Slots {
    pub(super) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared), loaded: Vec::new() }
    }

    /// The slot of a codec, which is loaded if it is new. One that nobody `named` for its listener takes a
    /// name that is free.
    pub(super) fn of(&mut self, source: CodecSource, named: bool) -> anyhow::Result<Slot> {
        if let Some((_, slot)) = self.loaded.iter().find(|(other, _)| other.is_same(&source)) {
            return Ok(slot.clone());
        }
        let name = source.settings.name.clone();
        let is_taken = |name: &str| self.loaded.iter().any(|(_, slot)| slot.name() == name);
        if named && is_taken(&name) {
            bail!("two codecs are named {name}: give one of them another name (CodecSource::named)");
        }
        let mut names = [name.clone()].into_iter().chain((2..).map(|number| format!("{name}-{number}")));
        let free = names.find(|name| !is_taken(name)).expect("one more than there are slots");
        // The source is kept as it came, to know it again.
        let slot = Slot::load(&source.clone().named(&free), Arc::clone(&self.shared))?;
        self.loaded.push((source, slot.clone()));
        Ok(slot)
    }

    /// In the order in which listeners named them first.
    pub(super) fn into_vec(self) -> Vec<Slot> {
        self.loaded.into_iter().map(|(_, slot)| slot).collect()
    }
}
