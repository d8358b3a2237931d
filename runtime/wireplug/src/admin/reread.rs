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
}

impl Reread {
    /// Reads the file of tokens again. Returns `None` if the control API goes on with the clients
    /// that it has: there is no file, or nothing in the file has changed.
    ///
    /// # Errors
    /// Returns an error if the file cannot be used.
    pub(crate) async fn read(
        access: &Arc<Access>,
        config: &ControlConfig,
        directory: &Path,
    ) -> Result<Option<Self>, ControlError> {
        let (config, directory) = (config.clone(), directory.to_owned());
        // The file may be on a slow disk.
        let read = spawn_blocking(move || Remote::read(&config, &directory));
        let Some(remote) = read.await.expect("reading does not panic")? else { return Ok(None) };
        Ok(access.would_change(&remote).then(|| Self { access: Arc::clone(access), remote }))
    }

    /// Replaces the clients of the control API. What a client has begun goes on.
    pub(crate) fn apply(self) {
        self.access.replace(self.remote);
    }
}
