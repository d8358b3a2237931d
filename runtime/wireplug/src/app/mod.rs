//! The application: its handlers by route, filters and hooks.
//!
//! A [`Handler`] is an async function, such as `|Json(body): Json<T>, session: Session| async move
//! { … }`. Its arguments are the parts of the request that it needs. An argument can be any type
//! that implements [`FromRequest`]: a JSON body ([`Json`]) or the bytes, the
//! [`Session`](crate::session::Session), the [`User`](crate::session::User) to whom the session is
//! bound, the client's [`Peer`], all [`Sessions`](crate::session::Sessions), the application's
//! [`State`], or the whole [`Request`].
//!
//! Requests of one session are handled in order: a request starts when the previous one has been
//! answered, unless its handler is [`concurrent`](Handler::concurrent). Filters run between the
//! route and the handler: see [`filter`].
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU64, Ordering};
//!
//! use wireplug::app::{Json, State};
//! use wireplug::App;
//!
//! let app = App::with_state(Arc::new(AtomicU64::new(0)))
//!     .route("game.scoreHandler.count", |State(count): State<Arc<AtomicU64>>| async move {
//!         Json(count.fetch_add(1, Ordering::Relaxed))
//!     });
//! ```

mod carried;
mod extract;
pub mod filter;
mod handler;
mod hooks;
mod in_flight;
mod routes;

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use tower::Layer;

pub(crate) use carried::Carried;
pub use extract::{Error, FromRequest, IntoResponse, Json, Peer, Request, Response, State};
pub use handler::{Answers, Handler};
pub(crate) use in_flight::{InFlight, Logged, Ticket};
pub(crate) use routes::{Parts, Routes, server_type};

use self::filter::{Filter, Next};
use self::routes::{HelloHandler, Route};
use crate::codec::Reason;

/// An application: handlers by route, and the filters in front of them.
///
/// A handler is an async function. Its arguments are taken from the request, and what it returns
/// becomes the response.
///
/// ```
/// use wireplug::App;
/// use wireplug::app::{Error, Json};
/// use wireplug::testing::TestServer;
///
/// async fn double(Json(number): Json<u32>) -> Result<Json<u32>, Error> {
///     number.checked_mul(2).map(Json).ok_or(Error::status(400))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let server = TestServer::new(App::new().route("math.double", double));
/// let mut client = server.connect();
/// assert_eq!(client.request("math.double", &21).await.body, "42");
/// assert_eq!(client.request("math.double", &u32::MAX).await.status, 400);
/// # }
/// ```
#[must_use]
pub struct App<S = ()> {
    state: S,
    parts: Parts,
}

impl App {
    /// Creates an application without state, which answers every request with status 404 until
    /// routes are added.
    pub fn new() -> Self {
        Self::with_state(())
    }
}

impl Default for App {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Clone + Send + Sync + 'static> App<S> {
    /// Creates an application like [`App::new`], with a state. Each handler gets a clone of the
    /// state, and reads it with [`State`].
    pub fn with_state(state: S) -> Self {
        Self { state, parts: Parts::default() }
    }

    /// Lets `handler` answer requests and notifications on `route`, which is usually
    /// `<serverType>.<handler>.<method>`.
    ///
    /// If the handler returns an error, the request is answered with the status of the error, which
    /// is 500 by default. If the handler panics, the status is 500. A request on a route without a
    /// handler is answered with status 404.
    ///
    /// # Panics
    /// Panics if the route has a handler already.
    pub fn route<Args>(mut self, route: &str, handler: impl Handler<Args, S>) -> Self {
        let concurrency = handler.concurrency();
        let route = Route::new(route, handler.into_service(self.state.clone()), concurrency);
        self.parts.add_route(route);
        self
    }

    /// Lets `handler` answer all routes of a server type that have no handler of their own. The
    /// server type is the first segment of a route.
    ///
    /// # Panics
    /// Panics if the server type has a handler already.
    pub fn service<Args>(mut self, server_type: &str, handler: impl Handler<Args, S>) -> Self {
        self.parts.service(server_type, handler, self.state.clone());
        self
    }

    /// Adds a filter for all requests: see [`filter`]. Requests on unknown routes pass the filter
    /// too; the hellos of clients do not.
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<Next, Service: Filter> + Send + 'static,
    {
        self.parts.add_layer(None, layer);
        self
    }

    /// Adds a filter for all requests on the routes of a server type: see [`filter`].
    pub fn layer_for<L>(mut self, server_type: &str, layer: L) -> Self
    where
        L: Layer<Next, Service: Filter> + Send + 'static,
    {
        self.parts.add_layer(Some(server_type), layer);
        self
    }

    /// Declares a route for pushes of the application, so that codecs with a route dictionary can
    /// shorten the route.
    pub fn push_route(mut self, route: &str) -> Self {
        self.parts.pushes.insert(route.into());
        self
    }

    /// Lets `handler` answer the hellos of clients. The body of its response goes to the client
    /// with the protocol's handshake. A status other than 200 refuses the client. Without this
    /// handler every client is accepted, unless a service answers hellos
    /// ([`ServiceConfig::hello`](crate::config::ServiceConfig::hello)).
    pub fn hello<Args>(mut self, handler: impl Handler<Args, S>) -> Self {
        self.parts.hello = Some(HelloHandler::new(|| true, handler.into_service(self.state.clone())));
        self
    }
}

impl<S> App<S> {
    /// Returns all routes, sorted: those of [`App::route`] and those of [`App::push_route`].
    pub fn routes(&self) -> Vec<Arc<str>> {
        self.parts.routes()
    }

    pub(crate) fn into_parts(self) -> Parts {
        self.parts
    }
}

/// Returns the message of a panic, escaped and shortened for a log line.
fn panic_message(panic: &(dyn Any + Send)) -> Reason {
    let message =
        panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    Reason::new(message.unwrap_or("no message"))
}

impl<S> fmt::Debug for App<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("routes", &self.routes()).finish_non_exhaustive()
    }
}
