//! Handlers: async functions of what they need from a request.

use std::future::{Future, ready};
use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::future::Either;
use tokio_util::sync::ReusableBoxFuture;

use super::{Error, FromRequest, IntoResponse, Request, Response};

/// An async function that answers requests: of up to five arguments, each [`FromRequest`], to anything
/// [`IntoResponse`].
///
/// `Args` tells apart the functions' shapes; it never needs to be named.
pub trait Handler<Args>: Send + Sync + 'static {
    /// Answers a request.
    fn call(&self, request: Request) -> impl Future<Output = Response> + Send + 'static;
}

macro_rules! impl_handler {
    ($($arg:ident),*) => {
        impl<F, Answer, Fut, $($arg),*> Handler<($($arg,)*)> for F
        where
            F: Fn($($arg),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Answer> + Send + 'static,
            Answer: IntoResponse,
            $($arg: FromRequest,)*
        {
            #[allow(non_snake_case, unused_variables, clippy::redundant_closure_call)]
            fn call(&self, request: Request) -> impl Future<Output = Response> + Send + 'static {
                let arguments: Result<_, Error> = (|| Ok(($($arg::from_request(&request)?,)*)))();
                match arguments {
                    Ok(($($arg,)*)) => {
                        let route = Arc::clone(&request.route);
                        let answer = self($($arg),*);
                        Either::Left(async move { respond(&route, answer.await) })
                    }
                    Err(error) => Either::Right(ready(respond(&request.route, error))),
                }
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

fn respond(route: &str, answer: impl IntoResponse) -> Response {
    if let Some(error) = answer.failure() {
        error.log(route);
    }
    answer.into_response()
}

/// Room for a handler's future, used again and again: a handler that answers at once costs no allocation.
pub(super) type ResponseFuture = ReusableBoxFuture<'static, Response>;

/// A handler whose type is forgotten.
pub(super) trait AnyHandler: Send + Sync {
    /// Puts the handler's future into `future`.
    fn call(&self, request: Request, future: &mut ResponseFuture);
}

pub(super) fn erase<Args: 'static>(handler: impl Handler<Args>) -> Box<dyn AnyHandler> {
    Box::new(Erased(handler, PhantomData))
}

struct Erased<H, Args>(H, PhantomData<fn(Args)>);

impl<Args, H: Handler<Args>> AnyHandler for Erased<H, Args> {
    fn call(&self, request: Request, future: &mut ResponseFuture) {
        future.set(self.0.call(request));
    }
}
