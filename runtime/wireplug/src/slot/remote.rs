//! Sources in the network: components that are fetched, and what a slot knows about where they come
//! from.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::sync::lock;
use super::{CodecSource, SlotState, SourceError};
use wireplug_base::{BoxError, Chain};

/// A component in the network. A slot does not know what kind of network that is.
pub(crate) trait Remote: Send + Sync {
    /// Returns where the component is, as a configuration names it.
    fn reference(&self) -> String;

    /// Fetches the component. Its size and the time that it takes are bounded.
    fn fetch(&self) -> BoxFuture<'_, Result<Fetched, BoxError>>;

    /// Waits until the component may have changed, and returns the version that is there then.
    /// Never completes if the component cannot change.
    fn next_version(self: Arc<Self>) -> BoxFuture<'static, Result<String, BoxError>>;
}

/// A component that was fetched. It is not checked: whoever made it could have written anything.
#[derive(Clone)]
pub(crate) struct Fetched {
    pub(crate) component: Bytes,
    /// The version. Another component has another version.
    pub(crate) version: String,
    /// A reference, which means this version alone if the place keeps several.
    pub(crate) origin: String,
}

/// The state of a codec's source in the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RemoteStatus {
    /// Where the codec comes from, as the configuration names it.
    pub reference: String,
    /// The last version that was loaded from there, or refused: for a registry, the digest of the
    /// manifest, and for an object store, that of the object. `None` if no version was fetched
    /// since the start.
    pub version: Option<String>,
    /// When the source answered last, in seconds since 1970. `None` if it has not answered since
    /// the start.
    pub answered_at: Option<u64>,
    /// Since when the component cannot be fetched, in seconds since 1970. `None` if it can.
    pub failing_since: Option<u64>,
    /// Why the component cannot be fetched. `None` if it can.
    pub problem: Option<String>,
}

/// What a slot remembers about its source in the network.
#[derive(Default)]
pub(super) struct RemoteState {
    version: Option<String>,
    answered_at: Option<SystemTime>,
    failing: Option<Failing>,
}

struct Failing {
    since: SystemTime,
    problem: String,
}

impl RemoteState {
    /// Returns the state after the first try to fetch the component.
    pub(super) fn first(fetched: &Result<CodecSource, SourceError>) -> Self {
        let now = SystemTime::now();
        match fetched {
            Ok(fetched) => Self {
                version: fetched.version(),
                answered_at: fetched.version().map(|_| now),
                failing: None,
            },
            Err(error) => {
                let problem = Chain::of(error.cause()).to_string();
                Self { failing: Some(Failing { since: now, problem }), ..Self::default() }
            }
        }
    }
}

impl SlotState {
    /// Fetches the component of a source in the network. Returns any other source as it is.
    pub(super) async fn fetched(&self, source: &CodecSource) -> Result<CodecSource, SourceError> {
        let fetched = source.fetched().await;
        if let Some(remote) = source.remote() {
            match &fetched {
                Ok(_) => self.remote_answered(&remote.reference()),
                Err(error) => self.remote_failed(&remote.reference(), Chain::of(error.cause()).to_string()),
            }
        }
        fetched
    }

    /// Returns whether this version was loaded or refused last.
    pub(super) fn is_last_version(&self, version: &str) -> bool {
        lock(&self.remote).version.as_deref() == Some(version)
    }

    /// Notes the version that was loaded or refused last.
    pub(super) fn set_last_version(&self, version: Option<String>) {
        lock(&self.remote).version = version;
    }

    /// Notes that the source has answered.
    pub(super) fn remote_answered(&self, reference: &str) {
        let now = SystemTime::now();
        let failing = {
            let mut remote = lock(&self.remote);
            remote.answered_at = Some(now);
            remote.failing.take()
        };
        if let Some(failing) = failing {
            let seconds = now.duration_since(failing.since).unwrap_or_default().as_secs();
            info!(slot = self.settings.name, reference, seconds, "the codec can be fetched again");
        }
    }

    /// Notes that the component cannot be fetched. Only the first failure in a row is logged: the
    /// status has the last one.
    pub(super) fn remote_failed(&self, reference: &str, problem: String) {
        let mut remote = lock(&self.remote);
        if let Some(failing) = &mut remote.failing {
            failing.problem = problem;
            return;
        }
        remote.failing = Some(Failing { since: SystemTime::now(), problem: problem.clone() });
        drop(remote);
        warn!(
            slot = self.settings.name,
            reference,
            error = problem,
            "the codec cannot be fetched; all goes on as before"
        );
    }

    /// Returns the state of the slot's source, if that is in the network.
    pub(super) fn remote_status(&self) -> Option<RemoteStatus> {
        let reference = self.own().remote()?.reference();
        let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let RemoteState { version, answered_at, failing } = &*lock(&self.remote);
        Some(RemoteStatus {
            reference,
            version: version.clone(),
            answered_at: answered_at.map(seconds),
            failing_since: failing.as_ref().map(|failing| seconds(failing.since)),
            problem: failing.as_ref().map(|failing| failing.problem.clone()),
        })
    }
}
