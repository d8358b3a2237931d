//! Passes clients' requests and hellos to services, and returns the services' answers.

use std::sync::Arc;
use std::time::Duration;

use async_nats::client::{PublishError, PublishErrorKind};
use async_nats::{HeaderMap, HeaderValue, Message, StatusCode};
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::sleep;

use super::outgoing::{of_session, put};
use super::subject::is_token;
use super::{Nats, Shared};
use crate::app::{Request, Response};
use crate::codec::Reason;
use crate::config::ServiceConfig;
use crate::server::service_headers::{BIND, ROUTE};
use crate::server::service_hello::HelloAnswer;
use crate::server::services::ServiceLink;
use wireplug_base::limited;

/// The headers of an error, by the convention of NATS services.
pub(super) const ERROR: &str = "Nats-Service-Error";
pub(super) const ERROR_CODE: &str = "Nats-Service-Error-Code";

/// A service behind NATS.
pub(super) struct NatsService {
    nats: Nats,
    name: String,
    /// How long a client waits for the answer.
    timeout: Duration,
    /// The session's setting that names the instance of the service.
    sticky: Option<String>,
}

/// Why there is no answer: a status, and a text for the log.
type Failure = (u16, &'static str);

impl ServiceLink for NatsService {
    fn call(self: Arc<Self>, request: Request) -> BoxFuture<'static, Response> {
        async move {
            let route = Arc::clone(&request.route);
            self.ask(request).await.unwrap_or_else(|(status, why)| {
                // Nobody can fix this for a single client, and it may affect many clients at once.
                limited!(DEBUG, route = %Reason::new(&*route), status, why, "a service did not answer");
                Response::status(status)
            })
        }
        .boxed()
    }

    fn hello(self: Arc<Self>, request: Request) -> BoxFuture<'static, HelloAnswer> {
        async move {
            let subjects = &self.nats.0.subjects;
            let (subject, headers) = (subjects.hello(&self.name), of_session(&request.session, subjects));
            match self.while_reached(self.request(subject, headers, request.body)).await {
                Ok(reply) => HelloAnswer { bind: bind(&reply), response: response(reply) },
                Err((status, why)) => {
                    limited!(WARN, service = self.name, status, why, "a service did not answer a hello");
                    HelloAnswer::status(status)
                }
            }
        }
        .boxed()
    }
}

impl NatsService {
    pub(super) fn new(nats: Nats, name: &str, config: &ServiceConfig) -> Self {
        let (name, sticky) = (name.to_owned(), config.sticky.clone());
        Self { nats, name, timeout: config.timeout, sticky }
    }

    async fn ask(&self, request: Request) -> Result<Response, Failure> {
        let subjects = &self.nats.0.subjects;
        let instance = self.sticky.as_ref().and_then(|setting| request.session.setting(setting));
        if instance.as_ref().is_some_and(|instance| !is_token(instance)) {
            return Err((500, "the setting that names the instance is no name of one"));
        }
        let subject = subjects.request(&request.route, instance.as_deref());
        let subject = subject.ok_or((404, "the route could not be a subject"))?;
        let mut headers = of_session(&request.session, subjects);
        put(&mut headers, ROUTE, &request.route);
        let trace = request.trace.nats(&request.route, &subject, request.id.is_some());
        trace.inject(|name, value| put(&mut headers, name, value));
        let answer = match request.id {
            Some(_) => self.while_reached(self.request(subject, headers, request.body)).await.map(response),
            None => {
                let published = self.while_reached(self.notify(subject, headers, request.body)).await;
                published.map(|()| Response::status(200))
            }
        };
        trace.end(answer.as_ref().map_or_else(|failure| failure.0, |answer| answer.status));
        answer
    }

    /// Sends a message while NATS is reached, and waits for the answer for a limited time.
    async fn while_reached<T>(&self, send: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let link = &self.nats.0.link;

        let mut reach = link.reach();
        let connection = link.now().for_requests();
        if connection.is_none() {
            return Err((503, "NATS is not reached, or does not let this node hear replies"));
        }
        tokio::select! {
            biased;
            sent = send => sent,
            // The connection has been lost or replaced, so the reply can no longer arrive.
            _ = reach.wait_for(|now| now.for_requests() != connection) => {
                Err((503, "NATS has gone before the answer"))
            }
            () = sleep(self.timeout) => Err((504, "no answer in time")),
        }
    }

    /// Publishes a request, and waits for its reply.
    async fn request(&self, subject: String, headers: HeaderMap, body: Bytes) -> Result<Message, Failure> {
        let Shared { link, replies, .. } = &*self.nats.0;
        let (inbox, reply) = replies.expect();
        let published = link.client().1.publish_with_reply_and_headers(subject, inbox, headers, body).await;
        published.map_err(unpublished)?;
        match reply.reply().await {
            Some(reply) if reply.status == Some(StatusCode::NO_RESPONDERS) => Err((503, "nobody subscribes")),
            Some(reply) => Ok(reply),
            None => Err((503, "the node stops")),
        }
    }

    /// Publishes a notification.
    async fn notify(&self, subject: String, headers: HeaderMap, body: Bytes) -> Result<(), Failure> {
        let client = self.nats.0.link.client().1;
        client.publish_with_headers(subject, headers, body).await.map_err(unpublished)
    }
}

fn unpublished(error: PublishError) -> Failure {
    match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => (413, "the body is larger than NATS takes"),
        _ => (503, "it could not be published"),
    }
}

/// Returns the user that an answer to a hello names.
fn bind(reply: &Message) -> Option<Bytes> {
    let name = reply.headers.as_ref()?.get(BIND)?;
    Some(Bytes::copy_from_slice(name.as_str().as_bytes()))
}

fn response(reply: Message) -> Response {
    let header = |name| reply.headers.as_ref().and_then(|headers| headers.get(name));
    let (code, text) = (header(ERROR_CODE), header(ERROR));
    if code.is_none() && text.is_none() {
        return Response { status: 200, body: reply.payload };
    }
    let status = code.and_then(|code| code.as_str().parse().ok()).filter(|code| (100..600).contains(code));
    let shown = |value: Option<&HeaderValue>| value.map(|value| Reason::new(value.as_str()).to_string());
    limited!(DEBUG, subject = %Reason::new(&*reply.subject), code = shown(code), text = shown(text), "a service answered with an error");
    Response { status: status.unwrap_or(500), body: reply.payload }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(headers: &[(&str, &str)]) -> Message {
        let mut map = HeaderMap::new();
        headers.iter().for_each(|(name, value)| put(&mut map, name, value));
        Message {
            subject: "s".into(),
            reply: None,
            payload: "body".into(),
            headers: Some(map),
            status: None,
            description: None,
            length: 0,
        }
    }

    #[test]
    fn errors_follow_the_convention_of_nats_services() {
        let status = |headers: &[(&str, &str)]| response(reply(headers)).status;
        assert_eq!(status(&[]), 200);
        assert_eq!(status(&[("Other", "403")]), 200);
        assert_eq!(status(&[(ERROR_CODE, "403"), (ERROR, "no")]), 403);
        assert_eq!(status(&[(ERROR, "no")]), 500);
        for wrong in ["", "x", "99", "600", "-1", "65536"] {
            assert_eq!(status(&[(ERROR_CODE, wrong)]), 500, "{wrong}");
        }
        assert_eq!(response(reply(&[(ERROR_CODE, "403")])).body, "body");
    }
}
