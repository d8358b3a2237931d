//! Reads the tokens again when the configuration is reloaded.

use std::path::Path;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::ControlError;
use super::access::Access;
use super::clients::Remote;
use crate::config::ControlConfig;

/// The clients of a configuration that is to be applied.
pub(crate) struct Reread {
    access: Arc<Access>,
    remote: Remote,
    /// Whether the tokens differ from those before.
    pub(crate) has_other_tokens: bool,
}

impl Reread {
    /// Reads the file of tokens again. Returns `None` if the control API goes on with the clients
    /// that it has: they are users of this machine, or nothing has changed.
    ///
    /// # Errors
    /// Returns an error if the file cannot be used.
    pub(crate) async fn read(
        access: &Arc<Access>,
        config: &ControlConfig,
        directory: &Path,
    ) -> Result<Option<Self>, ControlError> {
        let Some(before) = access.remote() else { return Ok(None) };
        let (current, config, directory) = (before.clone(), config.clone(), directory.to_owned());
        // The file may be on a slow disk.
        let read = spawn_blocking(move || current.reread(&config, &directory));
        let remote = read.await.expect("reading does not panic")?;
        let has_other_tokens = remote.tokens != before.tokens;
        let changes = remote != before;
        Ok(changes.then(|| Self { access: Arc::clone(access), remote, has_other_tokens }))
    }

    /// Replaces the clients of the control API. What a client has begun goes on.
    pub(crate) fn apply(self) {
        self.access.replace(self.remote);
    }
}
