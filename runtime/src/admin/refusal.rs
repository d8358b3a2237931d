//! What is answered to a request that fails.

use axum::Json;
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::codec::wasm::CompileError;
use crate::slot::Conflict;

/// Why nothing was done.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) why: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }
}

/// What a slot refuses: for the state that it is in, or for the component.
impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        let status = match (error.downcast_ref(), error.downcast_ref()) {
            (Some(Conflict { .. }), _) => StatusCode::CONFLICT,
            // It may well go another time.
            (_, Some(CompileError::QueueFull(_) | CompileError::Stopped)) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, format!("{error:#}"))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(json!({ "error": self.why }))).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
