//! The arguments and the results of handlers.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::Reason;
use crate::session::{ClientInfo, Session, SessionId, Sessions, User};
use crate::traces::Trace;
use wireplug_base::{BoxError, Chain, limited};

/// A request or a notification, as a handler gets it.
#[derive(Clone, Debug)]
pub struct Request {
    /// The client that sent it.
    pub session: Session,
    /// The route.
    pub route: Arc<str>,
    /// The request's id, or `None` for a notification, whose response is dropped.
    pub id: Option<u64>,
    /// The payload.
    pub body: Bytes,
    /// The trace of the request.
    #[cfg_attr(
        not(any(feature = "otel", feature = "nats", feature = "http")),
        expect(dead_code, reason = "services get it")
    )]
    pub(crate) trace: Trace,
}

/// A handler's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status, as in HTTP.
    pub status: u16,
    /// The payload. If it is empty and the status is not 200, the codec writes the status in the
    /// way of its protocol.
    pub body: Bytes,
}

/// A failed request, with a status and optionally a body.
///
/// The operator `?` converts any other error into one with status 500. The converted error is
/// logged, and the client does not see it.
#[derive(Debug)]
pub struct Error {
    response: Response,
    cause: Option<BoxError>,
}

impl Response {
    /// A response with this status and no body.
    pub fn status(status: u16) -> Self {
        Self { status, body: Bytes::new() }
    }
}

impl Error {
    /// A failure with this status and no body.
    pub fn status(status: u16) -> Self {
        Self { response: Response { status, body: Bytes::new() }, cause: None }
    }

    /// A failure with this status and a body.
    pub fn with_body(status: u16, body: impl Into<Bytes>) -> Self {
        Self { response: Response { status, body: body.into() }, cause: None }
    }

    /// Adds a cause for the log: an error of any type, or a text. The client does not see the
    /// cause.
    pub fn because(mut self, cause: impl Into<BoxError>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Logs the cause, if there is one. With a status below 500 the mistake is the client's, so the
    /// level is only `debug`. The text of a cause may come from the client, so it is shortened and
    /// escaped.
    pub(super) fn log(&self, route: &str) {
        let Some(cause) = &self.cause else { return };
        let (status, route, cause) =
            (self.response.status, Reason::new(route), Reason::new(Chain::of(&**cause).to_string()));
        if status < 500 {
            limited!(DEBUG, %route, status, %cause, "a handler refused a request");
        } else {
            limited!(WARN, %route, status, %cause, "a handler failed");
        }
    }
}

impl<E: Into<BoxError>> From<E> for Error {
    fn from(cause: E) -> Self {
        Self::status(500).because(cause)
    }
}

// === arguments of handlers ===

/// A type that a handler can take as an argument, in an application with the state `S`.
pub trait FromRequest<S>: Sized {
    /// Makes the argument from a request.
    ///
    /// # Errors
    /// Returns an error if the request does not provide the argument. The error is then the
    /// response, and the handler is not called.
    fn from_request(request: &Request, state: &S) -> Result<Self, Error>;
}

/// A JSON body. As an argument of a handler, it answers the request with status 400 if the body
/// cannot be deserialized as `T`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json<T>(pub T);

/// The application's state, as it was given to [`App::with_state`](super::App::with_state).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State<S>(pub S);

/// The transport, the address and the attributes of the request's client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer(pub ClientInfo);

impl<S, T: DeserializeOwned> FromRequest<S> for Json<T> {
    fn from_request(request: &Request, _state: &S) -> Result<Self, Error> {
        serde_json::from_slice(&request.body).map(Json).map_err(|error| Error::status(400).because(error))
    }
}

impl<S: Clone> FromRequest<S> for State<S> {
    fn from_request(_request: &Request, state: &S) -> Result<Self, Error> {
        Ok(Self(state.clone()))
    }
}

impl<S> FromRequest<S> for Request {
    fn from_request(request: &Request, _state: &S) -> Result<Self, Error> {
        Ok(request.clone())
    }
}

impl<S> FromRequest<S> for Bytes {
    fn from_request(request: &Request, _state: &S) -> Result<Self, Error> {
        Ok(request.body.clone())
    }
}

impl<S> FromRequest<S> for Session {
    fn from_request(request: &Request, _state: &S) -> Result<Self, Error> {
        Ok(request.session.clone())
    }
}

impl<S> FromRequest<S> for SessionId {
    fn from_request(request: &Request, _state: &S) -> Result<Self, Error> {
        Ok(request.session.id())
    }
}

impl<S> FromRequest<S> for Sessions {
    fn from_request(request: &Request, _state: &S) -> Result<Self, Error> {
        Ok(request.session.sessions().clone())
    }
}

impl<S> FromRequest<S> for Peer {
    fn from_request(request: &Request, _state: &S) -> Result<Self, Error> {
        Ok(Self(request.session.client().clone()))
    }
}

/// Answers the request with status 401 if the session is not bound to a user.
impl<S> FromRequest<S> for User {
    fn from_request(request: &Request, _state: &S) -> Result<Self, Error> {
        request.session.user().ok_or_else(|| Error::status(401))
    }
}

impl<S> FromRequest<S> for Option<User> {
    fn from_request(request: &Request, _state: &S) -> Result<Self, Error> {
        Ok(request.session.user())
    }
}

// === results of handlers ===

/// A type that a handler can return.
pub trait IntoResponse {
    /// Converts the value into a response.
    fn into_response(self) -> Response;

    /// Returns the error, if the value is one. Its cause is logged.
    fn failure(&self) -> Option<&Error> {
        None
    }
}

impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }
}

/// Status 200 and an empty body.
impl IntoResponse for () {
    fn into_response(self) -> Response {
        Bytes::new().into_response()
    }
}

impl IntoResponse for Bytes {
    fn into_response(self) -> Response {
        Response { status: 200, body: self }
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => Bytes::from(body).into_response(),
            Err(error) => Error::from(error).into_response(),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        self.response
    }

    fn failure(&self) -> Option<&Error> {
        Some(self)
    }
}

impl<T: IntoResponse> IntoResponse for Result<T, Error> {
    fn into_response(self) -> Response {
        match self {
            Ok(answer) => answer.into_response(),
            Err(error) => error.into_response(),
        }
    }

    fn failure(&self) -> Option<&Error> {
        self.as_ref().err()
    }
}
