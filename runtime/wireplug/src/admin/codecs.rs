//! The requests about codecs.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::info;

use super::access::Client;
use super::api::{Answer, Api, Asked, bad_request, given};
use super::refusal::Refusal;
use crate::audit::{Outcome, Record, Version};
use crate::codec::Digest;
use crate::config::{ControlRole, LiveSessions};
use crate::slot::{CodecSource, Slot, SlotStatus, SwapError, SwapReport, Trial};

/// A generation that is on trial, or was on trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Candidate {
    /// The name of the slot.
    pub slot: String,
    /// The generation's number.
    pub generation: u64,
}

/// The query of a `promote` request.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Promotion {
    /// What happens to live sessions, in place of `swap.sessions` of the codec.
    sessions: Option<LiveSessions>,
}

/// The query of an upload.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Upload {
    /// What happens to live sessions, in place of `swap.sessions` of the codec. Not with `trial`.
    sessions: Option<LiveSessions>,
    /// Tries the component in place of a swap. Goes with `share`.
    trial: Option<Trial>,
    /// The share of the sessions, above 0 and at most 1. Goes with `trial`.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
    share: Option<f64>,
    /// Admits a component that was rolled back before. Needs the role `swap`.
    #[serde(default)]
    force: bool,
}

/// The purpose of an upload whose query makes sense.
enum Purpose {
    Swap(Option<LiveSessions>),
    Trial(Trial, f64),
}

impl Upload {
    fn purpose(&self) -> Result<Purpose, Refusal> {
        match (self.trial, self.share, self.sessions) {
            (None, None, sessions) => Ok(Purpose::Swap(sessions)),
            (None, Some(_), _) => Err(bad_request("a share goes with a trial: trial=shadow or trial=canary")),
            (Some(_), _, Some(_)) => {
                Err(bad_request("a trial leaves sessions alone: say it when you promote"))
            }
            (Some(trial), Some(share), None) if share > 0.0 && share <= 1.0 => {
                Ok(Purpose::Trial(trial, share))
            }
            (Some(_), _, None) => Err(bad_request("a trial needs a share above 0 and at most 1: share=0.1")),
        }
    }
}

pub(super) async fn list(State(api): State<Arc<Api>>) -> Json<Vec<SlotStatus>> {
    Json(api.server.slots.all().iter().map(Slot::status).collect())
}

pub(super) async fn show(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Answer<SlotStatus> {
    Ok(Json(api.slot(&name)?.status()))
}

pub(super) async fn upload(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    Extension(client): Extension<Client>,
    asked: Asked<Upload>,
    body: Body,
) -> Result<Response, Refusal> {
    let mut change = api.change(&client, "upload", &name);
    let slot = change.checked(api.slot(&name))?;
    let upload = change.checked(given(asked))?;
    let purpose = change.checked(upload.purpose())?;
    change.note(|record| {
        record.set_forced(upload.force);
        record.set_change(match purpose {
            Purpose::Swap(_) => "swap",
            Purpose::Trial(..) => "trial",
        });
    });
    // A forced trial lifts the refusal of a component for swaps too.
    if upload.force || matches!(purpose, Purpose::Swap(_)) {
        change.checked(client.needs(ControlRole::Swap))?;
    }
    let read = api.uploads.read(body).await;
    let (component, permit) = change.checked(read)?;
    let digest = Digest::of(&component);
    change.note(|record| record.set_to(Version { sha256: Some(digest), ..Version::default() }));
    info!(who = client.actor.who, slot = name, component = %digest, size = component.len(), "a component was sent");
    if upload.force {
        slot.forgive(digest);
    }
    let source = CodecSource::bytes(&name, component, slot.options());
    match purpose {
        Purpose::Swap(sessions) => {
            let swap = async move {
                let _permit = permit;
                slot.swap(&source, sessions).await
            };
            change.run(swap, SwapReport::describe).await.map(Json::into_response)
        }
        Purpose::Trial(trial, share) => {
            let of = slot.clone();
            let candidate = async move {
                let _permit = permit;
                let generation = slot.try_out(&source, trial, share).await?;
                Ok::<_, SwapError>(Candidate { slot: slot.name().to_owned(), generation })
            };
            let describe = move |candidate: &Candidate, record: &mut Record| {
                // The trial may be over already.
                match of.trial_versions().0 {
                    tried if tried.generation == Some(candidate.generation) => record.set_to(tried),
                    _ => record.set_to_generation(candidate.generation),
                }
                Outcome::Done
            };
            change.run(candidate, describe).await.map(Json::into_response)
        }
    }
}

pub(super) async fn promote(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    Extension(client): Extension<Client>,
    asked: Asked<Promotion>,
) -> Answer<SwapReport> {
    let mut change = api.change(&client, "promote", &name);
    let slot = change.checked(api.slot(&name))?;
    let Promotion { sessions } = change.checked(given(asked))?;
    change.note(|record| record.set_to(slot.trial_versions().0));
    change.run(async move { slot.promote(sessions).await }, SwapReport::describe).await
}

pub(super) async fn roll_back(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    Extension(client): Extension<Client>,
) -> Answer<SwapReport> {
    let mut change = api.change(&client, "rollback", &name);
    let slot = change.checked(api.slot(&name))?;
    change.run(async move { slot.roll_back().await }, SwapReport::describe).await
}

pub(super) async fn reload(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    Extension(client): Extension<Client>,
) -> Answer<Option<SwapReport>> {
    let mut change = api.change(&client, "reload", &name);
    let slot = change.checked(api.slot(&name))?;
    change.run(async move { slot.reload().await }, SwapReport::describe_reload).await
}

pub(super) async fn end_trial(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    Extension(client): Extension<Client>,
) -> Answer<Candidate> {
    let mut change = api.change(&client, "end-trial", &name);
    let slot = change.checked(api.slot(&name))?;
    let (candidate, current) = slot.trial_versions();
    change.note(|record| {
        record.set_from(candidate);
        record.set_to(current);
    });
    let ended = async move {
        let generation = slot.end_trial().await?;
        Ok::<_, SwapError>(Candidate { slot: slot.name().to_owned(), generation })
    };
    change.run(ended, |_, _| Outcome::Done).await
}
