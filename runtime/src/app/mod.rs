//! The application: maps routes to handlers.
//!
//! A [`Handler`] is an async function of what it needs: `|Json(body): Json<T>, session: Session| async move {
//! … }`.

mod extract;
mod handler;
mod hooks;
mod in_flight;

use std::any::Any;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::fast::FixedState;

pub use extract::{Error, FromRequest, IntoResponse, Json, Request, Response};
pub use handler::Handler;
pub(crate) use in_flight::{InFlight, Ticket};

use self::handler::{AnyHandler, erase};
use crate::codec::Reason;
use crate::session::Hook;

/// What stands behind a server: handlers by route.
#[derive(Default)]
pub struct App {
    /// No client can add a key, so that its hash need not withstand an attack.
    handlers: HashMap<Arc<str>, Box<dyn AnyHandler>, FixedState>,
    pushes: BTreeSet<Arc<str>>,
    hello: Option<Box<dyn AnyHandler>>,
    hooks: Vec<Hook>,
}

impl App {
    /// An application that answers every request with 404.
    pub fn new() -> Self {
        Self::default()
    }

    /// Has requests and notifications on `route`, usually `<serverType>.<handler>.<method>`, answered by
    /// `handler`.
    ///
    /// A request whose handler fails is answered with the error's status, 500 unless the error says
    /// otherwise; so is one whose handler panics. A request on a route without handler is answered with 404.
    ///
    /// # Panics
    /// Where the route has a handler already.
    pub fn route<Args: 'static>(mut self, route: &str, handler: impl Handler<Args>) -> Self {
        let before = self.handlers.insert(route.into(), erase(handler));
        assert!(before.is_none(), "the route {route} has a handler already");
        self
    }

    /// Names a route that the application pushes on, so that codecs with a route dictionary can shorten it.
    pub fn push_route(mut self, route: &str) -> Self {
        self.pushes.insert(route.into());
        self
    }

    /// Has clients' hellos answered by `handler`: its body goes to the client with the protocol's handshake,
    /// and a status other than 200 refuses the client. Without it every client is welcome.
    pub fn hello<Args: 'static>(mut self, handler: impl Handler<Args>) -> Self {
        self.hello = Some(erase(handler));
        self
    }

    /// Every route there is, sorted: those with handlers and those of pushes.
    pub fn routes(&self) -> Vec<Arc<str>> {
        let routes: BTreeSet<_> = self.handlers.keys().chain(&self.pushes).cloned().collect();
        routes.into_iter().collect()
    }

    fn handler(&self, route: &str) -> Option<&dyn AnyHandler> {
        self.handlers.get(route).map(|handler| &**handler)
    }

    fn hello_handler(&self) -> Option<&dyn AnyHandler> {
        self.hello.as_deref()
    }

    /// The answer where there is no handler.
    fn without_handler(&self, ticket: &Ticket) -> Response {
        let status = match ticket {
            Ticket::Hello => 200,
            Ticket::Request { .. } => 404,
        };
        Response { status, body: Bytes::new() }
    }
}

/// What a panic said, made fit for a log line.
fn panic_message(panic: &(dyn Any + Send)) -> Reason {
    let message =
        panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    Reason::new(message.unwrap_or("no message"))
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("routes", &self.routes()).finish_non_exhaustive()
    }
}
