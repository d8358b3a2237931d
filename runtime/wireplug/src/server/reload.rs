//! Applies a changed configuration to a running server.

use std::path::Path;

use tokio::task::spawn_blocking;

use super::{RunningServer, from_config};
use crate::audit::Actor;
use crate::config::{Config, Problems};
use crate::slot::{SwapError, SwapReport};

impl RunningServer {
    /// Applies the component, the options and the `sha256` of each codec in a configuration. Swaps
    /// the codecs that differ, also those that were replaced by other means since the start. Paths
    /// in the configuration are relative to `directory`. All other differences need a restart:
    /// [`Config::needs_restart`] returns them.
    ///
    /// Returns the outcome for each slot that the configuration names: the report of a swap, `None`
    /// if nothing has changed, or the error because of which the slot stays as it was.
    ///
    /// # Errors
    /// Returns an error if values of the configuration contradict each other, or the file of a
    /// codec is missing. Nothing has changed then.
    pub async fn reload(
        &self,
        config: &Config,
        directory: &Path,
    ) -> Result<Vec<(String, Result<Option<SwapReport>, SwapError>)>, Problems> {
        let checked = (config.clone(), directory.to_owned(), self.state.connectors.clone());
        // The check reads files, which may be on a slow disk.
        let check = spawn_blocking(move || checked.0.check(&checked.1, &checked.2));
        check.await.expect("a check does not panic")?;
        let mut done = Vec::new();
        for slot in &self.slots {
            if let Some(codec) = config.codecs.get(slot.name()) {
                let source = from_config::source(slot.name(), codec, directory);
                let record = slot.record(Actor::reload(), "reload");
                let reloaded = slot.replace(source).await;
                slot.audit_reload(record, &reloaded);
                done.push((slot.name().to_owned(), reloaded));
            }
        }
        Ok(done)
    }

    /// Reads the source of each codec again, as [`Slot::reload`](crate::slot::Slot::reload) does,
    /// and writes a line into the audit log for each. Returns the outcome for each slot.
    pub async fn reload_codecs(&self) -> Vec<(String, Result<Option<SwapReport>, SwapError>)> {
        let mut done = Vec::new();
        for slot in &self.slots {
            let record = slot.record(Actor::reload(), "reload");
            let reloaded = slot.reload().await;
            slot.audit_reload(record, &reloaded);
            done.push((slot.name().to_owned(), reloaded));
        }
        done
    }
}
