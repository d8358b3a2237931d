//! Sends commands of this node for sessions of other nodes, and returns the replies of these nodes.

use std::time::Duration;

use async_nats::{HeaderMap, Message, StatusCode};
use futures_util::FutureExt as _;
use futures_util::future::{self, BoxFuture};
use tokio::time::sleep;

use super::outgoing::put;
use super::requests::{ERROR, ERROR_CODE};
use super::{Nats, Shared};
use crate::server::client_commands::{CommandDetails, CommandError, RemoteSession, Verb};
use crate::server::cluster::CommandReply;
use crate::server::service_headers::{ROUTE, STATUS, TIMEOUT};
use crate::session::ClientResponse;

/// How long another node has to reply, besides the time in which its client answers a request. A
/// node replies at once; this is for a busy network.
const REPLY_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a client of another node has to answer a request that says nothing about it. The limit
/// of the client's listener is not known here; this is the default of `client-request-timeout`.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

impl Nats {
    /// Queues a command for a session of another node behind all commands before it, and returns
    /// the wait for the reply.
    pub(super) fn command_elsewhere(
        &self,
        session: &RemoteSession,
        verb: Verb,
        given: &CommandDetails<'_>,
    ) -> BoxFuture<'static, CommandReply> {
        match self.queue(session, verb, given) {
            Ok(wait) => wait,
            Err(error) => future::ready(Err(error)).boxed(),
        }
    }

    fn queue(
        &self,
        session: &RemoteSession,
        verb: Verb,
        given: &CommandDetails<'_>,
    ) -> Result<BoxFuture<'static, CommandReply>, CommandError> {
        let Shared { link, subjects, outgoing, replies, rollouts: _ } = &*self.0;
        let mut headers = HeaderMap::new();
        if let Some(route) = given.route {
            put(&mut headers, ROUTE, route);
        }
        let mut limit = REPLY_TIMEOUT;
        if verb == Verb::Request {
            let timeout = given.timeout()?.unwrap_or(REQUEST_TIMEOUT);
            put(&mut headers, TIMEOUT, &timeout.as_millis().to_string());
            limit = limit.saturating_add(timeout);
        }
        let mut reach = link.reach();
        let connection = link.now().for_requests();
        let gone =
            || CommandError::new(503, "NATS is not reached, so sessions of other nodes are not either");
        if connection.is_none() {
            return Err(gone());
        }
        let max = link.client().1.server_info().max_payload;
        if given.payload.len() > max {
            return Err(CommandError::new(413, format!("NATS accepts no payload of more than {max} bytes")));
        }
        let (inbox, reply) = replies.expect();
        let subject = subjects.remote_command(verb, session);
        if !outgoing.send_with_reply(subject, inbox, headers, given.payload.clone()) {
            return Err(CommandError::new(503, "too many messages wait for NATS: try again later"));
        }
        let node = session.node.clone();
        Ok(async move {
            tokio::select! {
                biased;
                reply = reply.reply() => match reply {
                    Some(reply) if reply.status != Some(StatusCode::NO_RESPONDERS) => read(reply),
                    Some(_) => Err(no_node(&node)),
                    None => Err(CommandError::new(503, "this node stops")),
                },
                // The connection has been lost or replaced, so the reply can no longer arrive.
                _ = reach.wait_for(|now| now.for_requests() != connection) => Err(gone()),
                () = sleep(limit) => Err(no_node(&node)),
            }
        }
        .boxed())
    }
}

fn no_node(node: &str) -> CommandError {
    CommandError::new(404, format!("the node {node} does not reply: it has ended, or is not reachable"))
}

/// Reads the reply of another node.
fn read(reply: Message) -> CommandReply {
    let header = |name| reply.headers.as_ref().and_then(|headers| headers.get(name));
    let number = |name| header(name).and_then(|value| value.as_str().parse().ok());
    if header(ERROR_CODE).is_some() {
        let why = header(ERROR).map_or("", |why| why.as_str());
        return Err(CommandError::new(number(ERROR_CODE).unwrap_or(500), why.to_owned()));
    }
    Ok(number(STATUS).map(|status| ClientResponse { status, body: reply.payload }))
}
