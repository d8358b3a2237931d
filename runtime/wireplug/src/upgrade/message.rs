//! The messages between the two processes of an upgrade.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::saved::SavedSession;
use crate::codec::Reason;
use crate::session::{Command, Directed, Group, Message, SessionId, Target, User};
use crate::slot::WireFormat;

/// From the old process to the new one.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToNew {
    /// The first message: the sockets that the new process takes over.
    Sockets(Sockets),
    /// The old process accepts nobody any more. New sessions have numbers from `next_id` on.
    Begin { next_id: u64, app: Option<Vec<u8>> },
    /// A codec of the sessions that follow. Codecs are numbered in the order in which they come.
    Codec(SavedCodec),
    /// A session, with the descriptor of its socket if it has one of its own.
    Session(u64, Box<SavedSession>),
    /// A command for the sessions of a target.
    Command(u64, WireTarget, WireCommand),
    /// A command for one session.
    Directed(u64, SavedId, WireDirected),
    /// A user who may have only one session has been bound at this time.
    Bound(u64, User, u64),
    /// The old process has heard so many commands and bindings of the new one.
    Heard(u64),
    /// All sessions that share the socket of a listener have come. `state` is what its connector
    /// must know to read the socket.
    Resume { listener: u32, state: Vec<u8> },
    /// No session comes any more.
    End,
}

/// From the new process to the old one.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToOld {
    /// The first message.
    Hello { protocol: u32, version: String },
    /// The server is ready to take over.
    Ready,
    /// The server cannot start.
    Failed(String),
    /// A session is served.
    Served(SavedId),
    /// A session is not served, and why. With it come the commands that were held for it.
    Refused(SavedId, String, Vec<WireDirected>),
    /// Everything has come, up to [`ToNew::End`].
    Took,
    /// A command for the sessions of a target, with the place of the last frame that was seen.
    Command(WireTarget, WireCommand, u64),
    /// A user who may have only one session has been bound at this time, with the same place.
    Bound(User, u64, u64),
}

/// The sockets that a new process takes over. The descriptors come with the message, in order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Sockets {
    /// The listeners. The key of each is its URL as it was asked for.
    pub(super) listeners: Vec<PassedSocket>,
    /// What the program itself listens at.
    pub(super) others: Vec<PassedSocket>,
}

/// The sockets of one listener.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PassedSocket {
    pub(super) key: String,
    /// The number of its descriptors. 0 if they cannot be passed on.
    pub(super) descriptors: u8,
    /// Whether the service manager keeps them when the process ends.
    pub(super) stays: bool,
}

/// A codec at work in the old process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedCodec {
    /// The name of its slot.
    pub(crate) slot: String,
    /// Its component and options. A process with the same ones understands the state of a session
    /// that sleeps, without waking it.
    pub(crate) identity: String,
    pub(crate) format: WireFormat,
}

pub(super) type SavedId = u64;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum WireTarget {
    Session(u64),
    User(User),
    Group(Group),
    All,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum WireCommand {
    Push {
        route: String,
        #[serde(with = "serde_bytes")]
        body: Vec<u8>,
    },
    Kick(String),
    Bind(User),
    Unbind,
    Join(Group),
    Leave(Group),
    Set(BTreeMap<String, Option<String>>),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum WireDirected {
    Command(WireCommand),
    Displace,
}

impl From<&Target> for WireTarget {
    fn from(target: &Target) -> Self {
        match target {
            Target::Session(id) => Self::Session(id.0),
            Target::User(user) => Self::User(user.clone()),
            Target::Group(group) => Self::Group(group.clone()),
            Target::All => Self::All,
        }
    }
}

impl From<WireTarget> for Target {
    fn from(target: WireTarget) -> Self {
        match target {
            WireTarget::Session(id) => Self::Session(SessionId(id)),
            WireTarget::User(user) => Self::User(user),
            WireTarget::Group(group) => Self::Group(group),
            WireTarget::All => Self::All,
        }
    }
}

impl From<&Command> for WireCommand {
    fn from(command: &Command) -> Self {
        match command {
            Command::Push(message) => {
                Self::Push { route: message.route.to_string(), body: message.body.to_vec() }
            }
            Command::Kick(reason) => Self::Kick(reason.as_str().to_owned()),
            Command::Bind(user) => Self::Bind(user.clone()),
            Command::Unbind => Self::Unbind,
            Command::Join(group) => Self::Join(group.clone()),
            Command::Leave(group) => Self::Leave(group.clone()),
            Command::Set(settings) => Self::Set(settings.clone()),
        }
    }
}

impl From<WireCommand> for Command {
    fn from(command: WireCommand) -> Self {
        match command {
            WireCommand::Push { route, body } => Self::Push(Message::push(route, body)),
            WireCommand::Kick(reason) => Self::Kick(Reason::new(reason)),
            WireCommand::Bind(user) => Self::Bind(user),
            WireCommand::Unbind => Self::Unbind,
            WireCommand::Join(group) => Self::Join(group),
            WireCommand::Leave(group) => Self::Leave(group),
            WireCommand::Set(settings) => Self::Set(settings),
        }
    }
}

impl From<&Directed> for WireDirected {
    fn from(directed: &Directed) -> Self {
        match directed {
            Directed::Command(command) => Self::Command(command.into()),
            Directed::Displace => Self::Displace,
        }
    }
}

impl From<WireDirected> for Directed {
    fn from(directed: WireDirected) -> Self {
        match directed {
            WireDirected::Command(command) => Self::Command(command.into()),
            WireDirected::Displace => Self::Displace,
        }
    }
}
