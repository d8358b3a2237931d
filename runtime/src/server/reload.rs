//! What a server at work takes over from a configuration that has changed.

use std::path::Path;

use tokio::task::spawn_blocking;

use super::{RunningServer, from_config};
use crate::audit::Actor;
use crate::config::{Config, Problems};
use crate::slot::SwapReport;

/// What became of a slot: a swap, nothing since nothing has changed, or why it stays as it was.
pub type Reloaded = anyhow::Result<Option<SwapReport>>;

impl RunningServer {
    /// Takes over what a configuration says of each codec's component, options and `sha256`, and swaps those that
    /// it changes; also back, where something else was swapped in meanwhile. Paths in it are relative to
    /// `directory`. What else differs needs a restart: [`Config::needs_restart`] tells it.
    ///
    /// Returns what became of each slot that the configuration names.
    ///
    /// # Errors
    /// Where values of the configuration contradict each other, or a codec's file is not there. Nothing has
    /// changed then.
    pub async fn reload(
        &self,
        config: &Config,
        directory: &Path,
    ) -> Result<Vec<(String, Reloaded)>, Problems> {
        let checked = (config.clone(), directory.to_owned(), self.shared.connectors.clone());
        // It reads files, which may be on a slow disk.
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

    /// Reads the own source of each codec again, as [`Slot::reload`](crate::slot::Slot::reload) does, and writes a
    /// line into the audit log for each. Returns what became of each slot.
    pub async fn reload_codecs(&self) -> Vec<(String, Reloaded)> {
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
