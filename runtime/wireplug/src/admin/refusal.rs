//! The answer to a request that fails.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::server::ReloadError;
use crate::slot::SwapError;
use wireplug_base::Chain;

/// The reason why a request was refused.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) why: String,
    /// When to try again, in seconds.
    retry_after: Option<u64>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into(), retry_after: None }
    }

    /// Returns the refusal for an address that must wait, because its tokens were refused.
    pub(super) fn wait(wait: Duration) -> Self {
        let seconds = wait.as_secs() + 1;
        let why = format!("too many tokens from this address were wrong: try again in {seconds} s");
        Self { status: StatusCode::TOO_MANY_REQUESTS, why, retry_after: Some(seconds) }
    }
}

/// Turns the error of a slot into a refusal. The status says whether the state of the slot or the
/// component is the reason.
impl From<SwapError> for Refusal {
    fn from(error: SwapError) -> Self {
        let status = match &error {
            SwapError::Conflict(_) | SwapError::Overtaken => StatusCode::CONFLICT,
            // The same request may succeed at another time.
            passing if passing.is_passing() => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, Chain::of(&error).to_string())
    }
}

/// Turns the error of a reload into a refusal.
impl From<ReloadError> for Refusal {
    fn from(error: ReloadError) -> Self {
        let status = match error {
            ReloadError::NoFile | ReloadError::Draining => StatusCode::CONFLICT,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, Chain::of(&error).to_string())
    }
}

/// For changes that cannot fail.
impl From<Infallible> for Refusal {
    fn from(error: Infallible) -> Self {
        match error {}
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(json!({ "error": self.why }))).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}
