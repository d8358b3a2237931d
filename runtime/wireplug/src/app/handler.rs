//! Handlers: async functions whose arguments are taken from a request.

use std::convert::Infallible;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio_util::sync::ReusableBoxFuture;
use tower::{Layer, Service, ServiceExt as _, service_fn};

use super::filter::{Filter, Next, answering};
use super::{Error, FromRequest, IntoResponse, Request, Response};

/// An async function that answers requests. It has up to eight arguments, each of a type that
/// implements [`FromRequest`], and returns a type that implements [`IntoResponse`].
///
/// `Args` distinguishes functions by their arguments, and never needs to be named. `S` is the
/// application's state.
pub trait Handler<Args, S>: Sized + 'static {
    /// Makes the service that answers the requests of a route. Each request is answered by a clone
    /// of the service.
    fn into_service(self, state: S) -> impl Answers;

    /// Returns on which routes requests start as soon as they arrive, or `None` if on no route: see
    /// [`Handler::concurrent_if`].
    fn concurrency(&self) -> Option<Concurrency> {
        None
    }

    /// Adds a filter in front of this handler: see [`filter`](super::filter).
    fn layer<L>(self, layer: L) -> impl Handler<Args, S>
    where
        Args: 'static,
        S: 'static,
        L: Layer<Next, Service: Filter> + 'static,
    {
        Layered { layer, handler: self, shape: PhantomData }
    }

    /// Starts the requests on these routes as soon as they arrive. They do not wait for earlier
    /// requests of their session, and later requests do not wait for them. The other requests of a
    /// session are handled in order: each starts when the previous one has been answered.
    fn concurrent_if(
        self,
        is_concurrent: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> impl Handler<Args, S>
    where
        Args: 'static,
        S: 'static,
    {
        Concurrent { handler: self, is_concurrent: Arc::new(is_concurrent), shape: PhantomData }
    }

    /// Does the same as [`Handler::concurrent_if`], for all routes of the handler.
    fn concurrent(self) -> impl Handler<Args, S>
    where
        Args: 'static,
        S: 'static,
    {
        self.concurrent_if(|_| true)
    }
}

/// A function that returns whether requests on a route may be handled out of order.
pub type Concurrency = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// A [`tower::Service`] that answers every request, and can be cloned and shared by threads.
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
struct Layered<L, H, Args, S> {
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
struct Concurrent<H, Args, S> {
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

/// A box for handlers' futures that is reused. A handler that answers at once costs no allocation
/// if its future has the layout of the previous one.
pub(super) type ResponseFuture = ReusableBoxFuture<'static, Response>;

/// A service with its type erased.
pub(super) trait AnyService: Send + Sync {
    /// Puts the future of the response into `future`.
    fn call(&self, request: Request, future: &mut ResponseFuture);

    /// Returns the future of the response, in a box of its own.
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

/// Answers a request. This future owns everything that a filter holds for the request, such as a
/// permit, and drops it when the request is done, even if the handler panics.
async fn answer(service: impl Answers, request: Request) -> Response {
    match service.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
