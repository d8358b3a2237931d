//! The request that upgrades the server.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use super::access::Client;
use super::api::{Answer, Api, Asked, given};
use super::folder;
use super::peer::Peer;
use super::refusal::Refusal;
use crate::audit::Outcome;
use crate::upgrade::{UpgradeError, UpgradeReport};

/// The query of an upgrade.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// The program of the new process. Only the server's own user and root may name it, over the
    /// Unix socket.
    program: Option<PathBuf>,
}

pub(super) async fn upgrade(
    State(api): State<Arc<Api>>,
    Extension(client): Extension<Client>,
    Extension(peer): Extension<Peer>,
    asked: Asked<Wanted>,
) -> Answer<UpgradeReport> {
    let mut change = api.change(&client, "upgrade", "");
    let Wanted { program } = change.checked(given(asked))?;
    let is_own = |uid| uid == 0 || uid == folder::own_uid();
    if program.is_some() && !matches!(peer, Peer::User { uid } if is_own(uid)) {
        // A program runs with all rights of the server. Whoever operates the server over the
        // network need not have these rights.
        let why = "only the server's own user and root may name a program, over the Unix socket of the control API: \
                   install the program where the server's own is, and upgrade without a name";
        return change.checked(Err(Refusal::new(StatusCode::FORBIDDEN, why)));
    }
    let (server, left) = (Arc::clone(&api.server), api.marks.left.clone());
    let upgraded = async move {
        let report = server.upgrade_program(program).await?;
        // The next request of this client goes to the new process.
        left.cancelled().await;
        Ok::<_, UpgradeError>(report)
    };
    change.run(upgraded, |_, _| Outcome::Done).await
}

impl From<UpgradeError> for Refusal {
    fn from(error: UpgradeError) -> Self {
        let status = match error {
            UpgradeError::Busy
            | UpgradeError::Draining
            | UpgradeError::Unfinished
            | UpgradeError::FirstProcess
            | UpgradeError::NoUpgrader => StatusCode::CONFLICT,
            UpgradeError::Start { .. } | UpgradeError::Protocol { .. } | UpgradeError::Refused(_) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, wireplug_base::Chain::of(&error).to_string())
    }
}
