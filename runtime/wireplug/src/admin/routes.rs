//! The requests of the control API: the path of each, the role that it needs, and its description.

use std::sync::Arc;

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::handler::Handler;
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{self, MethodRouter};
use axum::{Extension, Json, Router};
use serde_json::Value;

use super::access::Client;
use super::api::Api;
use super::openapi::{Body, Operation};
use super::refusal::Refusal;
use super::{codecs, drain, events, openapi, push, reload, rollouts, sessions, stats, trace, upgrade};
use crate::audit::{AuditLog, Outcome, Record};
use crate::config::ControlRole;
use crate::rollout::{Rollout, RolloutPlan};
use crate::server::{DrainReport, NodeStatus, ReloadReport, SessionDetails, SessionPage};
use crate::session_trace::FaultList;
use crate::slot::{SlotStatus, SwapReport};
use crate::upgrade::UpgradeReport;

/// A kind of request.
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    /// The least role that the request needs. What it asks for may need more: [`Client::needs`].
    pub(super) role: ControlRole,
    /// The name of the change in the audit log. `None` if the request changes nothing.
    change: Option<&'static str>,
    pub(super) operation: Operation,
    handler: MethodRouter<Arc<Api>>,
}

/// All requests, each with the role that it needs.
pub(super) fn table() -> Vec<Route> {
    use ControlRole::{Admin, Push, Swap, Trial};
    vec![
        on(Method::GET, "/nodes", stats::nodes, |it| {
            it.says("Reports this node and the nodes that serve together with it").answers::<Vec<NodeStatus>>()
        }),
        on(Method::GET, "/events", events::list, |it| {
            it.says("Reports recent events").query::<events::Wanted>().answers::<events::Page>()
        }),
        on(Method::GET, "/metrics", stats::metrics, |it| {
            it.says("Reports the metrics, in OpenMetrics if `Accept` names it")
                .answers_with(Body::PROMETHEUS)
                .answers_with(Body::OPENMETRICS)
        }),
        on(Method::GET, "/stats", stats::stats, |it| {
            it.says("Reports the counts since the start, and times").answers::<stats::Report>()
        }),
        on(Method::GET, "/openapi.json", document, |it| it.says("Returns this description").answers_with(Body::OBJECT)),
        on(Method::GET, "/codecs", codecs::list, |it| it.says("Reports all codecs").answers::<Vec<SlotStatus>>()),
        on(Method::GET, "/codecs/{name}", codecs::show, |it| {
            it.says("Reports one codec").answers::<SlotStatus>().refuses(&[404])
        }),
        // A swap, and a trial that is forced, need `swap`.
        on(Method::PUT, "/codecs/{name}", codecs::upload, |it| {
            it.says("Swaps to the component in the body, or tries it; a swap needs the role `swap`")
                .query::<codecs::Upload>()
                .takes(Body::COMPONENT)
                .answers::<SwapReport>()
                .answers::<codecs::Candidate>()
                .refuses(&[404, 408, 409, 413, 422, 503])
        })
        .changes(Trial, "upload"),
        on(Method::POST, "/codecs/{name}/promote", codecs::promote, |it| {
            it.says("Makes the candidate current")
                .query::<codecs::Promotion>()
                .answers::<SwapReport>()
                .refuses(&[404, 409, 422])
        })
        .changes(Swap, "promote"),
        on(Method::POST, "/codecs/{name}/rollback", codecs::roll_back, |it| {
            it.says("Goes back to the generation before").answers::<SwapReport>().refuses(&[404, 409, 422])
        })
        .changes(Swap, "rollback"),
        on(Method::POST, "/codecs/{name}/reload", codecs::reload, |it| {
            it.says("Loads the codec again from where the configuration says")
                .answers::<Option<SwapReport>>()
                .refuses(&[404, 409, 422, 503])
        })
        .changes(Swap, "reload"),
        on(Method::DELETE, "/codecs/{name}/trial", codecs::end_trial, |it| {
            it.says("Ends the trial").answers::<codecs::Candidate>().refuses(&[404, 409])
        })
        .changes(Trial, "end-trial"),
        on(Method::GET, "/rollouts/{name}", rollouts::show, |it| {
            it.says("Reports the last rollout of a codec")
                .answers::<Option<Rollout>>()
                .refuses(&[404, 409, 503])
        }),
        on(Method::POST, "/rollouts/{name}", rollouts::begin, |it| {
            it.says("Begins a rollout of a version over all nodes")
                .takes(Body::json::<RolloutPlan>())
                .answers::<Rollout>()
                .refuses(&[404, 409, 413, 422, 503])
        })
        .changes(Swap, "rollout"),
        on(Method::DELETE, "/rollouts/{name}", rollouts::take_back, |it| {
            it.says("Takes the running rollout of a codec back on all nodes")
                .answers::<Rollout>()
                .refuses(&[404, 409, 503])
        })
        .changes(Swap, "take-back"),
        // All but a dry run needs `admin`.
        on(Method::POST, "/reload", reload::reload, |it| {
            it.says("Reads the configuration file again and applies it; this needs the role `admin`. With `dry-run`, \
                     the body may hold another configuration")
                .query::<reload::Reload>()
                .takes(Body::CONFIGURATION)
                .answers::<ReloadReport>()
                .refuses(&[409, 413, 415, 422])
        })
        .changes(Trial, "reload-config"),
        on(Method::POST, "/drain", drain::drain, |it| {
            it.says("Drains the server: accepts no more clients, and closes the sessions")
                .query::<drain::Drain>()
                .answers::<DrainReport>()
        })
        .changes(Admin, "drain"),
        on(Method::POST, "/upgrade", upgrade::upgrade, |it| {
            it.says("Upgrades the server to the program that is installed where its own was")
                .query::<upgrade::Wanted>()
                .answers::<UpgradeReport>()
                .refuses(&[409, 422])
        })
        .changes(Admin, "upgrade"),
        on(Method::GET, "/sessions", sessions::list, |it| {
            it.says("Lists the sessions of this node by pages")
                .query::<sessions::Wanted>()
                .answers::<SessionPage>()
        }),
        on(Method::GET, "/sessions/{id}", sessions::show, |it| {
            it.says("Reports one session in full").answers::<SessionDetails>().refuses(&[404])
        }),
        // With a mask, test vectors need `admin`.
        on(Method::GET, "/sessions/{id}/recent.vectors", trace::recent, |it| {
            it.says("Returns the last packets of a session as test vectors")
                .answers_with(Body::VECTORS)
                .refuses(&[404, 409])
        }),
        on(Method::GET, "/trace", trace::live, |it| {
            it.says("Streams what passes on the sessions of a session number, a user or an address, as lines of JSON")
                .query::<trace::Wanted>()
                .answers_with(Body::LINES)
                .refuses(&[404, 503])
        }),
        on(Method::GET, "/trace/vectors", trace::vectors, |it| {
            it.says("Streams what passes on sessions as test vectors")
                .query::<trace::Wanted>()
                .answers_with(Body::VECTORS)
                .refuses(&[404, 409, 503])
        }),
        on(Method::GET, "/faults", trace::faults, |it| it.says("Lists the last faults of codecs").answers::<FaultList>()),
        on(Method::GET, "/faults/{file}", trace::fault, |it| {
            it.says("Returns the last packets before a fault as test vectors")
                .answers_with(Body::VECTORS)
                .refuses(&[404])
        }),
        on(Method::DELETE, "/sessions", sessions::kick_many, |it| {
            it.says("Kicks the sessions of a user or of an address, of this node")
                .query::<sessions::Kick>()
                .answers::<sessions::Kicked>()
        })
        .changes(Admin, "kick"),
        on(Method::DELETE, "/sessions/{id}", sessions::kick_one, |it| {
            it.says("Kicks one session")
                .query::<sessions::KickOne>()
                .answers::<sessions::Kicked>()
                .refuses(&[404])
        })
        .changes(Admin, "kick"),
        on(Method::POST, "/clients", push::stream, |it| {
            it.says("Executes a stream of commands for clients: a line of JSON for each command, and one for each answer")
                .takes(Body::COMMANDS)
                .answers_with(Body::ANSWERS)
                .refuses(&[413, 415, 503])
        })
        .needs(Push),
        on(Method::POST, "/clients/{verb}/{kind}", push::without_name, |it| {
            it.says("Sends a command to all clients")
                .headers(push::HEADERS)
                .takes(Body::BYTES)
                .answers::<push::Accepted>()
                .refuses(&[408, 413, 503])
        })
        .needs(Push),
        on(Method::POST, "/clients/{verb}/{kind}/{name}", push::with_name, |it| {
            it.says("Sends a command to the clients of a session, a user or a group")
                .headers(push::HEADERS)
                .takes(Body::BYTES)
                .answers::<push::Accepted>()
                .answers_with(Body::BYTES)
                .refuses(&[404, 408, 413, 429, 501, 503, 504])
        })
        .needs(Push),
    ]
}

impl Route {
    /// Sets the role that the request needs, which is `read` otherwise.
    fn needs(self, role: ControlRole) -> Self {
        Self { role, ..self }
    }

    /// Sets the role that the request needs, and the name of its change in the audit log.
    fn changes(self, role: ControlRole, change: &'static str) -> Self {
        Self { change: Some(change), ..self.needs(role) }
    }
}

/// Returns a route for this method, which changes nothing and needs the role `read`.
fn on<T: 'static>(
    method: Method,
    path: &'static str,
    handler: impl Handler<T, Arc<Api>>,
    describe: fn(Operation) -> Operation,
) -> Route {
    let filter = method.clone().try_into().expect("it is a method of the standard");
    Route {
        method,
        path,
        role: ControlRole::Read,
        change: None,
        operation: describe(Operation::default()),
        handler: routing::on(filter, handler),
    }
}

/// Returns the router of all requests.
pub(super) fn routes(api: Api) -> Router {
    let api = Arc::new(api);
    let mut router = Router::new();
    for Route { role, change, path, handler, .. } in table() {
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

/// Answers `GET /openapi.json`.
async fn document() -> Json<Value> {
    Json(openapi::document(&table()))
}
