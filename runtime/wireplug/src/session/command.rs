//! What can be done with sessions, and with which: the same here and on other nodes.

use std::collections::BTreeMap;

use super::{Group, Message, Session, SessionEvent, SessionId, User};
use crate::codec::Reason;

/// The sessions that something is done with.
#[cfg_attr(
    not(feature = "nats"),
    allow(dead_code, reason = "only services and other servers name one session")
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// One.
    Session(SessionId),
    /// Those that are bound to a user.
    User(User),
    /// Those in a group.
    Group(Group),
    /// All that are established.
    All,
}

/// What is done with each of them.
#[cfg_attr(
    not(feature = "nats"),
    allow(dead_code, reason = "only services and other servers give all commands")
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// It is sent a message that nobody asked for.
    Push(Message),
    /// It is thrown out.
    Kick(Reason),
    /// It is bound to a user.
    Bind(User),
    /// It is bound to no user any more.
    Unbind,
    /// It joins a group.
    Join(Group),
    /// It leaves a group.
    Leave(Group),
    /// Settings get a value, or lose theirs.
    Set(BTreeMap<String, Option<String>>),
}

/// The sessions of other nodes, as those of this one see them. They receive what happens in the
/// order in which it happens. A call must not block.
pub(crate) trait RemoteSessions: Send + Sync {
    /// The name by which nodes know each other: of two bindings at the same time, that of the
    /// larger one is the later.
    #[cfg_attr(
        not(feature = "nats"),
        allow(dead_code, reason = "only services and other servers have names")
    )]
    fn node(&self) -> &str;

    /// The application of this node gave a command for a target that may have sessions on others:
    /// not for one session.
    fn apply(&self, target: &Target, command: &Command);

    /// Something has happened to a session of this node; to a binding belongs its time.
    fn event(&self, session: &Session, event: &SessionEvent, bound_at: Option<u64>);
}
