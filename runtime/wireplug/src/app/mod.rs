//! The application: maps routes to handlers.
//!
//! A [`Handler`] is an async function of what it needs: `|Json(body): Json<T>, session: Session|
//! async move { … }`. It can ask for what [`FromRequest`] makes: a JSON body ([`Json`]) or the
//! bytes, the [`Session`](crate::session::Session), the [`User`](crate::session::User) that it is
//! bound to, the [`Peer`] it came from, all [`Sessions`](crate::session::Sessions), the
//! application's [`State`], the whole [`Request`].
//!
//! Requests of one session are in order: the next is started when the one before is answered,
//! unless its handler is [`concurrent`](Handler::concurrent). [`filter`] has what lies between the
//! two.
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

pub use extract::{Error, FromRequest, IntoResponse, Json, Peer, Request, Response, State};
pub use handler::{Answers, Concurrency, Concurrent, Handler, Layered};
pub(crate) use in_flight::{InFlight, Ticket};
pub(crate) use routes::{Parts, Routes};

use self::filter::{Filter, Next};
use self::routes::Route;
use crate::codec::Reason;

/// What stands behind a server: handlers by route, and the filters in front of them.
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
    /// An application that answers every request with 404.
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
    /// The same, with a state that its handlers can ask for: each gets a clone.
    pub fn with_state(state: S) -> Self {
        Self { state, parts: Parts::default() }
    }

    /// Has requests and notifications on `route`, usually `<serverType>.<handler>.<method>`,
    /// answered by `handler`.
    ///
    /// A request whose handler fails is answered with the error's status, 500 unless the error says
    /// otherwise; so is one whose handler panics. A request on a route without handler is answered
    /// with 404.
    ///
    /// # Panics
    /// Where the route has a handler already.
    pub fn route<Args>(mut self, route: &str, handler: impl Handler<Args, S>) -> Self {
        let concurrency = handler.concurrency();
        let route = Route::new(route, handler.into_service(self.state.clone()), concurrency);
        self.parts.add_route(route);
        self
    }

    /// Has all routes of a server type, the first segment of the route, answered by `handler`, but
    /// for those that have a handler of their own.
    ///
    /// # Panics
    /// Where the server type has a handler already.
    pub fn service<Args>(mut self, server_type: &str, handler: impl Handler<Args, S>) -> Self {
        self.parts.service(server_type, handler, self.state.clone());
        self
    }

    /// Has all requests pass a filter: see [`filter`]. Those on unknown routes do too; clients'
    /// hellos do not.
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<Next, Service: Filter> + Send + 'static,
    {
        self.parts.add_layer(None, layer);
        self
    }

    /// Has all requests on the routes of a server type pass a filter: see [`filter`].
    pub fn layer_for<L>(mut self, server_type: &str, layer: L) -> Self
    where
        L: Layer<Next, Service: Filter> + Send + 'static,
    {
        self.parts.add_layer(Some(server_type), layer);
        self
    }

    /// Names a route that the application pushes on, so that codecs with a route dictionary can
    /// shorten it.
    pub fn push_route(mut self, route: &str) -> Self {
        self.parts.pushes.insert(route.into());
        self
    }

    /// Has clients' hellos answered by `handler`: its body goes to the client with the protocol's
    /// handshake, and a status other than 200 refuses the client. Without it every client is
    /// welcome.
    pub fn hello<Args>(mut self, handler: impl Handler<Args, S>) -> Self {
        self.parts.hello = Some(Box::new(handler.into_service(self.state.clone())));
        self
    }
}

impl<S> App<S> {
    /// Every route there is, sorted: those with handlers and those of pushes.
    pub fn routes(&self) -> Vec<Arc<str>> {
        self.parts.routes()
    }

    pub(crate) fn into_parts(self) -> Parts {
        self.parts
    }
}

/// What a panic said, made fit for a log line.
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
