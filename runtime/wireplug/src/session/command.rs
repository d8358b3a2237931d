//! Commands for sessions, and their targets. They are the same on this node and on other nodes.

use std::collections::BTreeMap;

use super::{Group, Message, SessionId, SessionObserver, User};
use crate::codec::Reason;

/// The sessions to which a command applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// One session.
    Session(SessionId),
    /// The sessions that are bound to a user.
    User(User),
    /// The sessions in a group.
    Group(Group),
    /// All established sessions.
    All,
}

/// An operation on each session of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Sends a message that answers no request.
    Push(Message),
    /// Disconnects the client.
    Kick(Reason),
    /// Binds the session to a user.
    Bind(User),
    /// Ends the binding to a user.
    Unbind,
    /// Adds the session to a group.
    Join(Group),
    /// Removes the session from a group.
    Leave(Group),
    /// Sets settings to values, and removes those whose value is `None`.
    Set(BTreeMap<String, Option<String>>),
}

/// The sessions of other nodes. The methods are called in the order in which commands and events
/// occur. A call must not block.
pub(crate) trait RemoteSessions: SessionObserver {
    /// Returns the name of this node. Of two bindings with the same time, the one on the node with
    /// the larger name counts as the later one.
    #[cfg_attr(
        not(feature = "nats"),
        allow(dead_code, reason = "only services and other servers have names")
    )]
    fn node(&self) -> &str;

    /// Applies a command of this node's application to the sessions of other nodes. The target is
    /// never a single session.
    fn apply(&self, target: &Target, command: &Command);
}
