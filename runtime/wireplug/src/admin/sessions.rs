//! The sessions of this node: a list by pages, one session in full, and kicks.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access::Client;
use super::api::{Answer, Api, Asked, bad_request, given};
use super::refusal::Refusal;
use crate::audit::Outcome;
use crate::server::{AddressFilter, SessionDetails, SessionFilter, SessionPage, SessionStatus};
use crate::session::{Group, SessionId, User};
use wireplug_base::units;

/// The sessions of a page, unless the request says otherwise.
const PAGE: usize = 100;

/// The most sessions of a page. A page of them has about 400 KiB.
const MAX_PAGE: usize = 1000;

/// The longest reason of a kick, in bytes. A client gets it as the text of its farewell.
const MAX_REASON: usize = 256;

/// The reason of a kick that gives none.
const REASON: &str = "an operator ended the session";

/// The query of a list of sessions.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Wanted {
    /// Only sessions of this user.
    user: Option<String>,
    /// Only sessions of clients with this address, such as 203.0.113.7, or with a port.
    address: Option<String>,
    /// Only sessions of this codec.
    codec: Option<String>,
    /// Only sessions on this generation of their codec.
    generation: Option<u64>,
    /// Only sessions of the listener with this URL.
    listener: Option<String>,
    /// Only sessions in this group.
    group: Option<String>,
    /// Only sessions in this state.
    state: Option<SessionStatus>,
    /// Only sessions that have been idle for longer than this time.
    #[serde(default)]
    #[schemars(with = "Option<units::Duration>")]
    idle_over: Option<Time>,
    /// The most sessions of the page; 100 if it is missing.
    #[schemars(range(min = 1, max = MAX_PAGE))]
    limit: Option<usize>,
    /// The page begins behind the session with this number: `next` of the page before.
    after: Option<u64>,
}

/// A time with its unit, such as `5m`.
#[derive(Clone, Copy, Deserialize)]
pub(super) struct Time(#[serde(with = "units::duration")] pub(super) Duration);

/// The query of a kick of one session.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KickOne {
    /// The reason for the client and the log, of at most 256 bytes without control characters.
    reason: Option<String>,
}

/// The query of a kick of several sessions: by their user, or by their address.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Kick {
    /// The user whose sessions are kicked.
    user: Option<String>,
    /// The address whose sessions are kicked, such as 203.0.113.7, or with a port.
    address: Option<String>,
    /// The reason for the client and the log, of at most 256 bytes without control characters.
    reason: Option<String>,
}

/// The number of sessions that were kicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Kicked {
    /// The number of sessions.
    pub kicked: usize,
}

pub(super) async fn list(State(api): State<Arc<Api>>, asked: Asked<Wanted>) -> Answer<SessionPage> {
    let Wanted { user, address, codec, generation, listener, group, state, idle_over, limit, after } =
        given(asked)?;
    let limit = limit.unwrap_or(PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(bad_request(format!("a page has 1 to {MAX_PAGE} sessions: limit={PAGE}")));
    }
    let filter = SessionFilter {
        user: user.as_deref().map(user_named).transpose()?,
        address: address.as_deref().map(address_of).transpose()?,
        group: group
            .map(|group| Group::new(&group))
            .transpose()
            .map_err(|why| bad_request(why.to_string()))?,
        idle_over: idle_over.map(|Time(over)| over),
        codec,
        generation,
        listener,
        state,
    };
    let server = Arc::clone(&api.server);
    // A server may have 100,000 sessions, of which none matches.
    let page = tokio::task::spawn_blocking(move || server.session_page(&filter, after.unwrap_or(0), limit));
    let failed =
        |_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the list failed; the server's log says how");
    page.await.map(Json).map_err(failed)
}

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    id: Result<Path<u64>, PathRejection>,
) -> Answer<SessionDetails> {
    let id = number(id)?;
    api.server.session_details(id).map(Json).ok_or_else(|| none(id))
}

pub(super) async fn kick_one(
    State(api): State<Arc<Api>>,
    Extension(client): Extension<Client>,
    id: Result<Path<u64>, PathRejection>,
    asked: Asked<KickOne>,
) -> Answer<Kicked> {
    let mut change = api.change(&client, "kick", "");
    let id = change.checked(number(id))?;
    change.note(|record| record.set_subject(format!("session {id}")));
    let KickOne { reason } = change.checked(given(asked))?;
    let reason = change.checked(checked_reason(reason))?;
    let kicked = api.server.kick(id, &reason);
    let kicked = if kicked { Ok(Kicked { kicked: 1 }) } else { Err(none(id)) };
    let kicked = change.checked(kicked)?;
    change.run(async move { Ok::<_, Infallible>(kicked) }, |_, _| Outcome::Done).await
}

pub(super) async fn kick_many(
    State(api): State<Arc<Api>>,
    Extension(client): Extension<Client>,
    asked: Asked<Kick>,
) -> Answer<Kicked> {
    let mut change = api.change(&client, "kick", "");
    let Kick { user, address, reason } = change.checked(given(asked))?;
    let (filter, subject) = match (user, address) {
        (Some(user), None) => {
            let named = change.checked(user_named(&user))?;
            (SessionFilter { user: Some(named), ..SessionFilter::default() }, format!("user {user}"))
        }
        (None, Some(address)) => {
            let of = change.checked(address_of(&address))?;
            (SessionFilter { address: Some(of), ..SessionFilter::default() }, format!("address {address}"))
        }
        _ => {
            let why = "a kick names a user or an address, and one of them: ?user=NAME or ?address=IP";
            return change.checked(Err(bad_request(why)));
        }
    };
    change.note(|record| record.set_subject(subject));
    let reason = change.checked(checked_reason(reason))?;
    let server = Arc::clone(&api.server);
    let kick = async move {
        // No session is ended twice, and none that opens meanwhile is ended.
        let kicked = tokio::task::spawn_blocking(move || server.kick_matching(&filter, &reason)).await;
        Ok::<_, Infallible>(Kicked { kicked: kicked.expect("a kick does not panic") })
    };
    change.run(kick, |_, _| Outcome::Done).await
}

pub(super) fn number(id: Result<Path<u64>, PathRejection>) -> Result<SessionId, Refusal> {
    id.map(|Path(id)| SessionId(id)).map_err(|_| bad_request("the number of a session is a whole number"))
}

fn none(id: SessionId) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, format!("there is no session {id} on this node"))
}

pub(super) fn user_named(name: &str) -> Result<User, Refusal> {
    User::new(name).map_err(|why| bad_request(why.to_string()))
}

pub(super) fn address_of(text: &str) -> Result<AddressFilter, Refusal> {
    text.parse().map_err(|why: String| bad_request(why))
}

fn checked_reason(reason: Option<String>) -> Result<String, Refusal> {
    let reason = reason.unwrap_or_else(|| REASON.to_owned());
    if reason.len() > MAX_REASON || reason.chars().any(char::is_control) {
        return Err(bad_request(format!(
            "a reason has at most {MAX_REASON} bytes, and no control characters"
        )));
    }
    Ok(reason)
}
