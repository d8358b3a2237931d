//! The requests of the control API: the role that each needs, and what it does.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::{QueryRejection, RawPathParamsRejection};
use axum::extract::{Path, Query, RawPathParams, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, delete, get, post, put};
use axum::{Extension, Json, Router};
use serde::{Deserialize, Serialize};
use tracing::info;

use super::Marks;
use super::access::Client;
use super::change::Change;
use super::drain;
use super::events;
use super::push;
use super::refusal::Refusal;
use super::rollouts;
use super::sessions;
use super::stats;
use super::trace;
use super::upgrade;
use super::upload::Uploads;
use crate::audit::{AuditLog, Outcome, Record, Version};
use crate::codec::Digest;
use crate::config::{ControlRole, LiveSessions};
use crate::server::{NodeStatus, ReloadReport, Running, RunningServer};
use crate::session_trace::Mask;
use crate::slot::{CodecSource, Slot, SlotStatus, SwapError, SwapReport, Trial};

/// A generation that is on trial, or was on trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Candidate {
    /// The name of the slot.
    pub slot: String,
    /// The generation's number.
    pub generation: u64,
}

/// The state that all requests share.
pub(super) struct Api {
    pub(super) server: Arc<Running>,
    audit: Arc<AuditLog>,
    uploads: Uploads,
    /// The fields that no trace shows.
    pub(super) mask: Mask,
    pub(super) marks: Marks,
}

pub(super) type Answer<T> = Result<Json<T>, Refusal>;
pub(super) type Asked<T> = Result<Query<T>, QueryRejection>;

/// A kind of request.
struct Route {
    /// The least role that the request needs. What it asks for may need more:
    /// [`Client::needs`].
    role: ControlRole,
    /// The name of the change in the audit log. `None` if the request changes nothing.
    change: Option<&'static str>,
    path: &'static str,
    handler: MethodRouter<Arc<Api>>,
}

/// All requests, each with the role that it needs.
fn table() -> [Route; 29] {
    use ControlRole::{Admin, Push, Read, Swap, Trial};
    let pushes = |path, handler| Route { role: Push, change: None, path, handler };
    let reads = |path, handler| Route { role: Read, change: None, path, handler };
    let changes = |role, change, path, handler| Route { role, change: Some(change), path, handler };
    [
        reads("/nodes", get(status)),
        reads("/events", get(events::list)),
        reads("/metrics", get(stats::metrics)),
        reads("/stats", get(stats::stats)),
        reads("/codecs", get(list)),
        reads("/codecs/{name}", get(show)),
        // A swap, and a trial that is forced, need `swap`.
        changes(Trial, "upload", "/codecs/{name}", put(upload)),
        changes(Swap, "promote", "/codecs/{name}/promote", post(promote)),
        changes(Swap, "rollback", "/codecs/{name}/rollback", post(roll_back)),
        changes(Swap, "reload", "/codecs/{name}/reload", post(reload)),
        changes(Trial, "end-trial", "/codecs/{name}/trial", delete(end_trial)),
        reads("/rollouts/{name}", get(rollouts::show)),
        changes(Swap, "rollout", "/rollouts/{name}", post(rollouts::begin)),
        changes(Swap, "take-back", "/rollouts/{name}", delete(rollouts::take_back)),
        // All but a dry run needs `admin`.
        changes(Trial, "reload-config", "/reload", post(reload_config)),
        changes(Admin, "drain", "/drain", post(drain::drain)),
        changes(Admin, "upgrade", "/upgrade", post(upgrade::upgrade)),
        reads("/sessions", get(sessions::list)),
        reads("/sessions/{id}", get(sessions::show)),
        // With a mask, test vectors need `admin`.
        reads("/sessions/{id}/recent.vectors", get(trace::recent)),
        reads("/trace", get(trace::live)),
        reads("/trace/vectors", get(trace::vectors)),
        reads("/faults", get(trace::faults)),
        reads("/faults/{file}", get(trace::fault)),
        changes(Admin, "kick", "/sessions", delete(sessions::kick_many)),
        changes(Admin, "kick", "/sessions/{id}", delete(sessions::kick_one)),
        pushes("/clients", post(push::stream)),
        pushes("/clients/{verb}/{kind}", post(push::without_name)),
        pushes("/clients/{verb}/{kind}/{name}", post(push::with_name)),
    ]
}

