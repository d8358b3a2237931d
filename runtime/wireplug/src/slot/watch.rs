//! Swaps a codec when its file changes, or when its source in the network does.

use std::fs;
use std::path::Path;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::admit::blocking;
use super::poll::Poll;
use super::{CodecSource, Slot, SlotState, SwapError, load};
use crate::audit::{Actor, Version};
use crate::codec::Digest;
use wireplug_base::{Chain, FileFingerprint, FileWatch, LOOK_EVERY};

impl SlotState {
    /// Returns the slot's own source, unless a rollout has chosen it.
    fn watched(&self) -> Option<CodecSource> {
        Some(self.own()).filter(|own| !own.is_rolled_out)
    }
}

impl Slot {
    /// Swaps whenever the slot's file has changed and settled, or its source in the network has
    /// another version, until `stop`.
    ///
    /// A codec that was swapped in from another source stays until the file changes, or until the
    /// source in the network does. One that was rolled out stays whatever happens there.
    pub(crate) async fn watch(self, seen: Option<Digest>, stop: CancellationToken) {
        let look = async || {
            let path = self.0.watched()?.path()?.to_owned();
            let of = |path: &Path| fs::metadata(path).ok().map(|metadata| FileFingerprint::of(&metadata));
            // A component that was refused may be accepted with new vectors, so a change of their
            // file counts too.
            let look = move || Ok(of(&path).map(|file| (file, of(&path.with_extension("vectors")), path)));
            blocking(look).await.ok().flatten()
        };
        let digest = async || {
            let source = self.0.watched()?;
            source.path()?;
            blocking(move || Ok(load::read(&source)?.digest())).await.ok().flatten()
        };
        let mut seen = seen;
        // The file is read once more as soon as it has settled, because it may have changed since
        // the server loaded it.
        let mut watch = FileWatch::new(look().await, None);
        let mut poll = Poll::default();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                // A reload may put another source into the place of this one, so a wait for a
                // version is never longer than one look.
                version = poll.version(self.0.watched().and_then(|own| own.remote().cloned())) => {
                    self.take_version(version, &stop).await;
                    continue;
                }
                () = sleep(LOOK_EVERY) => {}
            }
            let Some((_, _, path)) = watch.changed(look().await) else { continue };
            let path = path.clone();
            let is_first = !watch.was_read();
            let found = digest().await;
            if found.is_some() && found == seen {
                if !is_first {
                    info!(slot = self.name(), ?path, "the file was touched, and is the same");
                }
                watch.set_read();
                continue;
            }
            let mut record = self.record(Actor::changed_file(), "swap");
            record.set_to(Version { sha256: found, ..Version::default() });
            let reloaded = self.reload().await;
            self.audit_reload(record, &reloaded);
            match reloaded {
                Ok(_) => seen = found,
                Err(_) if stop.is_cancelled() => return,
                Err(SwapError::Overtaken) => {
                    info!(
                        slot = self.name(),
                        ?path,
                        "another change overtook that of the file: it is read again"
                    );
                    continue;
                }
                Err(error) => {
                    let error = Chain::of(&error).to_string();
                    error!(
                        slot = self.name(),
                        ?path,
                        error,
                        "the changed file is refused; all goes on as before"
                    );
                }
            }
            watch.set_read();
        }
    }
}
