//! From a source to a generation of a slot: loads the source without delaying any change of the
//! slot, and checks again what may have changed meanwhile.

use std::sync::Arc;

use bytes::Bytes;

use super::changes::Ticket;
use super::load::{self, LoadOptions, Loaded, Read};
use super::swap::conflict;
use super::sync::lock;
use super::{CodecSource, Generation, SlotState, SwapError, SwapReport, check_fit};
use crate::codec::Digest;
use crate::trust::Trust;
use wireplug_wasm::WasmLoader;

impl SlotState {
    /// Loads a source, on a thread that may block for seconds. No change of the slot waits for it.
    pub(super) async fn load(
        self: &Arc<Self>,
        loader: WasmLoader,
        source: &CodecSource,
        pin: Option<Digest>,
    ) -> Result<Loaded, SwapError> {
        let source = self.resources.source(source.clone())?;
        let (state, source) = (Arc::clone(self), source.fetched().await?);
        blocking(move || {
            let options = LoadOptions::resolve(&source, &state.resources.routes)?;
            let trust = state.resources.trust();
            state.load_read(&loader, load::read(&source)?, options, pin, &trust)
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
        trust: &Trust,
    ) -> Result<Loaded, SwapError> {
        self.is_not_rejected(read.digest(), &options)?;
        Ok(read.load(loader, options, pin, trust, &self.settings.overrides)?)
    }

    /// Makes a generation of what was loaded. What may have changed while the source was loading is
    /// checked again.
    pub(super) fn admit(
        self: &Arc<Self>,
        loaded: Loaded,
        pin: Option<Digest>,
        trust: &Trust,
    ) -> Result<Arc<Generation>, SwapError> {
        let generation = self.generation(loaded);
        self.may_serve(&generation, pin, trust)?;
        Ok(generation)
    }

    /// Checks whether a generation may become current.
    fn may_serve(
        &self,
        generation: &Generation,
        pin: Option<Digest>,
        trust: &Trust,
    ) -> Result<(), SwapError> {
        let digest = generation.component.map(|component| component.digest);
        self.is_not_rejected(digest, &generation.options)?;
        load::check_pin(digest, pin).map_err(SwapError::Pin)?;
        trust.admits(&generation.signers).map_err(SwapError::Unsigned)?;
        for (url, kinds, datagrams) in lock(&self.listeners).iter() {
            check_fit(url, *kinds, *datagrams, generation).map_err(SwapError::Fit)?;
        }
        Ok(())
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

    /// Loads a source, unless the current generation is made of it, and checks whether it could
    /// become the current generation.
    pub(super) async fn prepare(
        self: &Arc<Self>,
        ticket: Ticket,
        source: CodecSource,
        trust: Arc<Trust>,
    ) -> Result<Replacement, SwapError> {
        let source = self.resources.source(source)?;
        let pin = source.settings.pin;
        let of = self.fetched(&source).await?;
        let (version, state, by) = (of.version(), Arc::clone(self), Arc::clone(&trust));
        let (digest, options, loaded) = blocking(move || {
            let options = LoadOptions::resolve(&of, &state.resources.routes)?;
            let read = load::read(&of)?;
            let digest = read.digest();
            let loaded = match state.is_current(digest, &options, pin) {
                true => None,
                false => Some(state.load_read(&state.loader, read, options.clone(), pin, &by)?),
            };
            Ok((digest, options, loaded))
        })
        .await?;
        let mut file = None;
        let mut admit = |mut loaded: Loaded| {
            file = loaded.file.take();
            self.admit(loaded, pin, &trust)
        };
        let generation = loaded.map(&mut admit).transpose()?;
        if let Some(generation) = &generation {
            self.fate_of_sessions(generation, None)?;
        }
        let state = Arc::clone(self);
        Ok(Replacement { state, ticket, source, version, digest, options, generation, file })
    }

    /// Keeps the component of the current generation as the last good one of the slot's source, in
    /// the background. `file` is the component if it was read or fetched for that generation. If
    /// the generation came from elsewhere, nothing changes.
    pub(super) fn keep_current(self: &Arc<Self>, file: Option<Bytes>) {
        let Some(name) = self.own().name_of_last_good() else { return };
        let state = Arc::clone(self);
        // The disk may be slow. If it fails, the cache logs it.
        self.runtime.spawn_blocking(move || {
            // Of two changes, the one that comes last finds the current generation.
            let _keeping = lock(&state.keeping);
            let Some(current) = state.assignments.current().component else { return };
            let engine = &state.resources.engine;
            match file {
                Some(file) if Digest::of(&file) == current.digest => engine.set_last_good(&name, &file),
                _ => engine.restore_last_good(&name, current.digest),
            }
        });
    }

    /// Whether the current generation is this component with these options, and the pin lets it in.
    fn is_current(&self, digest: Option<Digest>, options: &LoadOptions, pin: Option<Digest>) -> bool {
        let same = self.assignments.current().is_made_of(digest, options);
        same && pin.is_none_or(|pin| digest == Some(pin))
    }
}

/// A slot's new source that was loaded and checked, and is not in use yet.
pub(crate) struct Replacement {
    state: Arc<SlotState>,
    ticket: Ticket,
    source: CodecSource,
    /// The version of the component, if it was fetched.
    version: Option<String>,
    digest: Option<Digest>,
    options: LoadOptions,
    /// `None` if the current generation was made of the same.
    generation: Option<Arc<Generation>>,
    /// The component, if it was read from a file or fetched, and loaded.
    file: Option<Bytes>,
}

impl Replacement {
    /// Makes it the slot's own source, and the current generation if it differs. Returns `None` if
    /// the current generation is made of the same.
    pub(super) async fn make(mut self) -> Result<Option<SwapReport>, SwapError> {
        let state = Arc::clone(&self.state);
        let pin = self.source.settings.pin;
        loop {
            let mut change = state.changes.begin(self.ticket).await?;
            let trust = state.resources.trust();
            let report = match (state.is_current(self.digest, &self.options, pin), self.generation.take()) {
                (true, _) => {
                    change.is_made();
                    None
                }
                (false, Some(generation)) => {
                    state.may_serve(&generation, pin, &trust)?;
                    Some(state.make_current(&mut change, generation, None).await?)
                }
                // Another generation became current since it was prepared.
                (false, None) => {
                    drop(change);
                    self = state.prepare(self.ticket, self.source, trust).await?;
                    continue;
                }
            };
            let failed = report.as_ref().is_some_and(|report| report.rolled_back);
            *lock(&state.own) = self.source;
            state.set_last_version(self.version);
            if !failed {
                state.keep_current(self.file);
            }
            return Ok(report);
        }
    }
}

/// Runs work that may take seconds on a thread for blocking work.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SwapError> + Send + 'static,
) -> Result<T, SwapError> {
    tokio::task::spawn_blocking(work).await.map_err(SwapError::panicked("loading failed"))?
}
