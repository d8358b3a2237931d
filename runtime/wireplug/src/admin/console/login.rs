//! Login, logout, and the question who is logged in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;
use tracing::info;

use super::origin::is_https;
use crate::admin::access::Access;
use crate::admin::api::{Answer, bad_request};
use crate::admin::connections::Place;
use crate::admin::peer::Peer;
use crate::admin::refusal::Refusal;
use crate::admin::token::Token;
use crate::config::ControlRole;

/// The largest body of a login, in bytes. A token is some dozens of characters.
const MAX_LOGIN: usize = 1024;

/// How long that body may take. It comes with the head.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    token: String,
}

/// Begins a session for somebody with a right token, and gives the browser its cookie.
pub(super) async fn log_in(
    State(access): State<Arc<Access>>,
    Extension(peer): Extension<Peer>,
    Extension(place): Extension<Arc<Place>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let log_in = async {
        access.is_of_the_page(&Method::POST, &headers)?;
        let body = timeout(LOGIN_TIMEOUT, axum::body::to_bytes(body, MAX_LOGIN)).await;
        let body = body.ok().and_then(Result::ok);
        let login = body.and_then(|body| serde_json::from_slice::<Login>(&body).ok());
        let login = login.ok_or_else(|| bad_request(r#"a login is {"token": "TOKEN"}"#))?;
        let now = Instant::now();
        let token = access.log_in(peer, &login.token, now)?;
        place.known(&token.roles);
        let answer = describe(&token);
        let (who, roles) = (format!("token:{}", token.name), token.roles.to_string());
        info!(who, roles, "a browser logged in to the console");
        let cookie = access.console().begin(token.digest, is_https(&headers), now).map_err(|error| {
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("there are no random bytes: {error}"))
        })?;
        Ok::<_, Refusal>(([(SET_COOKIE, cookie)], answer).into_response())
    };
    log_in.await.unwrap_or_else(|refusal| {
        access.warn(peer, &refusal);
        refusal.into_response()
    })
}

/// Ends the session of the cookie.
pub(super) async fn log_out(State(access): State<Arc<Access>>, headers: HeaderMap) -> Response {
    if let Err(refusal) = access.is_of_the_page(&Method::POST, &headers) {
        return refusal.into_response();
    }
    let console = access.console();
    let forget = console.end(console.cookie(&headers));
    (StatusCode::NO_CONTENT, [(SET_COOKIE, forget)]).into_response()
}

/// Says who is logged in. The page asks it first, and shows the login if nobody is.
pub(super) async fn who(State(access): State<Arc<Access>>, headers: HeaderMap) -> Answer<Value> {
    access.is_of_the_page(&Method::GET, &headers)?;
    let nobody = || Refusal::new(StatusCode::UNAUTHORIZED, "nobody is logged in");
    let cookie = access.console().cookie(&headers).ok_or_else(nobody)?;
    access.logged_in(cookie, Instant::now()).map(|token| describe(&token))
}

/// Says who is logged in, with which roles, and each role whose rights these give.
fn describe(token: &Token) -> Json<Value> {
    let may: Vec<_> = token.roles.included().map(ControlRole::name).collect();
    Json(json!({
        "name": token.name,
        "roles": token.roles,
        "may": may,
        "version": env!("CARGO_PKG_VERSION"),
    }))
}
