//! Handlers: async functions of what they need from a request.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio_util::sync::ReusableBoxFuture;
use tower::{Layer, Service, ServiceExt as _, service_fn};

use super::filter::{Filter, Next, answering};
use super::{Error, FromRequest, IntoResponse, Request, Response};

/// An async function that answers requests: of up to eight arguments, each [`FromRequest`], to
/// anything [`IntoResponse`].
///
/// `Args` tells apart the functions' shapes; it never needs to be named. `S` is the application's
/// state.
pub trait Handler<Args, S>: Sized + 'static {
    /// Makes the service that answers the requests of a route. A clone of it answers each.
    fn into_service(self, state: S) -> impl Answers;

    /// On which routes requests are started when they come, if on any: see
    /// [`Handler::concurrent_if`].
    fn concurrency(&self) -> Option<Concurrency> {
        None
    }

    /// Has requests go through a filter on their way to this handler: see
    /// [`filter`](super::filter).
    fn layer<L>(self, layer: L) -> Layered<L, Self, Args, S> {
        Layered { layer, handler: self, shape: PhantomData }
    }

    /// Has requests on these routes started when they come: they wait for none of their session
    /// before them and keep none behind them waiting. Else requests of one session are in order:
    /// one is started when the one before it is answered.
    fn concurrent_if(
        self,
        is_concurrent: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Concurrent<Self, Args, S> {
        Concurrent { handler: self, is_concurrent: Arc::new(is_concurrent), shape: PhantomData }
    }

    /// [`Handler::concurrent_if`], for all its routes.
    fn concurrent(self) -> Concurrent<Self, Args, S> {
        self.concurrent_if(|_| true)
    }
}

/// Whether requests on a route need not be in order.
pub type Concurrency = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// A [`tower::Service`] that answers each request, and can be shared.
pub trait Answers:
    Service<Request, Response = Response, Error = Infallible, Future: Send + 'static>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<T> Answers for T where
    T: Service<Request, Response = Response, Error = Infallible, Future: Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static
{
}

macro_rules! impl_handler {
    ($($arg:ident),*) => {
        impl<F, Answer, Fut, S, $($arg),*> Handler<($($arg,)*), S> for F
        where
            F: Fn($($arg),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Answer> + Send + 'static,
            Answer: IntoResponse,
            S: Send + Sync + 'static,
            $($arg: FromRequest<S>,)*
        {
            #[allow(non_snake_case, unused_variables)]
            fn into_service(self, state: S) -> impl Answers {
                let shared = Arc::new((self, state));
                service_fn(move |request: Request| {
                    let (function, state) = &*shared;
                    let arguments: Result<_, Error> =
                        extracted(|| Ok(($($arg::from_request(&request, state)?,)*)));
                    let route = request.route;
                    let answer = arguments.map(|($($arg,)*)| function($($arg),*));
                    async move {
                        Ok(match answer {
                            Ok(answer) => respond(&route, answer.await),
                            Err(error) => respond(&route, error),
                        })
                    }
                })
            }
        }
    };
}

impl_handler!();
impl_handler!(A);
impl_handler!(A, B);
impl_handler!(A, B, C);
impl_handler!(A, B, C, D);
impl_handler!(A, B, C, D, E);
impl_handler!(A, B, C, D, E, G);
impl_handler!(A, B, C, D, E, G, H);
impl_handler!(A, B, C, D, E, G, H, I);

fn extracted<T>(extract: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    extract()
}

fn respond(route: &str, answer: impl IntoResponse) -> Response {
    if let Some(error) = answer.failure() {
        error.log(route);
    }
    answer.into_response()
}

/// A handler behind a filter: [`Handler::layer`].
pub struct Layered<L, H, Args, S> {
    layer: L,
    handler: H,
    shape: PhantomData<fn(Args, S)>,
}

impl<Args, S, L, H> Handler<Args, S> for Layered<L, H, Args, S>
where
    Args: 'static,
    S: 'static,
    H: Handler<Args, S>,
    L: Layer<Next, Service: Filter> + 'static,
{
    fn into_service(self, state: S) -> impl Answers {
        answering(self.layer.layer(Next::new(self.handler.into_service(state))))
    }

    fn concurrency(&self) -> Option<Concurrency> {
        self.handler.concurrency()
    }
}

/// A handler whose requests need not be in order: [`Handler::concurrent_if`].
pub struct Concurrent<H, Args, S> {
    handler: H,
    is_concurrent: Concurrency,
    shape: PhantomData<fn(Args, S)>,
}

impl<Args, S, H> Handler<Args, S> for Concurrent<H, Args, S>
where
    Args: 'static,
    S: 'static,
    H: Handler<Args, S>,
{
    fn into_service(self, state: S) -> impl Answers {
        self.handler.into_service(state)
    }

    fn concurrency(&self) -> Option<Concurrency> {
        Some(Arc::clone(&self.is_concurrent))
    }
}

impl<L, H, Args, S> fmt::Debug for Layered<L, H, Args, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layered").finish_non_exhaustive()
    }
}

impl<H, Args, S> fmt::Debug for Concurrent<H, Args, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Concurrent").finish_non_exhaustive()
    }
}

/// Room for a handler's future, used again and again: a handler that answers at once costs no
/// allocation.
pub(super) type ResponseFuture = ReusableBoxFuture<'static, Response>;

/// A service whose type is forgotten.
pub(super) trait AnyService: Send + Sync {
    /// Puts the answer's future into `future`.
    fn call(&self, request: Request, future: &mut ResponseFuture);

    /// The answer's future, in a box of its own.
    fn call_boxed(&self, request: Request) -> BoxFuture<'static, Response>;
}

impl<T: Answers> AnyService for T {
    fn call(&self, request: Request, future: &mut ResponseFuture) {
        future.set(answer(self.clone(), request));
    }

    fn call_boxed(&self, request: Request) -> BoxFuture<'static, Response> {
        Box::pin(answer(self.clone(), request))
    }
}

/// What a filter holds for a request lives in here, and goes when the request is done: also where
/// it panics.
async fn answer(service: impl Answers, request: Request) -> Response {
    match service.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
