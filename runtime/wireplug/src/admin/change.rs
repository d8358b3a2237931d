//! A change that a client asks for: it is brought to its end, and its line is written into the
//! audit log.

use std::sync::Arc;

use axum::Json;
use axum::http::StatusCode;

use super::access::Client;
use super::codecs::Answer;
use super::refusal::Refusal;
use crate::audit::{AuditLog, Outcome, Record};
use crate::slot::{Slot, SwapError};

/// The reason of a change of which nothing else is known.
const CLIENT_LEFT: &str = "the client left before its request was complete";

/// The reason of a change whose task panicked.
const FAILED: &str = "the change failed; the server's log says how";

/// A change that a client asks for. Exactly one line is written for it: where it ends, is refused,
/// or is dropped since the client is gone.
pub(super) struct Change {
    log: Arc<AuditLog>,
    record: Option<Record>,
    /// Why nothing came of it, if it is dropped now.
    reason: &'static str,
}

impl Change {
    /// A change of the codec `name` that a client asks for now. There may be no such codec.
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

    /// Adds to the line what is known by now.
    pub(super) fn note(&mut self, note: impl FnOnce(&mut Record)) {
        if let Some(record) = &mut self.record {
            note(record);
        }
    }

    /// Passes on what a check has found; where that is a refusal, the line says so.
    pub(super) fn checked<T>(&mut self, checked: Result<T, Refusal>) -> Result<T, Refusal> {
        if let Err(refusal) = &checked {
            self.end(Outcome::Refused, Some(refusal.why.clone()));
        }
        checked
    }

    /// Makes the change, in a task of its own: a client that does not wait must not leave it half
    /// done.
    ///
    /// What it has come to is added to the line by `describe`.
    pub(super) async fn run<T: Send + 'static>(
        mut self,
        change: impl Future<Output = Result<T, SwapError>> + Send + 'static,
        describe: impl FnOnce(&T, &mut Record) -> Outcome + Send + 'static,
    ) -> Answer<T> {
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
            Ok(ended) => Ok(Json(ended?)),
            Err(_) => Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, FAILED)),
        }
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
