//! `POST /reload`: reads the configuration file again.

use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;

use super::access::Client;
use super::api::{Answer, Api, Asked, bad_request, given};
use crate::config::ControlRole;
use crate::server::ReloadReport;

/// The query of a reload of the configuration.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Reload {
    /// Applies nothing, and reports what would change. This needs only the role `trial`.
    #[serde(default)]
    dry_run: bool,
}

pub(super) async fn reload(
    State(api): State<Arc<Api>>,
    Extension(client): Extension<Client>,
    asked: Asked<Reload>,
    text: String,
) -> Answer<ReloadReport> {
    let mut change = api.change(&client, "reload-config", "");
    let Reload { dry_run } = change.checked(given(asked))?;
    if !dry_run {
        change.checked(client.needs(ControlRole::Admin))?;
    }
    if !dry_run && !text.is_empty() {
        let why = "a reload reads the server's own file: a configuration in the body goes with dry-run=true";
        return change.checked(Err(bad_request(why)));
    }
    let (server, text) = (Arc::clone(&api.server), (!text.is_empty()).then_some(text));
    if dry_run {
        change.drop_line();
        return Ok(Json(server.preview_file(text).await?));
    }
    let actor = client.actor.clone();
    let reload = async move { server.reload_file(actor).await };
    change.run(reload, |report, _| report.outcome()).await
}
