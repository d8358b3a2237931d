//! Events of sessions, which hooks and other nodes receive.

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

/// A function that is called with each event, in the thread in which the event happens. It must not
/// panic.
pub(crate) type Hook = Box<dyn Fn(&Session, &SessionEvent) + Send + Sync>;
