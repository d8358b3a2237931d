//! What all requests of the control API share: the state, and the forms of questions and answers.

use std::sync::Arc;

use axum::Json;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::StatusCode;

use super::Marks;
use super::access::Client;
use super::change::Change;
use super::refusal::Refusal;
use super::upload::Uploads;
use crate::audit::AuditLog;
use crate::server::{Running, RunningServer};
use crate::session_trace::Mask;
use crate::slot::Slot;

/// The state that all requests share.
pub(super) struct Api {
    pub(super) server: Arc<Running>,
    pub(super) audit: Arc<AuditLog>,
    pub(super) uploads: Uploads,
    /// The fields that no trace shows.
    pub(super) mask: Mask,
    pub(super) marks: Marks,
}

pub(super) type Answer<T> = Result<Json<T>, Refusal>;
pub(super) type Asked<T> = Result<Query<T>, QueryRejection>;

impl Api {
    /// Returns the state of the requests of `server`.
    pub(super) fn new(server: &RunningServer, max_upload: usize, mask: Mask, marks: Marks) -> Self {
        let server = Arc::clone(server.parts());
        let audit = Arc::clone(&server.audit);
        Self { server, audit, uploads: Uploads::new(max_upload), mask, marks }
    }

    /// Returns the slot of the codec `name`.
    ///
    /// # Errors
    /// Returns a refusal with 404 if there is no such codec.
    pub(super) fn slot(&self, name: &str) -> Result<Slot, Refusal> {
        let slots = self.server.slots.all();
        slots.iter().find(|slot| slot.name() == name).cloned().ok_or_else(|| {
            let names: Vec<_> = slots.iter().map(Slot::name).collect();
            let why = format!("there is no codec {name:?}; there is {}", names.join(", "));
            Refusal::new(StatusCode::NOT_FOUND, why)
        })
    }

    /// Begins a change of a codec that a client requests. There may be no such codec.
    pub(super) fn change(&self, client: &Client, what: &'static str, name: &str) -> Change {
        Change::begin(client, what, name, self.slot(name).ok().as_ref(), &self.audit)
    }
}

/// Returns the query of a request.
///
/// # Errors
/// Returns a refusal with 400 if the query makes no sense.
pub(super) fn given<T>(asked: Asked<T>) -> Result<T, Refusal> {
    asked.map(|Query(asked)| asked).map_err(|rejection| bad_request(rejection.body_text()))
}

/// Returns the refusal of a request that makes no sense.
pub(super) fn bad_request(why: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, why)
}
