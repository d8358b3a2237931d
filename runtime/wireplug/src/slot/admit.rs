//! From a source to a generation of a slot: loads the source without delaying any change of the
//! slot, and checks again what may have changed meanwhile.

use std::sync::Arc;

use super::changes::Ticket;
use super::load::{self, LoadOptions, Loaded, Read};
use super::swap::conflict;
use super::sync::lock;
use super::{CodecSource, Generation, SlotState, SwapError, SwapReport, check_fit};
use crate::codec::Digest;
use wireplug_wasm::WasmLoader;

impl SlotState {
    /// Loads a source, on a thread that may block for seconds. No change of the slot waits for it.
    pub(super) async fn load(
        self: &Arc<Self>,
        loader: WasmLoader,
        source: &CodecSource,
        pin: Option<Digest>,
    ) -> Result<Loaded, SwapError> {
        let (state, source) = (Arc::clone(self), source.clone());
        blocking(move || {
            let options = LoadOptions::resolve(&source, &state.resources.routes)?;
            state.load_read(&loader, load::read(&source)?, options, pin)
        })
        .await
    }

    /// Loads a source that was read, unless it would be refused afterwards.
    fn load_read(
        &self,
        loader: &WasmLoader,
        read: Read<'_>,
        options: LoadOptions,
        pin: Option<Digest>,
    ) -> Result<Loaded, SwapError> {
        self.is_not_rejected(read.digest(), &options)?;
        Ok(read.load(loader, options, pin, &self.settings.overrides)?)
    }

    /// Makes a generation of what was loaded. The caller has begun a change. What may have changed
    /// while the source was loading is checked again.
    pub(super) fn admit(
        self: &Arc<Self>,
        source: &CodecSource,
        loaded: Loaded,
        pin: Option<Digest>,
    ) -> Result<Arc<Generation>, SwapError> {
        let digest = loaded.component.map(|component| component.digest);
        self.is_not_rejected(digest, &loaded.options)?;
        load::check_pin(digest, pin).map_err(SwapError::Pin)?;
        for (url, kinds, datagrams) in lock(&self.listeners).iter() {
            check_fit(url, *kinds, *datagrams, &*loaded.codec).map_err(SwapError::Fit)?;
        }
        Ok(self.generation(source, loaded))
    }

    fn is_not_rejected(&self, digest: Option<Digest>, options: &LoadOptions) -> Result<(), SwapError> {
        let is_rejected = |digest: &Digest| {
            lock(&self.rejected).iter().any(|(rejected, with)| rejected == digest && with == options)
        };
        let Some(digest) = digest.filter(is_rejected) else { return Ok(()) };
        conflict(format!(
            "the component {digest} was rolled back in the slot {}, and is not taken again with the same options: \
             mend it, or force it",
            self.settings.name
        ))
    }

    /// Does what `Slot::replace` does, for a change that was requested with this ticket.
    pub(super) async fn take(
        self: &Arc<Self>,
        ticket: Ticket,
        source: CodecSource,
    ) -> Result<Option<SwapReport>, SwapError> {
        let pin = source.settings.pin;
        loop {
            let (state, of) = (Arc::clone(self), source.clone());
            let (digest, options, loaded) = blocking(move || {
                let options = LoadOptions::resolve(&of, &state.resources.routes)?;
                let read = load::read(&of)?;
                let digest = read.digest();
                let loaded = match state.is_current(digest, &options, pin) {
                    true => None,
                    false => Some(state.load_read(&state.loader, read, options.clone(), pin)?),
                };
                Ok((digest, options, loaded))
            })
            .await?;
            let mut change = self.changes.begin(ticket).await?;
            let report = match (self.is_current(digest, &options, pin), loaded) {
                (true, _) => {
                    change.is_made();
                    None
                }
                (false, Some(loaded)) => {
                    let generation = self.admit(&source, loaded, pin)?;
                    Some(self.make_current(&mut change, generation, None).await?)
                }
                // Another generation became current since the check above.
                (false, None) => continue,
            };
            *lock(&self.own) = source;
            return Ok(report);
        }
    }

    /// Whether the current generation is this component with these options, and the pin lets it in.
    fn is_current(&self, digest: Option<Digest>, options: &LoadOptions, pin: Option<Digest>) -> bool {
        let same = self.assignments.current().is_made_of(digest, options);
        same && pin.is_none_or(|pin| digest == Some(pin))
    }
}

/// Runs work that may take seconds on a thread for blocking work.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SwapError> + Send + 'static,
) -> Result<T, SwapError> {
    tokio::task::spawn_blocking(work).await.map_err(SwapError::panicked("loading failed"))?
}
