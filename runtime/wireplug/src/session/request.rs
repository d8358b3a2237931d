//! Requests of the application to a client.

use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;

use super::Session;
use super::open_requests::Answer;
use crate::codec::Reason;

/// A request to a client. It is sent when it is awaited, and resolves to the client's response.
///
/// ```
/// use std::time::Duration;
///
/// use wireplug::Session;
/// use wireplug::session::RequestError;
///
/// async fn update(session: &Session) -> Result<bool, RequestError> {
///     let response = session.request("firmware.update", &"2.1").timeout(Duration::from_secs(60)).await?;
///     Ok(response.status == 200)
/// }
/// ```
#[must_use = "the request is sent when it is awaited"]
pub struct ClientRequest {
    session: Session,
    route: Arc<str>,
    body: Result<Bytes, serde_json::Error>,
    timeout: Option<Duration>,
}

/// The response of a client to a request of the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientResponse {
    /// The outcome, as in HTTP: 200 unless the request failed.
    pub status: u16,
    /// The payload.
    pub body: Bytes,
}

/// The reason why a request to a client has no response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The connection has ended. The client may have received the request.
    #[error("the session is closed")]
    Closed,
    /// The session is moving to another process of this server, in an upgrade. The request was not
    /// sent.
    #[error("the session moves to another process of this server")]
    Moved,
    /// The client did not answer in time.
    #[error("the client did not answer in time")]
    TimedOut,
    /// The codec's protocol has no requests to the client: its `client-requests` is 0.
    #[error("the protocol of this session has no requests to the client")]
    Unsupported,
    /// The codec refused the request, or cannot send it.
    #[error("the codec cannot send the request: {0}")]
    Refused(Reason),
    /// Too many requests to this client wait for a response.
    #[error("{max} requests to this client wait for a response, and no more are allowed")]
    TooMany {
        /// The limit: `max-client-requests`.
        max: usize,
    },
    /// The client does not read as fast as the application sends.
    #[error("the session's outbox is full")]
    Full,
    /// The session has used all ids of requests, of which there are 2^32 - 1.
    #[error("the session has used all ids of requests")]
    NoIds,
    /// The body cannot be serialized as JSON.
    #[error("the body cannot be serialized: {0}")]
    Serialize(#[from] serde_json::Error),
}

impl ClientResponse {
    /// Returns the body, read as JSON.
    ///
    /// # Errors
    /// Returns an error if the body is not JSON of this type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }
}

impl ClientRequest {
    pub(super) fn new(session: Session, route: &str, body: Result<Bytes, serde_json::Error>) -> Self {
        Self { session, route: route.into(), body, timeout: None }
    }

    /// Sets how long the application waits for the response. The default is the listener's
    /// `client-request-timeout`.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Puts the request into the outbox, and returns the wait for its response. So the request has
    /// its place among the messages to this client before anybody waits.
    pub(crate) fn begin(self) -> Result<ResponseWait, RequestError> {
        let Self { session, route, body, timeout } = self;
        let timeout = timeout.unwrap_or_else(|| session.outbox().request_timeout());
        let (id, answer) = session.outbox().request(route, body?)?;
        session.wake();
        Ok(ResponseWait { answer, timeout, open: OpenRequest { session, id } })
    }
}

/// A request that was sent, and waits for its response.
pub(crate) struct ResponseWait {
    answer: Answer,
    timeout: Duration,
    open: OpenRequest,
}

impl ResponseWait {
    pub(crate) async fn response(self) -> Result<ClientResponse, RequestError> {
        let Self { answer, timeout, open } = self;
        match open.session.sessions().time().timeout(timeout, answer).await {
            Some(Ok(answered)) => answered,
            Some(Err(_)) => Err(RequestError::Closed),
            None => Err(RequestError::TimedOut),
        }
    }
}

impl IntoFuture for ClientRequest {
    type Output = Result<ClientResponse, RequestError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move { self.begin()?.response().await }.boxed()
    }
}

impl fmt::Debug for ClientRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientRequest").field("route", &self.route).finish_non_exhaustive()
    }
}

/// An open request. Abandons the request when it is dropped, unless the request has a result by
/// then.
struct OpenRequest {
    session: Session,
    id: u64,
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        if self.session.outbox().abandon(self.id) {
            self.session.wake();
        }
    }
}
