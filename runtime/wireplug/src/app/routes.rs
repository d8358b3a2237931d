//! The table of routes: the filters and the handler of each request.
//!
//! A request is looked up once. If there is no filter on its way, its handler is called directly.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::FixedState;
use tower::{Layer, service_fn};

use super::filter::{Filter, Next, answering};
use super::handler::{Answers, AnyService, Concurrency};
use super::{Carried, Handler, Request, Response, Ticket};
use crate::session::Hook;

/// A table by name. Clients cannot add keys, so the hash need not withstand attacks.
type Table<T> = HashMap<Arc<str>, T, FixedState>;

/// Puts a filter around the service behind it.
type Wrap = Box<dyn FnOnce(Next) -> Next + Send>;

/// An application's parts, as they are declared.
#[derive(Default)]
pub(crate) struct Parts {
    pub(super) handlers: Table<Route>,
    /// The handlers of server types, by the name of the type.
    services: Table<Route>,
    remote: Option<Remote>,
    pub(super) pushes: BTreeSet<Arc<str>>,
    pub(super) hello: Option<HelloHandler>,
    pub(crate) hooks: Vec<Hook>,
    /// How an upgrade carries what the application keeps beside its sessions.
    pub(crate) carried: Carried,
    /// Filters for all routes (`None`) and for the routes of a server type. A request passes the
    /// last filter first.
    layers: HashMap<Option<Arc<str>>, Vec<Wrap>>,
}

/// Answers the routes of server types that may come and go while the server runs.
struct Remote {
    /// Returns whether there is a server type of this name now.
    knows: Box<dyn Fn(&str) -> bool + Send + Sync>,
    route: Route,
}

/// Answers the hellos of clients.
pub(super) struct HelloHandler {
    /// Returns whether it answers them now. If not, every client is accepted.
    answers: Box<dyn Fn() -> bool + Send + Sync>,
    service: Box<dyn AnyService>,
}

impl HelloHandler {
    pub(super) fn new(answers: impl Fn() -> bool + Send + Sync + 'static, service: impl Answers) -> Self {
        Self { answers: Box::new(answers), service: Box::new(service) }
    }
}

/// The service that answers a route, or all routes of a server type.
pub(super) struct Route {
    name: Arc<str>,
    service: Box<dyn AnyService>,
    concurrency: Option<Concurrency>,
}

impl Route {
    pub(super) fn new(name: &str, service: impl Answers, concurrency: Option<Concurrency>) -> Self {
        Self { name: name.into(), service: Box::new(service), concurrency }
    }
}

impl Parts {
    pub(super) fn add_route(&mut self, route: Route) {
        let name = Arc::clone(&route.name);
        assert!(
            self.handlers.insert(route.name.clone(), route).is_none(),
            "the route {name} has a handler already"
        );
    }

    /// Lets `handler` answer all routes of a server type that have no handler of their own.
    pub(crate) fn service<Args, S>(&mut self, name: &str, handler: impl Handler<Args, S>, state: S) {
        let concurrency = handler.concurrency();
        let route = Route::new(name, handler.into_service(state), concurrency);
        let before = self.services.insert(route.name.clone(), route);
        assert!(before.is_none(), "the server type {name} has a handler already");
    }

    /// Lets `handler` answer the routes of the server types that `knows` returns true for, unless
    /// they have a handler of their own. `knows` is asked for each request.
    pub(crate) fn remote<Args>(
        &mut self,
        knows: impl Fn(&str) -> bool + Send + Sync + 'static,
        handler: impl Handler<Args, ()>,
    ) {
        let concurrency = handler.concurrency();
        let route = Route::new("", handler.into_service(()), concurrency);
        self.remote = Some(Remote { knows: Box::new(knows), route });
    }

    /// Returns whether the application decides itself which clients may connect.
    pub(crate) fn answers_hellos(&self) -> bool {
        self.hello.is_some()
    }

    /// Lets `handler` answer the hellos of clients while `answers` returns true. `answers` is asked
    /// for each hello. The application must not have a handler of its own.
    pub(crate) fn remote_hello<Args>(
        &mut self,
        answers: impl Fn() -> bool + Send + Sync + 'static,
        handler: impl Handler<Args, ()>,
    ) {
        self.hello = Some(HelloHandler::new(answers, handler.into_service(())));
    }

    pub(super) fn add_layer<L>(&mut self, server_type: Option<&str>, layer: L)
    where
        L: Layer<Next, Service: Filter> + Send + 'static,
    {
        let wrap: Wrap = Box::new(move |inner| Next::new(answering(layer.layer(inner))));
        self.layers.entry(server_type.map(Arc::from)).or_default().push(wrap);
    }

    /// Returns all routes, sorted: those with handlers and those of pushes.
    pub(crate) fn routes(&self) -> Vec<Arc<str>> {
        let routes: BTreeSet<_> = self.handlers.keys().chain(&self.pushes).cloned().collect();
        routes.into_iter().collect()
    }