pub(super) fn routes(server: &RunningServer, max_upload: usize, mask: Mask, marks: Marks) -> Router {
    let server = Arc::clone(server.parts());
    let audit = Arc::clone(&server.audit);
    let api = Arc::new(Api { server, audit, uploads: Uploads::new(max_upload), mask, marks });
    let mut router = Router::new();
    for Route { role, change, path, handler } in table() {
        let needs = Needs { role, change, audit: Arc::clone(&api.audit) };
        router = router.route(path, handler.route_layer(middleware::from_fn_with_state(needs, authorize)));
    }
    router
        .fallback(async || {
            Refusal::new(StatusCode::NOT_FOUND, "there is nothing here; begin with GET /nodes or GET /codecs")
        })
        .method_not_allowed_fallback(async || {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this path takes another method")
        })
        .with_state(api)
}

/// The role that a request needs, and what a refusal writes into the audit log.
#[derive(Clone)]
struct Needs {
    role: ControlRole,
    change: Option<&'static str>,
    audit: Arc<AuditLog>,
}

/// Passes a request on if its client has the role that the request needs, and refuses it otherwise.
async fn authorize(
    State(Needs { role, change, audit }): State<Needs>,
    Extension(client): Extension<Client>,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
    next: Next,
) -> Response {
    let Err(refusal) = client.needs(role) else { return next.run(request).await };
    if let Some(change) = change {
        let name = parameters.ok().and_then(|given| Some(given.iter().next()?.1.to_owned()));
        let name = name.unwrap_or_default();
        let record = match change {
            "kick" => {
                let mut record = Record::new(client.actor, change, "");
                record.set_subject(if name.is_empty() {
                    "sessions".to_owned()
                } else {
                    format!("session {name}")
                });
                record
            }
            _ => Record::new(client.actor, change, &name),
        };
        audit.write(record.ended(Outcome::Refused, Some(refusal.why.clone())));
    }
    refusal.into_response()
}

/// The query of a `promote` request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Promotion {
    sessions: Option<LiveSessions>,
}

/// The query of an upload.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Upload {
    sessions: Option<LiveSessions>,
    trial: Option<Trial>,
    share: Option<f64>,
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

impl Api {
    fn slot(&self, name: &str) -> Result<Slot, Refusal> {
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

async fn status(State(api): State<Arc<Api>>) -> Json<Vec<NodeStatus>> {
    Json(api.server.nodes.status().await)
}

async fn list(State(api): State<Arc<Api>>) -> Json<Vec<SlotStatus>> {
    Json(api.server.slots.all().iter().map(Slot::status).collect())
}

async fn show(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Answer<SlotStatus> {
    Ok(Json(api.slot(&name)?.status()))
}

async fn upload(
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

async fn promote(
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

async fn roll_back(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    Extension(client): Extension<Client>,
) -> Answer<SwapReport> {
    let mut change = api.change(&client, "rollback", &name);
    let slot = change.checked(api.slot(&name))?;
    change.run(async move { slot.roll_back().await }, SwapReport::describe).await
}

async fn reload(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    Extension(client): Extension<Client>,
) -> Answer<Option<SwapReport>> {
    let mut change = api.change(&client, "reload", &name);
    let slot = change.checked(api.slot(&name))?;
    change.run(async move { slot.reload().await }, SwapReport::describe_reload).await
}

async fn end_trial(
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

/// The query of a reload of the configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Reload {
    #[serde(default)]
    dry_run: bool,
}

async fn reload_config(
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

pub(super) fn given<T>(asked: Asked<T>) -> Result<T, Refusal> {
    asked.map(|Query(asked)| asked).map_err(|rejection| bad_request(rejection.body_text()))
}

pub(super) fn bad_request(why: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, why)
}
