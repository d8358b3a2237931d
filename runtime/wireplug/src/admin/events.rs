//! `GET /events`: the recent events of the server.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::api::{Answer, Api, Asked, bad_request, given};
use crate::events::{Event, EventKind};

/// How many events an answer has if the request does not say it: a page for a person.
const LIMIT: usize = 100;

/// The most events in an answer. They take about 1 MiB at most, if all are log lines.
const MAX_LIMIT: usize = 1000;

/// The query of the request.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Shows only events behind the one with this number.
    after: Option<u64>,
    /// Shows only events of this kind.
    kind: Option<EventKind>,
    /// The most events of the answer; 100 if it is missing.
    #[schemars(range(min = 1, max = MAX_LIMIT))]
    limit: Option<usize>,
}

/// The answer.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EventPage")]
pub(super) struct Page {
    /// The events, the oldest first.
    #[serde(serialize_with = "as_list")]
    #[schemars(with = "Vec<Event>")]
    events: Vec<Arc<Event>>,
    /// What to send as `after` to get the events behind these.
    next: u64,
}

fn as_list<S: Serializer>(events: &[Arc<Event>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(events.iter().map(|event| &**event))
}

pub(super) async fn list(State(api): State<Arc<Api>>, asked: Asked<Wanted>) -> Answer<Page> {
    let Wanted { after, kind, limit } = given(asked)?;
    let limit = limit.unwrap_or(LIMIT);
    if limit == 0 || limit > MAX_LIMIT {
        return Err(bad_request(format!("`limit` is from 1 to {MAX_LIMIT}, and not {limit}")));
    }
    let events = api.server.events.list(after, kind, limit);
    let next = events.last().map_or(after.unwrap_or_default(), |event| event.number);
    Ok(Json(Page { events, next }))
}
