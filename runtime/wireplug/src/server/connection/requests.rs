//! The way of a decoded message to its handler, and of the response back.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::Connection;
use crate::app::{Logged, Request, Response, Ticket};
use crate::session::{Action, Message};
use crate::traces::Trace;

impl Connection {
    /// Takes the responses of the handlers that are done, and starts the handlers whose turn has
    /// come.
    pub(super) fn collect(&mut self, cx: &mut Context<'_>) {
        self.codec.pass_events();
        loop {
            let may_begin = !self.is_high();
            let Poll::Ready((ticket, response)) =
                self.in_flight.poll_next(&self.server.routes, may_begin, cx)
            else {
                return;
            };
            self.take_response(ticket, response);
        }
    }

    /// Starts the handlers of the decoded messages.
    pub(super) fn dispatch(&mut self, cx: &mut Context<'_>) {
        while self.may_start()
            && let Some(action) = self.codec.next_action()
        {
            let (ticket, request) = match action {
                Action::Established => {
                    self.server.sessions.opened(&self.session);
                    self.codec.update_broadcast_class();
                    continue;
                }
                Action::StartTls => {
                    self.transport.begin_tls(self.codec.take_tls());
                    continue;
                }
                Action::Hello(body) => (Ticket::Hello, self.request(None, Arc::from("hello"), body)),
                Action::Message { id, route, body } => {
                    let logged = self.server.access_log.logs_requests().then(|| {
                        let (route, since) = (Arc::clone(&route), std::time::Instant::now());
                        Box::new(Logged { id, route, since, bytes: body.len() })
                    });
                    let began = self.codec.begin_request();
                    let mut request = self.request(id, Arc::clone(&route), body);
                    let traced = self.server.traces.request(&self.trace, &mut request);
                    (Ticket::Request { id, route, began, logged, traced }, request)
                }
            };
            if let Poll::Ready((ticket, response)) =
                self.in_flight.start(&self.server.routes, ticket, request, cx)
            {
                self.take_response(ticket, response);
            }
        }
    }

    fn request(&self, id: Option<u64>, route: Arc<str>, body: Bytes) -> Request {
        Request { session: self.session.clone(), route, id, body, trace: Trace::default() }
    }

    /// Passes a handler's response on: to the codec if it answers a hello, to the outbox if it
    /// answers a request.
    fn take_response(&mut self, ticket: Ticket, response: Response) {
        if let Ticket::Request { logged: Some(logged), .. } = &ticket {
            self.server.access_log.request(&self.session, logged, &response);
        }
        if let Ticket::Request { traced: Some(traced), .. } = &ticket {
            traced.end(&self.session, response.status);
        }
        let Response { status, body } = response;
        match ticket {
            Ticket::Hello => self.codec.answer_hello(status, body),
            Ticket::Request { id, route, began, .. } => {
                if let Some(began) = began {
                    self.server
                        .counters
                        .answers
                        .time(self.server.routes.server_type(&route), began.elapsed());
                }
                if let Some(id) = id {
                    self.answered.add(&route, status, &self.server);
                    self.session.respond(Message::response(id, route, status, body));
                }
            }
        }
    }
}
