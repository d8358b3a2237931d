//! Traces of sessions, recordings of sessions as test vectors, and the faults of codecs.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use futures_util::stream;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::access::Client;
use super::api::{Api, Asked, bad_request, given};
use super::change::Change;
use super::refusal::Refusal;
use super::sessions::{Time, address_of, number, user_named};
use crate::config::ControlRole;
use crate::server::{Running, SessionFilter};
use crate::session::SessionId;
use crate::session_trace::{AddressOf, FaultList, NOT_RECORDED, Order, Trace, TraceKind, TraceTarget};
use wireplug_base::units;

/// How long a trace lasts, unless the request says otherwise.
const DURATION: Duration = Duration::from_secs(5 * 60);

/// The longest duration. A trace that was forgotten must not show clients for ever.
const MAX_DURATION: Duration = Duration::from_secs(3600);

/// How long a session may take to begin a recording, or to return its last packets: one turn.
const TURN: Duration = Duration::from_secs(10);

const NDJSON: &str = "application/x-ndjson";
const VECTORS: &str = "text/plain; charset=utf-8";

/// The query of a trace.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// The number of the session.
    session: Option<u64>,
    /// The user of the sessions.
    user: Option<String>,
    /// The address of the clients, such as 203.0.113.7, or with a port.
    address: Option<String>,
    /// When the trace ends; after five minutes if it is missing, and at most `1h`.
    #[schemars(with = "Option<units::PositiveDuration>")]
    duration: Option<Time>,
}

/// The sessions that a trace is about.
struct Subject {
    text: String,
    target: TraceTarget,
    /// The sessions that are there already.
    filter: Option<SessionFilter>,
    duration: Duration,
}

impl Wanted {
    fn subject(self) -> Result<Subject, Refusal> {
        let Self { session, user, address, duration } = self;
        let duration = duration.map_or(DURATION, |Time(duration)| duration);
        if duration.is_zero() || duration > MAX_DURATION {
            let max = MAX_DURATION.as_secs() / 60;
            return Err(bad_request(format!("a trace lasts at most {max} minutes: duration=5m")));
        }
        let (text, target, filter) = match (session, user, address) {
            (Some(id), None, None) => (format!("session {id}"), TraceTarget::Session(SessionId(id)), None),
            (None, Some(user), None) => {
                let named = user_named(&user)?;
                let filter = SessionFilter { user: Some(named.clone()), ..SessionFilter::default() };
                (format!("user {user}"), TraceTarget::User(named), Some(filter))
            }
            (None, None, Some(address)) => {
                let of = address_of(&address)?;
                let filter = SessionFilter { address: Some(of.clone()), ..SessionFilter::default() };
                let matches = AddressOf(Arc::new(move |client| of.matches(client)));
                (format!("address {address}"), TraceTarget::Address(matches), Some(filter))
            }
            _ => {
                let why = "a trace names a session, a user or an address, and one of them: ?session=ID";
                return Err(bad_request(why));
            }
        };
        Ok(Subject { text, target, filter, duration })
    }
}

pub(super) async fn live(
    State(api): State<Arc<Api>>,
    Extension(client): Extension<Client>,
    asked: Asked<Wanted>,
) -> Result<Response, Refusal> {
    let mut change = api.change(&client, "trace", "");
    let subject = change.checked(given(asked).and_then(Wanted::subject))?;
    change.note(|record| record.set_subject(subject.text.clone()));
    let reading = change.checked(begin(&api, subject, TraceKind::Live))?;
    change.done().await;
    Ok(reading.respond(NDJSON, None))
}

pub(super) async fn vectors(
    State(api): State<Arc<Api>>,
    Extension(client): Extension<Client>,
    asked: Asked<Wanted>,
) -> Result<Response, Refusal> {
    let mut change = api.change(&client, "trace", "");
    let subject = change.checked(given(asked).and_then(Wanted::subject))?;
    change.note(|record| record.set_subject(format!("{} as test vectors", subject.text)));
    change.checked(may_see_all(&api, &client))?;
    let is_there = matches!(subject.target, TraceTarget::Session(_));
    let mut reading = change.checked(begin(&api, subject, TraceKind::Vectors))?;
    // A session that is there begins its recording at once, or says why it does not.
    let first = match is_there {
        true => timeout(TURN, reading.receiver.recv()).await.ok().flatten(),
        false => None,
    };
    let refused = first.as_ref().and_then(|first| first.strip_prefix(NOT_RECORDED.as_bytes()));
    if let Some(why) = refused {
        let why = String::from_utf8_lossy(why).trim().to_owned();
        return change.checked(Err(Refusal::new(StatusCode::CONFLICT, why)));
    }
    change.done().await;
    Ok(reading.respond(VECTORS, first))
}

