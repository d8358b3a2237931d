//! Receives the components that clients upload.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::StatusCode;
use http_body_util::LengthLimitError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::api::bad_request;
use super::refusal::Refusal;

/// The most uploads at a time. Each holds its component in memory.
const MAX_UPLOADS: usize = 4;

/// How long an upload may take. It is enough for 64 MiB at about 10 Mbit/s.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Reads components, at most [`MAX_UPLOADS`] at a time.
pub(super) struct Uploads {
    max_size: usize,
    permits: Arc<Semaphore>,
}

impl Uploads {
    /// Accepts components of at most `max_size` bytes.
    pub(super) fn new(max_size: usize) -> Self {
        Self { max_size, permits: Arc::new(Semaphore::new(MAX_UPLOADS)) }
    }

    /// Reads a component. The caller must hold the returned permit as long as the component is in
    /// memory.
    ///
    /// If the head of the request says that the component is too long, it is refused before any of
    /// it is read.
    pub(super) async fn read(&self, body: Body) -> Result<(Bytes, OwnedSemaphorePermit), Refusal> {
        if body.size_hint().lower() > self.max_size as u64 {
            return Err(self.too_large());
        }
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            let why = format!("{MAX_UPLOADS} uploads are under way: try again when one is done");
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why));
        };
        match timeout(UPLOAD_TIMEOUT, axum::body::to_bytes(body, self.max_size)).await {
            Ok(Ok(component)) => Ok((component, permit)),
            Ok(Err(error)) if error.source().is_some_and(|cause| cause.is::<LengthLimitError>()) => {
                Err(self.too_large())
            }
            Ok(Err(_)) => Err(bad_request("the component did not come to its end")),
            Err(_) => {
                let why = format!("the component did not come within {} s", UPLOAD_TIMEOUT.as_secs());
                Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, why))
            }
        }
    }

    fn too_large(&self) -> Refusal {
        let why = format!(
            "the component is larger than {} bytes, which is `max-upload` of [control]",
            self.max_size
        );
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, why)
    }
}
