//! The requests of one connection that are not answered yet.

use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::handler::ResponseFuture;
use super::routes::{Found, unanswered};
use super::{Request, Response, Routes, panic_message};
use crate::codec::Reason;
use crate::traces::{Attached, RequestTrace};
use wireplug_base::limited;

/// The hello or the request that a response answers.
#[derive(Debug)]
pub(crate) enum Ticket {
    /// The client's hello.
    Hello,
    /// A request, or a notification if `id` is `None`. The response to a notification is dropped.
    Request {
        id: Option<u64>,
        route: Arc<str>,
        /// When the request came, if it is to be timed.
        began: Option<Instant>,
        /// What the access log needs, if requests are logged.
        logged: Option<Box<Logged>>,
        /// The spans of the request, if it is traced.
        traced: Option<Box<RequestTrace>>,
    },
}

/// What the access log needs of a request when it is answered.
#[derive(Debug)]
pub(crate) struct Logged {
    pub(crate) id: Option<u64>,
    pub(crate) route: Arc<str>,
    /// When the request was decoded.
    pub(crate) since: Instant,
    /// The length of its body.
    pub(crate) bytes: usize,
}

impl Ticket {
    /// Returns the route for the log; a hello has the route `hello`.
    fn route(&self) -> &str {
        match self {
            Ticket::Hello => "hello",
            Ticket::Request { route, .. } => route,
        }
    }

    /// Notes that the handler begins, if the request is traced.
    fn begin_handler(&mut self, request: &mut Request) {
        if let Ticket::Request { traced: Some(traced), .. } = self {
            traced.begin_handler(request);
        }
    }

    /// Makes the span of the handler the current one, if the request is traced.
    fn attach(&self) -> Option<Attached> {
        match self {
            Ticket::Request { traced: Some(traced), .. } => Some(traced.attach()),
            _ => None,
        }
    }
}

/// The requests of a connection that are not answered yet.
///
/// A handler is first polled in place. Its future joins `waiting` only if it does not finish at
/// once. Ordered requests run one after the other.
pub(crate) struct InFlight {
    future: ResponseFuture,
    waiting: FuturesUnordered<Waiting>,
    /// Ordered requests that have not started.
    queue: VecDeque<(Ticket, Request)>,
    /// Whether an ordered request is running.
    has_turn: bool,
}

struct Waiting {
    future: ResponseFuture,
    ticket: Option<Ticket>,
    /// Whether later ordered requests wait for this one.
    ordered: bool,
}

impl InFlight {
    pub(crate) fn new() -> Self {
        Self {
            future: idle_future(),
            waiting: FuturesUnordered::new(),
            queue: VecDeque::new(),
            has_turn: false,
        }
    }

    /// Returns how many requests are not answered yet.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.queue.len()
    }

    /// Frees the memory of the queue, if no request waits for its turn.
    pub(crate) fn free(&mut self) {
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
    }

    /// Starts a request, or queues it until its turn comes. Returns `Ready` if it is answered at
    /// once.
    pub(crate) fn start(
        &mut self,
        routes: &Routes,
        ticket: Ticket,
        request: Request,
        cx: &mut Context<'_>,
    ) -> Poll<(Ticket, Response)> {
        let found = routes.find(&ticket);
        if found.ordered && (self.has_turn || !self.queue.is_empty()) {
            self.queue.push_back((ticket, request));
            return Poll::Pending;
        }
        self.begin(found, ticket, request, cx)
    }

    fn begin(
        &mut self,
        found: Found<'_>,
        mut ticket: Ticket,
        mut request: Request,
        cx: &mut Context<'_>,
    ) -> Poll<(Ticket, Response)> {
        let Found { service, ordered } = found;
        let Some(service) = service else {
            let response = unanswered(&ticket);
            return Poll::Ready((ticket, response));
        };
        let future = &mut self.future;
        // A handler may panic before it returns its future, or while the future is polled. Both
        // affect only its own request.
        ticket.begin_handler(&mut request);
        let attached = ticket.attach();
        let polled = catch(ticket.route(), || {
            service.call(request, future);
            future.poll(cx)
        });
        drop(attached);
        match polled {
            Poll::Ready(response) => Poll::Ready((ticket, response)),
            Poll::Pending => {
                let future = std::mem::replace(&mut self.future, idle_future());
                self.waiting.push(Waiting { future, ticket: Some(ticket), ordered });
                self.has_turn |= ordered;
                Poll::Pending
            }
        }
    }

    /// Whether [`InFlight::poll_next`] would start a handler.
    pub(crate) fn can_begin(&self) -> bool {
        !self.has_turn && !self.queue.is_empty()
    }

    /// Returns the next response, or `Pending` if there is none yet. If `may_begin` is set, starts
    /// the next ordered request when its turn has come.
    pub(crate) fn poll_next(
        &mut self,
        routes: &Routes,
        may_begin: bool,
        cx: &mut Context<'_>,
    ) -> Poll<(Ticket, Response)> {
        if may_begin
            && !self.has_turn
            && let Some((ticket, request)) = self.queue.pop_front()
        {
            let answer = self.begin(routes.find(&ticket), ticket, request, cx);
            if answer.is_ready() {
                return answer;
            }
        }
        let Poll::Ready(Some((ticket, response, ordered))) = self.waiting.poll_next_unpin(cx) else {
            return Poll::Pending;
        };
        self.has_turn &= !ordered;
        Poll::Ready((ticket, response))
    }
}

impl Future for Waiting {
    type Output = (Ticket, Response, bool);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Waiting { future, ticket, ordered } = &mut *self;
        let _attached = ticket.as_ref().and_then(Ticket::attach);
        let route = ticket.as_ref().map_or("", Ticket::route);
        let response = ready!(catch(route, || future.poll(cx)));
        Poll::Ready((ticket.take().expect("polled once to its end"), response, *ordered))
    }
}

fn idle_future() -> ResponseFuture {
    ResponseFuture::new(std::future::pending())
}

/// Turns a panic into a response with status 500. State that the panic left half changed belongs to
/// that request alone.
fn catch(route: &str, poll: impl FnOnce() -> Poll<Response>) -> Poll<Response> {
    catch_unwind(AssertUnwindSafe(poll)).unwrap_or_else(|panic| {
        let cause = panic_message(&*panic);
        limited!(ERROR, route = %Reason::new(route), %cause, "a handler panicked");
        Poll::Ready(Response { status: 500, body: bytes::Bytes::new() })
    })
}
