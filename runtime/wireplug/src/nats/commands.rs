//! Applies the commands of services and other nodes to sessions.
//!
//! One task takes all commands from one subscription, one after the other. So each session sees the
//! commands of a sender in the order in which they were sent, whatever targets they named.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_nats::{HeaderMap, Message as Incoming};

use super::client_requests;
use super::kept::Kept;
use super::outgoing::{Outgoing, put};
use super::requests::{ERROR, ERROR_CODE};
use super::subject::{Addressee, Subjects, Verb};
use crate::codec::Reason;
use crate::server::service_headers::ROUTE;
use crate::session::{Command, Group, Message, Sessions, Target, User};
use wireplug_base::limited;

/// Applies each command that arrives. Never returns.
pub(super) async fn run(mut asked: Kept, subjects: &Subjects, outgoing: &Arc<Outgoing>, sessions: &Sessions) {
    loop {
        let message = asked.next().await;
        let done = match subjects.read_command(&message.subject) {
            Ok((Verb::Request, addressee)) => client_requests::send(&message, addressee, outgoing, sessions),
            _ => apply(&message, subjects, sessions),
        };
        if let Err((code, why)) = done {
            limited!(DEBUG, subject = %Reason::new(&*message.subject), code, why, "what a service asked for was not done");
        }
        if let (Some(reply), Some(answer)) = (message.reply, done.transpose()) {
            let mut headers = HeaderMap::new();
            if let Err((code, why)) = answer {
                put(&mut headers, ERROR_CODE, code);
                put(&mut headers, ERROR, why);
            }
            outgoing.send(reply.to_string(), headers, "");
        }
    }
}

pub(super) type Refusal = (&'static str, &'static str);

/// Applies one command. Returns `None` if this node must not answer it, because the command may
/// concern other nodes.
fn apply(message: &Incoming, subjects: &Subjects, sessions: &Sessions) -> Result<Option<()>, Refusal> {
    let bad = |why| ("400", why);
    let (verb, addressee) = subjects.read_command(&message.subject).map_err(bad)?;
    let Addressee::Local(target) = addressee else { return Ok(None) };
    let command = command(verb, &target, message).map_err(bad)?;
    let done = sessions.apply_from_elsewhere(&target, &command);
    match target {
        Target::Session(_) if done == 0 => Err(("404", "the session has ended, or did not take it")),
        Target::Session(_) => Ok(Some(())),
        Target::User(_) | Target::Group(_) | Target::All => Ok(None),
    }
}

fn command(verb: Verb, target: &Target, message: &Incoming) -> Result<Command, &'static str> {
    let text = || str::from_utf8(&message.payload).map_err(|_| "the payload is no UTF-8");
    let is_name =
        "the payload is no name: 1 to 200 bytes of UTF-8 without control characters and spaces at its ends";
    let one = matches!(target, Target::Session(_));
    Ok(match verb {
        Verb::Push => {
            let route = message.headers.as_ref().and_then(|headers| headers.get(ROUTE));
            let route = route.ok_or("a push has its route in the header Wireplug-Route")?;
            Command::Push(Message::push(route.as_str(), message.payload.clone()))
        }
        Verb::Kick => Command::Kick(Reason::new(text()?)),
        Verb::Join => Command::Join(Group::new(text()?).map_err(|_| is_name)?),
        Verb::Leave => Command::Leave(Group::new(text()?).map_err(|_| is_name)?),
        Verb::Request => return Err("a request is answered by its client"),
        Verb::Bind | Verb::Unbind | Verb::Set if !one => return Err("this is done to a session only"),
        Verb::Bind => Command::Bind(User::new(text()?).map_err(|_| is_name)?),
        Verb::Unbind => Command::Unbind,
        Verb::Set => {
            let settings: BTreeMap<String, Option<String>> = serde_json::from_slice(&message.payload)
                .map_err(|_| "the payload is no JSON object of strings and nulls")?;
            Command::Set(settings)
        }
    })
}
