//! The push API: what services do with clients, from outside of a request. `docs/http-services.md`
//! is the contract.
//!
//! | file | its job |
//! |---|---|
//! | `command` | gives a command to its sessions, on this node or on another one |
//! | `line` | the lines of a stream |
//! | `stream` | a stream of commands, and of their answers |

mod command;
mod line;
mod stream;

use std::borrow::Cow;
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_TYPE, HeaderMap};
use axum::http::{Extensions, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use http_body_util::LengthLimitError;
use percent_encoding::percent_decode;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::timeout;

use self::command::{CommandDone, begin};
pub(super) use self::line::{AnswerLine, CommandLine};
pub(super) use self::stream::stream;
use super::api::{Api, bad_request};
use super::connections::{Place, StaysOpen};
use super::refusal::Refusal;
use crate::server::client_commands::{Addressee, CommandDetails, CommandError, Verb};
use crate::server::service_headers::{ROUTE, STATUS, TIMEOUT};
use crate::session::ClientResponse;

/// The largest payload of a command, in bytes: as large as NATS accepts without configuration, so
/// that what one node can do for a service, several nodes can do too.
const MAX_PAYLOAD: usize = 1 << 20;

/// How long a payload may take to come. It is enough for 1 MiB at about 1 Mbit/s.
const PAYLOAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The headers of a command, each with what it is.
pub(super) const HEADERS: &[(&str, &str)] = &[
    (ROUTE, "The route of a push or a request, percent-encoded."),
    (TIMEOUT, "How long to wait for the response of a client, in milliseconds."),
];

/// The answer to a command that was done.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub(super) struct Accepted {
    /// How many sessions of this node took the command.
    sessions: usize,
}

/// Answers `POST /clients/VERB/all`.
pub(super) async fn without_name(
    State(api): State<Arc<Api>>,
    Extension(place): Extension<Arc<Place>>,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let path = path.map(|Path((verb, kind))| (verb, kind, String::new()));
    respond(&api, &place, path, &headers, body).await
}

/// Answers `POST /clients/VERB/KIND/NAME`.
pub(super) async fn with_name(
    State(api): State<Arc<Api>>,
    Extension(place): Extension<Arc<Place>>,
    path: Result<Path<(String, String, String)>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    respond(&api, &place, path.map(|Path(path)| path), &headers, body).await
}

async fn respond(
    api: &Api,
    place: &Arc<Place>,
    path: Result<(String, String, String), PathRejection>,
    headers: &HeaderMap,
    body: Body,
) -> Response {
    let mut response = match execute(api, place, path, headers, body).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    };
    stay_open(response.extensions_mut());
    response
}

/// Has the connection stay open after a response, so that the next command need not connect.
fn stay_open(extensions: &mut Extensions) {
    extensions.insert(StaysOpen);
}

async fn execute(
    api: &Api,
    place: &Arc<Place>,
    path: Result<(String, String, String), PathRejection>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let _pushing = place.begin_push()?;
    let (verb, kind, name) = path.map_err(|_| bad_request("the target is no percent-encoded UTF-8"))?;
    let verb = Verb::read(&verb)?;
    let addressee = Addressee::read(&kind, &name, api.server.nodes.address())?;
    let (route, timeout) = (header(headers, ROUTE)?, header(headers, TIMEOUT)?);
    let payload = payload(body).await?;
    let given = CommandDetails { payload, route: route.as_deref(), timeout: timeout.as_deref() };
    let done = begin(&api.server, verb, addressee, &given).done().await;
    Ok(match done? {
        CommandDone::Sessions(sessions) => Json(Accepted { sessions }).into_response(),
        CommandDone::Response(ClientResponse { status, body }) => {
            ([(STATUS, status.to_string())], body).into_response()
        }
    })
}

/// Returns a header, percent-decoded as the headers of requests to services are encoded.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<Cow<'a, str>>, Refusal> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = percent_decode(value.as_bytes()).decode_utf8();
    text.map(Some).map_err(|_| bad_request(format!("the header {name} is no percent-encoded UTF-8")))
}

/// Reads the payload of a command. A payload that is too long is refused before any of it is read,
/// if the head of the request says so.
async fn payload(body: Body) -> Result<Bytes, Refusal> {
    let too_large = || Refusal::from(too_large());
    if body.size_hint().lower() > MAX_PAYLOAD as u64 {
        return Err(too_large());
    }
    match timeout(PAYLOAD_TIMEOUT, axum::body::to_bytes(body, MAX_PAYLOAD)).await {
        Ok(Ok(payload)) => Ok(payload),
        Ok(Err(error)) if error.source().is_some_and(|cause| cause.is::<LengthLimitError>()) => {
            Err(too_large())
        }
        Ok(Err(_)) => Err(bad_request("the payload did not come to its end")),
        Err(_) => {
            let why = format!("the payload did not come within {} s", PAYLOAD_TIMEOUT.as_secs());
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, why))
        }
    }
}

fn too_large() -> CommandError {
    CommandError::new(413, format!("the payload is larger than {MAX_PAYLOAD} bytes: send it in parts"))
}

/// Returns whether a request has this content type, with any parameters.
fn has_type(headers: &HeaderMap, wanted: &str) -> bool {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let given = given.and_then(|given| given.split(';').next());
    given.is_some_and(|given| given.trim().eq_ignore_ascii_case(wanted))
}

impl From<CommandError> for Refusal {
    fn from(CommandError { code, why }: CommandError) -> Self {
        // Another node may answer with any code.
        let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::new(status, why)
    }
}
