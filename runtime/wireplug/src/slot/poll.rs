//! Swaps a codec when its source in the network has another version.

use std::future::pending;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::remote::Remote;
use super::{Slot, SwapError};
use crate::audit::Actor;
use wireplug_base::{BoxError, Chain};

/// Waits for the versions of a source in the network.
#[derive(Default)]
pub(super) struct Poll {
    source: Option<Arc<dyn Remote>>,
    next: Option<BoxFuture<'static, Result<String, BoxError>>>,
}

impl Poll {
    /// Waits for the next version of a source. Never completes if there is no source. If the future
    /// is dropped, the next call goes on with the same wait, as long as the source is the same.
    pub(super) async fn version(&mut self, of: Option<Arc<dyn Remote>>) -> Result<String, BoxError> {
        let is_same = match (&self.source, &of) {
            (Some(before), Some(now)) => Arc::ptr_eq(before, now),
            (None, None) => true,
            _ => false,
        };
        if !is_same {
            (self.source, self.next) = (of, None);
        }
        let Some(source) = &self.source else { return pending().await };
        let version = self.next.get_or_insert_with(|| Arc::clone(source).next_version()).await;
        self.next = None;
        version
    }
}

impl Slot {
    /// Swaps if the source in the network has another version than the one that was loaded or
    /// refused last. Returns without a swap at `stop`.
    pub(super) async fn take_version(&self, found: Result<String, BoxError>, stop: &CancellationToken) {
        let Some(reference) = self.0.own().remote().map(|remote| remote.reference()) else { return };
        let version = match found {
            Err(error) => return self.0.remote_failed(&reference, Chain::of(&*error).to_string()),
            Ok(version) if self.0.is_last_version(&version) => return self.0.remote_answered(&reference),
            Ok(version) => version,
        };
        let record = self.record(Actor::changed_source(), "swap");
        let Some(reloaded) = stop.run_until_cancelled(self.reload()).await else { return };
        match &reloaded {
            // The next look tries again. What failed to be fetched was noted.
            Err(error) if error.is_of_fetching() => return,
            Err(SwapError::Overtaken) => return,
            Err(refused) => {
                // It would be refused again, so it is not fetched again until there is another one.
                self.0.set_last_version(Some(version));
                let error = Chain::of(refused).to_string();
                error!(
                    slot = self.name(),
                    reference, error, "the new version of the codec is refused; all goes on as before"
                );
            }
            Ok(_) => {}
        }
        self.audit_reload(record, &reloaded);
    }
}