    /// Returns the finished table.
    pub(crate) fn finish(self) -> Routes {
        let Parts { handlers, services, remote, pushes: _, hello, hooks: _, carried: _, mut layers } = self;
        let types = handlers.keys().chain(services.keys()).map(|route| server_type(route).into()).collect();
        let handlers = Arc::new(Handlers { routes: handlers, services, remote, types });
        let global = layers.remove(&None);
        let typed = layers.into_iter().filter_map(|(server_type, wraps)| Some((server_type?, wraps)));
        let types = typed
            .map(|(server_type, wraps)| {
                let handlers = Arc::clone(&handlers);
                let inner = service_fn(move |request: Request| {
                    let answer = match handlers.find(&request.route) {
                        Some(route) => Ok(route.service.call_boxed(request)),
                        None => Err(NOT_FOUND),
                    };
                    async move { answer_or(answer).await }
                });
                (server_type, wrap(Next::new(inner), wraps))
            })
            .collect();
        let typed = Arc::new(Typed { handlers, types });
        let global = global.map(|wraps| {
            let typed = Arc::clone(&typed);
            let inner = service_fn(move |request: Request| {
                let answer = match typed.find(&request.route) {
                    Some(service) => Ok(service.call_boxed(request)),
                    None => Err(NOT_FOUND),
                };
                async move { answer_or(answer).await }
            });
            wrap(Next::new(inner), wraps)
        });
        Routes { typed, global, hello }
    }
}

fn wrap(inner: Next, wraps: Vec<Wrap>) -> Shared {
    Shared(wraps.into_iter().fold(inner, |inner, wrap| wrap(inner)))
}

async fn answer_or(
    answer: Result<impl Future<Output = Response>, u16>,
) -> Result<Response, std::convert::Infallible> {
    Ok(match answer {
        Ok(answer) => answer.await,
        Err(status) => Response::status(status),
    })
}

const NOT_FOUND: u16 = 404;

/// The server type of routes that nothing answers, in the counts.
const UNKNOWN: &str = "unknown";

/// Filters and the service behind them.
struct Shared(Next);

/// Handlers, by route and by server type.
struct Handlers {
    routes: Table<Route>,
    services: Table<Route>,
    remote: Option<Remote>,
    /// The server types of the routes and services.
    types: HashSet<Box<str>, FixedState>,
}

impl Handlers {
    fn find(&self, route: &str) -> Option<&Route> {
        if let Some(route) = self.routes.get(route) {
            return Some(route);
        }
        if self.services.is_empty() && self.remote.is_none() {
            return None;
        }
        let server_type = server_type(route);
        let remote = || self.remote.as_ref().filter(|remote| (remote.knows)(server_type));
        self.services.get(server_type).or_else(|| Some(&remote()?.route))
    }
}

/// Handlers behind the filters of their server type.
struct Typed {
    handlers: Arc<Handlers>,
    types: Table<Shared>,
}

impl Typed {
    fn find(&self, route: &str) -> Option<&dyn AnyService> {
        self.in_front(route, self.handlers.find(route))
    }

    /// Returns the filters of the route's server type, if there are any, and otherwise the route's
    /// handler.
    fn in_front<'a>(&'a self, route: &str, handler: Option<&'a Route>) -> Option<&'a dyn AnyService> {
        if !self.types.is_empty()
            && let Some(filters) = self.types.get(server_type(route))
        {
            return Some(&filters.0);
        }
        Some(&*handler?.service)
    }
}

/// The finished table of routes.
pub(crate) struct Routes {
    typed: Arc<Typed>,
    /// The filters that all requests pass first.
    global: Option<Shared>,
    hello: Option<HelloHandler>,
}

/// The result of looking up a request.
pub(super) struct Found<'a> {
    /// The service that answers the request, if there is one.
    pub(super) service: Option<&'a dyn AnyService>,
    /// Whether the request waits until the earlier ordered requests are answered.
    pub(super) ordered: bool,
}

impl Routes {
    /// Returns the server type of a route for the counts: [`UNKNOWN`] if nothing answers its
    /// requests. Clients choose routes, so that there may be any number of others.
    pub(crate) fn server_type<'a>(&self, route: &'a str) -> &'a str {
        let (name, handlers) = (server_type(route), &self.typed.handlers);
        let is_known = handlers.types.contains(name)
            || handlers.remote.as_ref().is_some_and(|remote| (remote.knows)(name));
        if is_known { name } else { UNKNOWN }
    }

    pub(super) fn find(&self, ticket: &Ticket) -> Found<'_> {
        let Ticket::Request { route, .. } = ticket else {
            let hello = self.hello.as_ref().filter(|hello| (hello.answers)());
            return Found { service: hello.map(|hello| &*hello.service), ordered: false };
        };
        let handler = self.typed.handlers.find(route);
        let concurrency = handler.and_then(|handler| handler.concurrency.as_ref());
        let ordered = concurrency.is_none_or(|is_concurrent| !is_concurrent(route));
        let service = match &self.global {
            Some(filters) => Some(&filters.0 as &dyn AnyService),
            None => self.typed.in_front(route, handler),
        };
        Found { service, ordered }
    }
}

/// Returns the response if there is no handler: 200 to a hello, which accepts the client, and 404
/// to a request.
pub(super) fn unanswered(ticket: &Ticket) -> Response {
    match ticket {
        Ticket::Hello => Response::status(200),
        Ticket::Request { .. } => Response::status(NOT_FOUND),
    }
}

/// Returns the first segment of a route.
pub(crate) fn server_type(route: &str) -> &str {
    route.split_once('.').map_or(route, |(server_type, _)| server_type)
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("routes", &self.routes()).finish_non_exhaustive()
    }
}
