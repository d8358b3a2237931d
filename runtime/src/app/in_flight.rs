//! The requests of one connection whose handlers are at work.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tracing::error;

use super::handler::ResponseFuture;
use super::{App, Request, Response, panic_message};

/// What an answer is for.
#[derive(Debug)]
pub(crate) enum Ticket {
    /// The client's hello.
    Hello,
    /// A request; none: a notification, whose answer is dropped.
    Request { id: Option<u64>, route: Arc<str> },
}

impl Ticket {
    /// For the log.
    fn route(&self) -> &str {
        match self {
            Ticket::Hello => "hello",
            Ticket::Request { route, .. } => route,
        }
    }
}

/// The requests whose handlers are at work.
///
/// A handler is polled in place first. Only one that is not done at once is put beside the others that wait.
pub(crate) struct InFlight {
    future: ResponseFuture,
    waiting: FuturesUnordered<Waiting>,
}

struct Waiting {
    future: ResponseFuture,
    ticket: Option<Ticket>,
}

impl InFlight {
    pub(crate) fn new() -> Self {
        Self { future: idle_future(), waiting: FuturesUnordered::new() }
    }

    /// How many handlers are at work.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Starts a handler; ready if it is done at once.
    pub(crate) fn start(
        &mut self,
        app: &App,
        ticket: Ticket,
        request: Request,
        cx: &mut Context<'_>,
    ) -> Poll<(Ticket, Response)> {
        let handler = match &ticket {
            Ticket::Hello => app.hello_handler(),
            Ticket::Request { route, .. } => app.handler(route),
        };
        let Some(handler) = handler else {
            let response = app.without_handler(&ticket);
            return Poll::Ready((ticket, response));
        };
        let future = &mut self.future;
        // A handler may panic before it gives its future, or in it: either harms its own request alone.
        let polled = catch(ticket.route(), || {
            handler.call(request, future);
            future.poll(cx)
        });
        match polled {
            Poll::Ready(response) => Poll::Ready((ticket, response)),
            Poll::Pending => {
                let future = std::mem::replace(&mut self.future, idle_future());
                self.waiting.push(Waiting { future, ticket: Some(ticket) });
                Poll::Pending
            }
        }
    }

    /// The next answer of a handler that waited. Pending where there is none.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(Ticket, Response)> {
        match self.waiting.poll_next_unpin(cx) {
            Poll::Ready(Some(answer)) => Poll::Ready(answer),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

impl Future for Waiting {
    type Output = (Ticket, Response);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Waiting { future, ticket } = &mut *self;
        let route = ticket.as_ref().map_or("", Ticket::route);
        let response = ready!(catch(route, || future.poll(cx)));
        Poll::Ready((ticket.take().expect("polled once to its end"), response))
    }
}

fn idle_future() -> ResponseFuture {
    ResponseFuture::new(std::future::pending())
}

/// Turns a panic into status 500. What the panic left half done belongs to its own request.
fn catch(route: &str, poll: impl FnOnce() -> Poll<Response>) -> Poll<Response> {
    catch_unwind(AssertUnwindSafe(poll)).unwrap_or_else(|panic| {
        let cause = panic_message(&*panic);
        error!(route, %cause, "a handler panicked");
        Poll::Ready(Response { status: 500, body: bytes::Bytes::new() })
    })
}
