//! Runs a change that a client requests to its end, and writes the line of the change into the
//! audit log.

use std::error::Error;
use std::sync::Arc;

use axum::Json;
use axum::http::StatusCode;

use super::access::Client;
use super::api::Answer;
use super::refusal::Refusal;
use crate::audit::{AuditLog, Outcome, Record};
use crate::slot::Slot;

/// The reason of a change that is dropped before it runs.
const CLIENT_LEFT: &str = "the client left before its request was complete";

/// The reason of a change whose task panicked.
const FAILED: &str = "the change failed; the server's log says how";

/// A change that a client requests. Exactly one line is written into the audit log for it: when the
/// change ends, when it is refused, or when it is dropped because the client is gone.
pub(super) struct Change {
    log: Arc<AuditLog>,
    record: Option<Record>,
    /// The reason in the audit log if this value is dropped now.
    reason: &'static str,
}

impl Change {
    /// Begins a change of the codec `name` that a client requests. `slot` is `None` if there is no
    /// such codec.
    pub(super) fn begin(
        client: &Client,
        what: &'static str,
        name: &str,
        slot: Option<&Slot>,
        log: &Arc<AuditLog>,
    ) -> Self {
        let record = match slot {
            Some(slot) => slot.record(client.actor.clone(), what),
            None => Record::new(client.actor.clone(), what, name),
        };
        Self { log: Arc::clone(log), record: Some(record), reason: CLIENT_LEFT }
    }

    /// Adds details to the line.
    pub(super) fn note(&mut self, note: impl FnOnce(&mut Record)) {
        if let Some(record) = &mut self.record {
            note(record);
        }
    }

    /// Returns the result of a check as it is. If the check has refused the change, writes the
    /// line.
    pub(super) fn checked<T>(&mut self, checked: Result<T, Refusal>) -> Result<T, Refusal> {
        if let Err(refusal) = &checked {
            self.end(Outcome::Refused, Some(refusal.why.clone()));
        }
        checked
    }

    /// Makes the change in a task of its own, so that a client that does not wait cannot leave the
    /// change half done.
    ///
    /// `describe` adds the result of the change to the line.
    pub(super) async fn run<T, E>(
        mut self,
        change: impl Future<Output = Result<T, E>> + Send + 'static,
        describe: impl FnOnce(&T, &mut Record) -> Outcome + Send + 'static,
    ) -> Answer<T>
    where
        T: Send + 'static,
        E: Error + Into<Refusal> + Send + 'static,
    {
        self.reason = FAILED;
        let task = async move {
            let ended = change.await;
            if let Some(record) = self.record.take() {
                self.log.write(record.of(&ended, describe));
            }
            self.log.written().await;
            ended
        };
        match tokio::spawn(task).await {
            Ok(ended) => ended.map(Json).map_err(E::into),
            Err(_) => Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, FAILED)),
        }
    }

    /// Writes the line of a request that was done.
    pub(super) async fn done(mut self) {
        self.end(Outcome::Done, None);
        self.log.written().await;
    }

    /// Gives up the line, because nothing is to be changed.
    pub(super) fn drop_line(&mut self) {
        self.record = None;
    }

    fn end(&mut self, outcome: Outcome, reason: Option<String>) {
        if let Some(record) = self.record.take() {
            self.log.write(record.ended(outcome, reason));
        }
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        self.end(Outcome::Refused, Some(self.reason.to_owned()));
    }
}
