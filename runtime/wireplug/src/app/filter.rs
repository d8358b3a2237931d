//! Filters: services that requests pass on their way to handlers, and responses on their way back.
//!
//! A filter is a [`tower::Layer`] over a [`tower::Service`] of [`Request`] and [`Response`]. Use
//! the layers of `tower`, those of this module, or your own. A filter can be added
//! - to one handler: [`Handler::layer`](super::Handler::layer),
//! - to all routes of a server type, the first segment of the route:
//!   [`App::layer_for`](super::App::layer_for),
//! - to all routes: [`App::layer`](super::App::layer).
//!
//! A request first passes the filters for all routes, then those of its server type, then those of
//! its handler. If several filters are added in one place, a request passes the last one first.
//! [`tower::ServiceBuilder`] combines filters so that a request passes them in the order in which
//! they are written.
//!
//! A filter is made once and shared by all connections, so a limit applies to all of them together.
//! If a filter fails, the request is answered with status 504 for a time-out of `tower`, 503 for
//! its load shedding, and 500 for any other error. The error is logged.
//!
//! ```
//! use std::time::Duration;
//!
//! use tower::ServiceBuilder;
//! use wireplug::app::{Handler, filter};
//! use wireplug::App;
//!
//! let app = App::new()
//!     .layer(filter::trace())
//!     .layer_for("battle", filter::timeout(Duration::from_secs(2)))
//!     .route("battle.fightHandler.hit", || async {})
//!     .route(
//!         "battle.mapHandler.find",
//!         (|| async {}).layer(ServiceBuilder::new().layer(filter::load_shed()).layer(filter::concurrency_limit(8))),
//!     );
//! ```

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, Either, Ready, ready};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::load_shed::error::Overloaded;
use tower::timeout::TimeoutLayer;
use tower::timeout::error::Elapsed;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Layer, Service, ServiceExt as _, service_fn};
use tracing::{Instrument as _, info_span};

use super::handler::Answers;
use super::{Error, IntoResponse as _, Request, Response};
use crate::codec::Reason;
use wireplug_base::limited;

/// The service behind a filter: other filters and the handler.
pub type Next = BoxCloneSyncService<Request, Response, Infallible>;

/// The service that a layer makes of [`Next`]. Every service of requests and responses that can be
/// cloned and shared by threads implements this trait.
pub trait Filter:
    Service<Request, Response = Response, Error: Into<BoxError>, Future: Send + 'static>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<T> Filter for T where
    T: Service<Request, Response = Response, Error: Into<BoxError>, Future: Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// Turns the errors of a filter into responses.
pub(super) fn answering(filter: impl Filter) -> impl Answers {
    service_fn(move |request: Request| {
        let filter = filter.clone();
        async move {
            let route = Arc::clone(&request.route);
            Ok(match filter.oneshot(request).await {
                Ok(response) => response,
                Err(error) => failed(&route, error.into()),
            })
        }
    })
}

fn failed(route: &str, error: BoxError) -> Response {
    let status = match &error {
        error if error.is::<Elapsed>() => 504,
        error if error.is::<Overloaded>() => 503,
        _ => 500,
    };
    let error = Error::status(status).because(error);
    error.log(route);
    error.into_response()
}

// === ready made ===

/// Answers a request with status 504 if its response takes longer than `limit`. The handler's
/// future is dropped then.
pub fn timeout(limit: Duration) -> TimeoutLayer {
    TimeoutLayer::new(limit)
}

/// Lets at most `max` requests through at a time. The others wait, or are answered with status 503
/// if [`load_shed`] is around this filter.
pub fn concurrency_limit(max: usize) -> GlobalConcurrencyLimitLayer {
    GlobalConcurrencyLimitLayer::new(max)
}

/// Answers a request with status 503 if it would have to wait for the filter behind this one.
pub fn load_shed() -> LoadShedLayer {
    LoadShedLayer::new()
}

/// Lets `requests` requests through in each period `per`, spread evenly over time, and up to the
/// same number at once after a pause. Answers the others with status 429.
///
/// The limit applies to all clients together. The limit of each client is
/// [`packets_per_second`](crate::config::ClientLimits::packets_per_second) of its listener.
///
/// # Panics
/// Panics if the number or the period is zero.
pub fn rate_limit(requests: u32, per: Duration) -> impl Layer<Next, Service: Filter> + Clone {
    let burst = NonZeroU32::new(requests).expect("a rate of no requests lets nobody through");
    let quota = Quota::with_period(per / requests).expect("a rate is over some time").allow_burst(burst);
    RateLimitLayer(Arc::new(RateLimiter::direct(quota)))
}

/// The layer of [`rate_limit`].
#[derive(Clone, Debug)]
struct RateLimitLayer(Arc<DefaultDirectRateLimiter>);

impl<Inner> Layer<Inner> for RateLimitLayer {
    type Service = RateLimit<Inner>;

    fn layer(&self, inner: Inner) -> RateLimit<Inner> {
        RateLimit { limiter: Arc::clone(&self.0), inner }
    }
}

/// The service of [`rate_limit`].
#[derive(Clone, Debug)]
struct RateLimit<Inner> {
    limiter: Arc<DefaultDirectRateLimiter>,
    inner: Inner,
}

impl<Inner: Service<Request, Response = Response>> Service<Request> for RateLimit<Inner> {
    type Response = Response;
    type Error = Inner::Error;
    type Future = Either<Inner::Future, Ready<Result<Response, Inner::Error>>>;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Inner::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match self.limiter.check() {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(_) => Either::Right(ready(Ok(Response::status(429)))),
        }
    }
}

/// Gives each request a span `request` with its route, session and user, and logs at level `debug`
/// the status of the response and the time that it took.
pub fn trace() -> impl Layer<Next, Service: Filter> + Clone {
    TraceLayer
}

/// The layer of [`trace`].
#[derive(Clone, Copy, Debug)]
struct TraceLayer;

impl<Inner> Layer<Inner> for TraceLayer {
    type Service = Trace<Inner>;

    fn layer(&self, inner: Inner) -> Trace<Inner> {
        Trace(inner)
    }
}

/// The service of [`trace`].
#[derive(Clone, Debug)]
struct Trace<Inner>(Inner);

impl<Inner> Service<Request> for Trace<Inner>
where
    Inner: Service<Request, Response = Response, Future: Send + 'static>,
{
    type Response = Response;
    type Error = Inner::Error;
    type Future = BoxFuture<'static, Result<Response, Inner::Error>>;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Inner::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let user = request.session.user().map(tracing::field::display);
        let span = info_span!("request", route = %Reason::new(&*request.route), session = %request.session.id(), user);
        let begun = Instant::now();
        let answer = self.0.call(request);
        let traced = async move {
            let answer = answer.await;
            let status = answer.as_ref().ok().map(|response| response.status);
            limited!(DEBUG, status, took = ?begun.elapsed(), "answered");
            answer
        };
        Box::pin(traced.instrument(span))
    }
}
