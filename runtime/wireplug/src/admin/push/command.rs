//! Gives a command to its sessions, on this node or on another one.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::server::Running;
use crate::server::client_commands::{Addressee, CommandDetails, CommandError, RemoteSession, Verb};
use crate::session::{ClientResponse, Target};

/// What a command has done.
#[derive(Debug)]
pub(super) enum CommandDone {
    /// This many sessions of this node, or one session of another node, took it.
    Sessions(usize),
    /// A client has answered a request.
    Response(ClientResponse),
}

pub(super) type CommandOutcome = Result<CommandDone, CommandError>;

/// A command that has its place in the order of commands.
pub(super) enum BegunCommand {
    Done(CommandOutcome),
    /// A client or another node is still to answer.
    Waits(BoxFuture<'static, CommandOutcome>),
}

impl BegunCommand {
    /// Waits until the command is done.
    pub(super) async fn done(self) -> CommandOutcome {
        match self {
            Self::Done(outcome) => outcome,
            Self::Waits(wait) => wait.await,
        }
    }
}

/// Begins a command. When this returns, the command has its place before all that begin later.
pub(super) fn begin(
    server: &Arc<Running>,
    verb: Verb,
    addressee: Addressee,
    given: &CommandDetails<'_>,
) -> BegunCommand {
    let begun = match addressee {
        Addressee::Local(target) => local(server, verb, &target, given),
        Addressee::Remote(session) => remote(server, verb, &session, given).map(BegunCommand::Waits),
    };
    let count = {
        let server = Arc::clone(server);
        move |outcome: &CommandOutcome| {
            server.client_commands.count(verb, outcome.as_ref().map_or_else(|error| error.code, |_| 200));
        }
    };
    match begun.unwrap_or_else(|error| BegunCommand::Done(Err(error))) {
        BegunCommand::Done(outcome) => {
            count(&outcome);
            BegunCommand::Done(outcome)
        }
        BegunCommand::Waits(wait) => BegunCommand::Waits(wait.inspect(count).boxed()),
    }
}

fn local(
    server: &Running,
    verb: Verb,
    target: &Target,
    given: &CommandDetails<'_>,
) -> Result<BegunCommand, CommandError> {
    let sessions = server.sessions();
    if let (Verb::Request, Target::Session(id)) = (verb, target) {
        let wait = given.request(*id, sessions)?;
        let response = async move { Ok(CommandDone::Response(wait.response().await?)) };
        return Ok(BegunCommand::Waits(response.boxed()));
    }
    let is_one = matches!(target, Target::Session(_));
    let command = given.command(verb, is_one)?;
    match sessions.apply_everywhere(target, &command) {
        0 if is_one => Err(CommandError::not_taken()),
        took => Ok(BegunCommand::Done(Ok(CommandDone::Sessions(took)))),
    }
}

/// Begins a command for a session of another node, which gets it if it is valid.
fn remote(
    server: &Running,
    verb: Verb,
    session: &RemoteSession,
    given: &CommandDetails<'_>,
) -> Result<BoxFuture<'static, CommandOutcome>, CommandError> {
    match verb {
        Verb::Request => {
            given.route()?;
            given.timeout()?;
        }
        _ => drop(given.command(verb, true)?),
    }
    let member = server.nodes.member().ok_or_else(|| {
        let own = server.nodes.address();
        CommandError::new(
            404,
            format!("there is no node {}: this is {own}, and it serves alone", session.node),
        )
    })?;
    let reply = member.command(session, verb, given);
    let done =
        |response: Option<ClientResponse>| response.map_or(CommandDone::Sessions(1), CommandDone::Response);
    Ok(async move { reply.await.map(done) }.boxed())
}
