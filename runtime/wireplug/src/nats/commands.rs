//! Applies the commands of services and other nodes to sessions.
//!
//! One task takes all commands from one subscription, one after the other. So each session sees the
//! commands of a sender in the order in which they were sent, whatever targets they named.

use std::sync::Arc;

use async_nats::{HeaderMap, Message as Incoming};

use super::client_requests;
use super::kept::Kept;
use super::outgoing::{Outgoing, put};
use super::requests::{ERROR, ERROR_CODE};
use super::subject::Subjects;
use crate::codec::Reason;
use crate::server::client_commands::{Addressee, CommandDetails, CommandError, Verb};
use crate::server::service_headers::{ROUTE, TIMEOUT};
use crate::session::{Sessions, Target};
use wireplug_base::limited;

/// Applies each command that arrives. Never returns.
pub(super) async fn run(mut asked: Kept, subjects: &Subjects, outgoing: &Arc<Outgoing>, sessions: &Sessions) {
    loop {
        let message = asked.next().await;
        let done = match subjects.read_command(&message.subject) {
            Err(error) => Err(error),
            Ok((_, Addressee::Remote(_))) => Ok(None),
            Ok((Verb::Request, Addressee::Local(target))) => {
                client_requests::send(&message, &target, outgoing, sessions).map(|()| None)
            }
            Ok((verb, Addressee::Local(target))) => apply(&message, verb, &target, sessions),
        };
        if let Err(CommandError { code, why }) = &done {
            limited!(DEBUG, subject = %Reason::new(&*message.subject), code, %why, "what a service asked for was not done");
        }
        if let (Some(reply), Some(answer)) = (message.reply, done.transpose()) {
            let mut headers = HeaderMap::new();
            if let Err(error) = answer {
                put_error(&mut headers, &error);
            }
            outgoing.send(reply.to_string(), headers, "");
        }
    }
}

/// Returns what a message has besides its subject.
pub(super) fn given(message: &Incoming) -> CommandDetails<'_> {
    let header = |name| message.headers.as_ref().and_then(|headers| headers.get(name));
    let header = |name| header(name).map(async_nats::HeaderValue::as_str);
    CommandDetails { payload: message.payload.clone(), route: header(ROUTE), timeout: header(TIMEOUT) }
}

/// Sets the headers of an error.
pub(super) fn put_error(headers: &mut HeaderMap, CommandError { code, why }: &CommandError) {
    put(headers, ERROR_CODE, &code.to_string());
    put(headers, ERROR, why);
}

/// Applies one command. Returns `None` if this node must not answer it, because the command may
/// concern other nodes.
fn apply(
    message: &Incoming,
    verb: Verb,
    target: &Target,
    sessions: &Sessions,
) -> Result<Option<()>, CommandError> {
    let is_one = matches!(target, Target::Session(_));
    let command = given(message).command(verb, is_one)?;
    let done = sessions.apply_from_elsewhere(target, &command);
    match target {
        Target::Session(_) if done == 0 => Err(CommandError::not_taken()),
        Target::Session(_) => Ok(Some(())),
        Target::User(_) | Target::Group(_) | Target::All => Ok(None),
    }
}
