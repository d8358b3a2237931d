//! Events of sessions, which hooks, services and other nodes receive.

use super::{CloseReason, Session, User};

/// An event of a session. If two threads change a session at the same time, the application may
/// receive the later event first.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEvent {
    /// The handshake is over.
    Opened,
    /// The session has come from another process of the server, which was upgraded. It has its user
    /// and its groups.
    Moved,
    /// The session was bound to a user.
    Bound(User),
    /// The session is no longer bound to this user. It stays open.
    Unbound(User),
    /// The session has ended. A session that ended in its handshake has this event too, without
    /// [`SessionEvent::Opened`] before it.
    Closed(CloseReason),
}

impl SessionEvent {
    /// Returns the name by which services know the event.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Moved => "moved",
            Self::Bound(_) => "bound",
            Self::Unbound(_) => "unbound",
            Self::Closed(_) => "closed",
        }
    }

    /// Returns the user that the event names.
    pub(crate) fn user(&self) -> Option<&User> {
        match self {
            Self::Bound(user) | Self::Unbound(user) => Some(user),
            Self::Opened | Self::Moved | Self::Closed(_) => None,
        }
    }

    /// Returns the short name of the reason for which the session has ended.
    pub(crate) fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Closed(reason) => Some(reason.cause()),
            _ => None,
        }
    }
}

/// What passes the events of sessions to other processes: to services, and to other nodes. It gets
/// the events of a session in their order.
pub(crate) trait SessionObserver: Send + Sync {
    /// Reports an event of a session of this node. `bound_at` is the time of a binding, in
    /// microseconds since 1970, and `None` for other events. Must not block: bindings are reported
    /// under the lock of the table of sessions.
    fn event(&self, session: &Session, event: &SessionEvent, bound_at: Option<u64>);
}

/// A function that is called with each event, in the thread in which the event happens. It must not
/// panic.
pub(crate) type Hook = Box<dyn Fn(&Session, &SessionEvent) + Send + Sync>;
