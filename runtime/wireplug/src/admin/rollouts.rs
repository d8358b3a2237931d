//! The requests about rollouts over all nodes.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use bytes::Bytes;
use wireplug_base::Chain;

use super::access::Client;
use super::api::{Answer, Api, bad_request};
use super::refusal::Refusal;
use crate::audit::{Outcome, Record, Version};
use crate::rollout::{Rollout, RolloutError, RolloutPlan, Rollouts};

impl Api {
    fn rollouts(&self) -> Result<&Rollouts, Refusal> {
        self.server.nodes.rollouts().ok_or_else(|| RolloutError::Alone.into())
    }
}

pub(super) async fn show(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Answer<Option<Rollout>> {
    Ok(Json(api.rollouts()?.last(&name).await?))
}

pub(super) async fn begin(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    Extension(client): Extension<Client>,
    plan: Bytes,
) -> Answer<Rollout> {
    let mut change = api.change(&client, "rollout", &name);
    change.checked(api.rollouts().map(drop))?;
    let plan = serde_json::from_slice(&plan)
        .map_err(|error| bad_request(format!("the body is not the plan of a rollout in JSON: {error}")));
    let plan: RolloutPlan = change.checked(plan)?;
    let by = client.actor.who.clone();
    let begun = async move {
        let rollouts = api.server.nodes.rollouts().ok_or(RolloutError::Alone)?;
        rollouts.begin(&name, plan, &by).await
    };
    let describe = |rollout: &Rollout, record: &mut Record| {
        record.set_to(Version { sha256: Some(rollout.to), ..Version::default() });
        Outcome::Done
    };
    change.run(begun, describe).await
}

pub(super) async fn take_back(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    Extension(client): Extension<Client>,
) -> Answer<Rollout> {
    let mut change = api.change(&client, "take-back", &name);
    change.checked(api.rollouts().map(drop))?;
    let by = client.actor.who.clone();
    let taken_back = async move {
        let rollouts = api.server.nodes.rollouts().ok_or(RolloutError::Alone)?;
        rollouts.take_back(&name, &by).await
    };
    change.run(taken_back, |_, _| Outcome::Done).await
}

impl From<RolloutError> for Refusal {
    fn from(error: RolloutError) -> Self {
        if let RolloutError::Source(error) = error {
            return error.into();
        }
        let status = match &error {
            RolloutError::NoCodec(_) => StatusCode::NOT_FOUND,
            RolloutError::Alone | RolloutError::Conflict(_) => StatusCode::CONFLICT,
            RolloutError::Plan(_) => StatusCode::BAD_REQUEST,
            RolloutError::Source(_) => StatusCode::UNPROCESSABLE_ENTITY,
            RolloutError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, Chain::of(&error).to_string())
    }
}
