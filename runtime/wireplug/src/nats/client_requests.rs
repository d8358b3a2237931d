//! Sends the requests of services to clients, and passes the clients' responses back.

use std::sync::Arc;

use async_nats::{HeaderMap, Message as Incoming};

use super::commands::{given, put_error};
use super::outgoing::{Outgoing, put};
use crate::server::client_commands::CommandError;
use crate::server::service_headers::STATUS;
use crate::session::{ClientResponse, ResponseWait, Sessions, Target};

/// Sends a request to a client of this node. A task of its own waits for the response and replies
/// to the service.
pub(super) fn send(
    message: &Incoming,
    target: &Target,
    outgoing: &Arc<Outgoing>,
    sessions: &Sessions,
) -> Result<(), CommandError> {
    let Target::Session(id) = target else {
        return Err(CommandError::invalid("a request goes to one session only"));
    };
    let reply = message.reply.as_ref().ok_or(CommandError::invalid("a request has a reply subject"))?;
    // The request gets its place among the messages to this client now. Only the wait for the
    // response goes on elsewhere.
    let wait = given(message).request(*id, sessions)?;
    tokio::spawn(pass_on(wait, reply.to_string(), Arc::clone(outgoing)));
    Ok(())
}

/// Waits for the response of a client, and replies to the service.
async fn pass_on(wait: ResponseWait, reply: String, outgoing: Arc<Outgoing>) {
    let mut headers = HeaderMap::new();
    let body = match wait.response().await {
        Ok(ClientResponse { status, body }) => {
            put(&mut headers, STATUS, &status.to_string());
            body
        }
        Err(error) => {
            put_error(&mut headers, &error.into());
            Default::default()
        }
    };
    outgoing.send(reply, headers, body);
}