pub(super) async fn recent(
    State(api): State<Arc<Api>>,
    Extension(client): Extension<Client>,
    id: Result<Path<u64>, PathRejection>,
) -> Result<Response, Refusal> {
    let mut change = api.change(&client, "trace", "");
    let id = change.checked(number(id))?;
    change.note(|record| record.set_subject(format!("the last packets of session {id}")));
    change.checked(may_see_all(&api, &client))?;
    let session = api.server.session(id).ok_or_else(|| no_session(id));
    let session = change.checked(session)?;
    let (answer, vectors) = oneshot::channel();
    session.order(Order::Recent(answer));
    let vectors = match timeout(TURN, vectors).await {
        Ok(Ok(vectors)) => vectors.map_err(|why| Refusal::new(StatusCode::CONFLICT, why)),
        _ => Err(no_session(id)),
    };
    text(change, vectors).await
}

pub(super) async fn faults(State(api): State<Arc<Api>>) -> Json<FaultList> {
    Json(api.server.traces().faults.list())
}

pub(super) async fn fault(
    State(api): State<Arc<Api>>,
    Extension(client): Extension<Client>,
    Path(file): Path<String>,
) -> Result<Response, Refusal> {
    let mut change = api.change(&client, "trace", "");
    let number = file.strip_suffix(".vectors").and_then(|number| number.parse::<u64>().ok());
    let number =
        number.ok_or_else(|| bad_request("the packets before a fault are at /faults/NUMBER.vectors"));
    let number = change.checked(number)?;
    change.note(|record| record.set_subject(format!("the packets before fault {number}")));
    change.checked(may_see_all(&api, &client))?;
    let vectors = api.server.traces().faults.vectors(number);
    text(change, vectors.map_err(|why| Refusal::new(StatusCode::NOT_FOUND, why))).await
}

async fn text(mut change: Change, vectors: Result<String, Refusal>) -> Result<Response, Refusal> {
    let vectors = change.checked(vectors)?;
    change.done().await;
    Ok(([(CONTENT_TYPE, VECTORS)], vectors).into_response())
}

/// Checks that a client may get packets whose fields are not hidden.
fn may_see_all(api: &Api, client: &Client) -> Result<(), Refusal> {
    if api.mask.is_empty() || client.roles.includes(ControlRole::Admin) {
        return Ok(());
    }
    let why = "test vectors hold what `trace-mask` of [control] hides: this needs the role `admin`";
    Err(Refusal::new(StatusCode::FORBIDDEN, why))
}

fn no_session(id: SessionId) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, format!("there is no session {id} on this node"))
}

fn begin(api: &Api, subject: Subject, kind: TraceKind) -> Result<Reading, Refusal> {
    let Subject { target, filter, duration, .. } = subject;
    let session = match &target {
        TraceTarget::Session(id) => Some(api.server.session(*id).ok_or_else(|| no_session(*id))?),
        TraceTarget::User(_) | TraceTarget::Address(_) => None,
    };
    let begun = api.server.traces().begin(target, kind, api.mask.clone());
    let full = "there are too many traces: end another one first";
    let (trace, receiver) = begun.ok_or_else(|| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, full))?;
    let until = Instant::now() + duration;
    let stopping = api.marks.stopping.clone();
    let reading = Reading { server: Arc::clone(&api.server), trace, receiver, until, stopping };
    if let Some(session) = session {
        reading.trace.watch(&session);
    }
    // A recording of a user or from an address begins with the opening of a session, or with the
    // first that is there.
    if let Some(filter) = filter {
        reading.server.watch_matching(&filter, &reading.trace);
    }
    Ok(reading)
}

/// A trace that a client reads. It ends when this is dropped.
struct Reading {
    server: Arc<Running>,
    trace: Arc<Trace>,
    receiver: mpsc::Receiver<Bytes>,
    until: Instant,
    /// Cancelled when the control API is asked to stop.
    stopping: CancellationToken,
}

impl Reading {
    /// Returns the answer, which goes on until the trace ends. It begins with `first`.
    fn respond(self, content: &'static str, first: Option<Bytes>) -> Response {
        let body = stream::unfold((self, first), async |(mut reading, first)| {
            let next = match first {
                Some(first) => first,
                None => reading.next().await?,
            };
            Some((Ok::<_, std::convert::Infallible>(next), (reading, None)))
        });
        ([(CONTENT_TYPE, content)], Body::from_stream(body)).into_response()
    }

    /// Returns the next lines, or `None` at the end of the trace.
    async fn next(&mut self) -> Option<Bytes> {
        tokio::select! {
            biased;
            () = sleep_until(self.until) => None,
            () = self.stopping.cancelled() => None,
            line = self.receiver.recv() => line,
            // What was delivered before the end is still there.
            () = self.trace.ended.cancelled() => self.receiver.try_recv().ok(),
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.server.end_trace(&self.trace);
    }
}
