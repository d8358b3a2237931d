//! What the requests of the control API do.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post};
use axum::{Extension, Json, Router};
use http_body_util::LengthLimitError;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tracing::{info, warn};

use super::Peer;
use super::refusal::Refusal;
use crate::codec::Digest;
use crate::config::LiveSessions;
use crate::server::{NodeStatus, Nodes, RunningServer};
use crate::slot::{CodecSource, Slot, SlotStatus, SwapReport, Trial};

/// Uploads at a time: each holds its component in memory.
const MAX_UPLOADS: usize = 4;

/// How long an upload may take: 64 MiB at some 10 Mbit/s.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(60);

/// A generation that is on trial, or was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Candidate {
    /// The slot.
    pub slot: String,
    /// The generation's number.
    pub generation: u64,
}

/// What all requests share.
struct Api {
    slots: Vec<Slot>,
    nodes: Nodes,
    max_upload: usize,
    uploads: Arc<Semaphore>,
}

type Answer<T> = Result<Json<T>, Refusal>;
type Asked<T> = Result<Query<T>, QueryRejection>;

pub(super) fn routes(server: &RunningServer, max_upload: usize) -> Router {
    let (slots, nodes) = (server.slots().to_vec(), server.nodes().clone());
    let api = Api { slots, nodes, max_upload, uploads: Arc::new(Semaphore::new(MAX_UPLOADS)) };
    Router::new()
        .route("/nodes", get(status))
        .route("/codecs", get(list))
        .route("/codecs/{name}", get(show).put(upload))
        .route("/codecs/{name}/promote", post(promote))
        .route("/codecs/{name}/rollback", post(roll_back))
        .route("/codecs/{name}/reload", post(reload))
        .route("/codecs/{name}/trial", delete(end_trial))
        .fallback(async || {
            Refusal::new(StatusCode::NOT_FOUND, "there is nothing here; begin with GET /nodes or GET /codecs")
        })
        .method_not_allowed_fallback(async || {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this is asked for in another way")
        })
        .with_state(Arc::new(api))
}

/// What `promote` is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Promotion {
    sessions: Option<LiveSessions>,
}

/// What an upload is for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Upload {
    sessions: Option<LiveSessions>,
    trial: Option<Trial>,
    share: Option<f64>,
    #[serde(default)]
    force: bool,
}

/// The same, if it makes sense.
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
    fn slot(&self, name: &str) -> Result<&Slot, Refusal> {
        self.slots.iter().find(|slot| slot.name() == name).ok_or_else(|| {
            let names: Vec<_> = self.slots.iter().map(Slot::name).collect();
            let why = format!("there is no codec {name:?}; there is {}", names.join(", "));
            Refusal::new(StatusCode::NOT_FOUND, why)
        })
    }

    /// Reads a component; with it comes its place, to be held as long as it is in work.
    async fn component(&self, body: Body) -> Result<(Bytes, OwnedSemaphorePermit), Refusal> {
        let Ok(place) = Arc::clone(&self.uploads).try_acquire_owned() else {
            let why = format!("{MAX_UPLOADS} uploads are under way: try again when one is done");
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why));
        };
        let too_large = || {
            let why = format!(
                "the component is larger than {} bytes, which is `max-upload` of [control]",
                self.max_upload
            );
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, why)
        };
        if body.size_hint().lower() > self.max_upload as u64 {
            return Err(too_large());
        }
        match timeout(UPLOAD_TIMEOUT, axum::body::to_bytes(body, self.max_upload)).await {
            Ok(Ok(component)) => Ok((component, place)),
            Ok(Err(error)) if error.source().is_some_and(|cause| cause.is::<LengthLimitError>()) => {
                Err(too_large())
            }
            Ok(Err(_)) => Err(bad_request("the component did not come to its end")),
            Err(_) => {
                let why = format!("the component did not come within {} s", UPLOAD_TIMEOUT.as_secs());
                Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, why))
            }
        }
    }
}

async fn status(State(api): State<Arc<Api>>) -> Json<Vec<NodeStatus>> {
    Json(api.nodes.status().await)
}

async fn list(State(api): State<Arc<Api>>) -> Json<Vec<SlotStatus>> {
    Json(api.slots.iter().map(Slot::status).collect())
}

async fn show(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Answer<SlotStatus> {
    Ok(Json(api.slot(&name)?.status()))
}

async fn upload(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    Extension(peer): Extension<Peer>,
    asked: Asked<Upload>,
    body: Body,
) -> Result<Response, Refusal> {
    let slot = api.slot(&name)?.clone();
    let upload = given(asked)?;
    let purpose = upload.purpose()?;
    let (component, place) = api.component(body).await?;
    let digest = Digest::of(&component);
    info!(peer = %peer.0, slot = name, component = %digest, size = component.len(), "a component was sent");
    if upload.force {
        slot.forgive(digest);
    }
    let source = CodecSource::bytes(&name, component, slot.options());
    match purpose {
        Purpose::Swap(sessions) => {
            let swap = async move {
                let _place = place;
                slot.swap(&source, sessions).await
            };
            done(peer, name, "swap", swap).await.map(Json::into_response)
        }
        Purpose::Trial(trial, share) => {
            let candidate = async move {
                let _place = place;
                let generation = slot.try_out(&source, trial, share).await?;
                Ok(Candidate { slot: slot.name().to_owned(), generation })
            };
            done(peer, name, "trial", candidate).await.map(Json::into_response)
        }
    }
}

async fn promote(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    Extension(peer): Extension<Peer>,
    asked: Asked<Promotion>,
) -> Answer<SwapReport> {
    let slot = api.slot(&name)?.clone();
    let Promotion { sessions } = given(asked)?;
    done(peer, name, "promote", async move { slot.promote(sessions).await }).await
}

async fn roll_back(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    Extension(peer): Extension<Peer>,
) -> Answer<SwapReport> {
    let slot = api.slot(&name)?.clone();
    done(peer, name, "rollback", async move { slot.roll_back().await }).await
}

async fn reload(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    Extension(peer): Extension<Peer>,
) -> Answer<Option<SwapReport>> {
    let slot = api.slot(&name)?.clone();
    done(peer, name, "reload", async move { slot.reload().await }).await
}

async fn end_trial(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    Extension(peer): Extension<Peer>,
) -> Answer<Candidate> {
    let slot = api.slot(&name)?.clone();
    let ended = async move {
        let generation = slot.end_trial().await?;
        Ok(Candidate { slot: slot.name().to_owned(), generation })
    };
    done(peer, name, "end of the trial", ended).await
}

/// Brings a change to its end, in a task of its own: a client that does not wait must not leave it half done.
async fn done<T: Send + 'static>(
    Peer(peer): Peer,
    slot: String,
    what: &'static str,
    change: impl Future<Output = anyhow::Result<T>> + Send + 'static,
) -> Answer<T> {
    let change = async move {
        let done = change.await;
        match &done {
            Ok(_) => info!(%peer, slot, what, "changed through the control API"),
            Err(error) => {
                let error = format!("{error:#}");
                warn!(%peer, slot, what, error, "refused through the control API");
            }
        }
        done
    };
    match tokio::spawn(change).await {
        Ok(done) => Ok(Json(done?)),
        Err(_) => {
            Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "this failed; the server's log says how"))
        }
    }
}

fn given<T>(asked: Asked<T>) -> Result<T, Refusal> {
    asked.map(|Query(asked)| asked).map_err(|rejection| bad_request(rejection.body_text()))
}

fn bad_request(why: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, why)
}
