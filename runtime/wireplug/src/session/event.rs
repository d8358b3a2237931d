//! What happens to sessions, for those who want to hear of it.

use super::{CloseReason, Session, User};

/// What has happened to a session. Where two threads do something with it at a time, the
/// application may hear of the later first.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEvent {
    /// The handshake is over.
    Opened,
    /// It was bound to a user.
    Bound(User),
    /// It is no longer bound to this user, and goes on.
    Unbound(User),
    /// It has ended. A session that ended in its handshake has this event too, and no other.
    Closed(CloseReason),
}

/// Whoever hears of events, in the thread in which they happen. It must not panic.
pub(crate) type Hook = Box<dyn Fn(&Session, &SessionEvent) + Send + Sync>;
