//! A changed configuration for a running server. `steps` applies it, all of it or nothing.

mod steps;

use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::listener::DefaultCodecs;
use super::listeners::Common;
use super::slots::Slots;
use super::{RunningServer, StartError};
#[cfg(feature = "control")]
use crate::admin::ControlError;
use crate::audit::{Actor, Outcome, Record};
use crate::config::{Change, Config, Effect, Problems};
use crate::slot::{SwapError, SwapReport};

/// What a reload needs, and what it leaves for the next one.
pub(super) struct Reloading {
    pub(super) slots: Slots,
    pub(super) default_codecs: DefaultCodecs,
    pub(super) common: Common,
    /// The configuration that the server has: that of its start with the changes of reloads, or
    /// `None` if it was set up by code.
    pub(super) config: Option<Config>,
    /// Where the configuration is read again.
    pub(super) file: Option<Arc<dyn ConfigFile>>,
}

/// The configuration file of a running server, as the program that started the server reads it.
/// For reloads by SIGHUP and by the control API.
pub trait ConfigFile: Send + Sync + 'static {
    /// Returns the directory that paths in the configuration are relative to.
    fn directory(&self) -> &Path;

    /// Reads the configuration: from `text` if there is one, and otherwise from the file.
    ///
    /// # Errors
    /// Returns an error if anything in the configuration is wrong.
    fn read(&self, text: Option<&str>) -> Result<Config, Problems>;

    /// Applies what concerns the whole process, such as [`Config::log`], from the configuration
    /// that the server has after a reload.
    fn applied(&self, config: &Config);
}

/// What a reload has changed, or would change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ReloadReport {
    /// The keys that differ from the configuration of the server, with what follows for each. Those
    /// with the effect `restart` are not applied.
    pub changes: Vec<Change>,
    /// The codecs that were swapped: those whose component or options differ, also if the file
    /// changed and the configuration did not. Empty before a reload.
    pub swaps: Vec<SwapReport>,
    /// Codecs that stay as they were: the name of each, and the reason. Either another change
    /// overtook this one, or the file of a codec is refused whose configuration did not change.
    pub kept: Vec<(String, String)>,
}

/// Why a configuration was not applied. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// The server was set up by code, so there is nothing to compare with.
    #[error("the server was not created from a configuration (Server::configured)")]
    NotConfigured,
    /// The program that started the server has no configuration file for it.
    #[error("the server was started without a configuration file")]
    NoFile,
    /// Something in the configuration is wrong.
    #[error(transparent)]
    Config(#[from] Problems),
    /// The server drains or stops, so nothing that is changed would be used.
    #[error("the server drains: it takes no clients any more")]
    Draining,
    /// A listener or a codec cannot start, or the connector of a listener refuses its new options.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The file of the control API's tokens cannot be used.
    #[cfg(feature = "control")]
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A codec cannot be replaced.
    #[error("the codec {codec} cannot be replaced")]
    Codec {
        /// The name of the codec.
        codec: String,
        /// Why not.
        source: SwapError,
    },
}

impl RunningServer {
    /// Applies a configuration to the running server, as one change: all of it or nothing.
    ///
    /// Listeners are known by their URLs. New ones open; those that are missing accept nobody any
    /// more, and their clients stay. New limits and lists of networks apply to open connections
    /// too: a client that `access` refuses now is disconnected. Codecs whose component, options or
    /// `sha256` differ are swapped, also those that were replaced by other means since the start.
    /// The tokens of the control API are read again. Keys that need a restart are reported and not
    /// applied. Paths in the configuration are relative to `directory`.
    ///
    /// Returns when each session is where it belongs. If the future is dropped, the reload still
    /// runs to its end.
    ///
    /// # Errors
    /// Returns an error if anything cannot be applied. Nothing has changed then.
    pub async fn reload(&self, config: &Config, directory: &Path) -> Result<ReloadReport, ReloadError> {
        let (running, config, directory) = (Arc::clone(&self.0), config.clone(), directory.to_owned());
        self.audited(async move { running.reload(Actor::reload(), &config, &directory).await }).await
    }

    /// Returns what [`RunningServer::reload`] would change. Loads no codec, and opens no socket.
    ///
    /// # Errors
    /// Returns an error if something in the configuration is wrong.
    pub async fn preview(&self, config: &Config, directory: &Path) -> Result<ReloadReport, ReloadError> {
        self.0.preview(config, directory).await
    }

    /// Sets where the configuration is read again, for [`RunningServer::reload_file`] and for
    /// `POST /reload` of the control API.
    pub async fn set_config_file(&self, file: impl ConfigFile) {
        self.0.reloading.lock().await.file = Some(Arc::new(file));
    }

    /// Reads the configuration file again, and applies it as [`RunningServer::reload`] does.
    ///
    /// # Errors
    /// Returns the errors of [`RunningServer::reload`], and [`ReloadError::NoFile`] if there is no
    /// file.
    pub async fn reload_file(&self) -> Result<ReloadReport, ReloadError> {
        let running = Arc::clone(&self.0);
        self.audited(async move { running.reload_file(Actor::reload()).await }).await
    }

    /// Runs a reload to its end, even if the caller stops waiting for it, and writes its line into
    /// the audit log.
    async fn audited(
        &self,
        reload: impl Future<Output = Result<ReloadReport, ReloadError>> + Send + 'static,
    ) -> Result<ReloadReport, ReloadError> {
        let audit = Arc::clone(&self.0.audit);
        let audited = async move {
            let record = Record::new(Actor::reload(), "reload-config", "");
            let reloaded = reload.await;
            audit.write(record.of(&reloaded, |report, _| report.outcome()));
            reloaded
        };
        tokio::spawn(audited).await.expect("a reload does not panic")
    }

    /// Reads the source of each codec again, as [`Slot::reload`](crate::slot::Slot::reload) does,
    /// and writes a line into the audit log for each. Returns the outcome for each slot.
    pub async fn reload_codecs(&self) -> Vec<(String, Result<Option<SwapReport>, SwapError>)> {
        let mut done = Vec::new();
        for slot in self.slots() {
            let record = slot.record(Actor::reload(), "reload");
            let reloaded = slot.reload().await;
            slot.audit_reload(record, &reloaded);
            done.push((slot.name().to_owned(), reloaded));
        }
        done
    }
}

impl ReloadReport {
    pub(crate) fn outcome(&self) -> Outcome {
        let applied = self.changes.iter().any(|change| change.effect != Effect::Restart);
        if applied || !self.swaps.is_empty() { Outcome::Done } else { Outcome::Unchanged }
    }
}
