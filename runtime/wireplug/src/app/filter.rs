//! Filters: what requests pass on their way to handlers, and answers on their way back.
//!
//! A filter is a [`tower::Layer`] over a [`tower::Service`] of [`Request`] and [`Response`]: those
//! of `tower`, those of this module, and your own. They are given
//! - to one handler: [`Handler::layer`](super::Handler::layer),
//! - to all routes of a server type, the first segment of the route:
//!   [`App::layer_for`](super::App::layer_for),
//! - to all routes: [`App::layer`](super::App::layer).
//!
//! A request passes those of all routes first, then those of its server type, then the handler's
//! own. Where one place is given several, the last that was given is passed first;
//! [`tower::ServiceBuilder`] puts some together that are passed in the order in which they are
//! written.
//!
//! A filter is made once and shared by all connections, so that a limit is one over all of them. An
//! error of a filter is answered: 504 for a time-out of tower's, 503 for its load shedding, 500 for
//! anything else, which is logged too.
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

/// What lies behind a filter: other filters, and the handler.
pub type Next = BoxCloneSyncService<Request, Response, Infallible>;

/// What a layer makes of [`Next`]: any service that can be shared.
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

/// Answers what a filter fails at.
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

/// Answers with 504 what takes longer. The handler's future is dropped then.
pub fn timeout(limit: Duration) -> TimeoutLayer {
    TimeoutLayer::new(limit)
}

/// Lets so many requests through at a time; the others wait. With [`load_shed`] around it they do
/// not.
pub fn concurrency_limit(max: usize) -> GlobalConcurrencyLimitLayer {
    GlobalConcurrencyLimitLayer::new(max)
}

/// Answers with 503 what would have to wait for the filter behind it.
pub fn load_shed() -> LoadShedLayer {
    LoadShedLayer::new()
}

/// Lets so many requests through in each period, evenly over time, and as many at once after a
/// pause; answers the others with 429.
///
/// It is one limit over all clients. What each client may send is its listener's
/// [`packets_per_second`](crate::config::ClientLimits::packets_per_second).
///
/// # Panics
/// Where the number or the period is zero.
pub fn rate_limit(requests: u32, per: Duration) -> RateLimitLayer {
    let burst = NonZeroU32::new(requests).expect("a rate of no requests lets nobody through");
    let quota = Quota::with_period(per / requests).expect("a rate is over some time").allow_burst(burst);
    RateLimitLayer(Arc::new(RateLimiter::direct(quota)))
}

/// [`rate_limit`].
#[derive(Clone, Debug)]
pub struct RateLimitLayer(Arc<DefaultDirectRateLimiter>);

impl<Inner> Layer<Inner> for RateLimitLayer {
    type Service = RateLimit<Inner>;

    fn layer(&self, inner: Inner) -> RateLimit<Inner> {
        RateLimit { limiter: Arc::clone(&self.0), inner }
    }
}

/// The service of [`rate_limit`].
#[derive(Clone, Debug)]
pub struct RateLimit<Inner> {
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

/// Gives each request a span `request` with its route, session and user, and tells at level `debug`
/// with which status and how soon it was answered.
pub fn trace() -> TraceLayer {
    TraceLayer
}

/// [`trace`].
#[derive(Clone, Copy, Debug)]
pub struct TraceLayer;

impl<Inner> Layer<Inner> for TraceLayer {
    type Service = Trace<Inner>;

    fn layer(&self, inner: Inner) -> Trace<Inner> {
        Trace(inner)
    }
}

/// The service of [`trace`].
#[derive(Clone, Debug)]
pub struct Trace<Inner>(Inner);

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
