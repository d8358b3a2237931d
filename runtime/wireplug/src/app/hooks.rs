//! What the application hears of sessions.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{App, panic_message};
use crate::session::{CloseReason, Session, SessionEvent, User};
use wireplug_base::limited;

/// Hooks are called where the event happens, in a connection's task as a rule: what takes long is
/// to be spawned. A panic in one is logged, and harms nobody.
impl<S> App<S> {
    /// Calls `hook` when a session is established: its handshake is over.
    pub fn on_opened(self, hook: impl Fn(&Session) + Send + Sync + 'static) -> Self {
        self.on_event(move |session, event| {
            if let SessionEvent::Opened = event {
                hook(session);
            }
        })
    }

    /// Calls `hook` when a session was bound to a user.
    pub fn on_bound(self, hook: impl Fn(&Session, &User) + Send + Sync + 'static) -> Self {
        self.on_event(move |session, event| {
            if let SessionEvent::Bound(user) = event {
                hook(session, user);
            }
        })
    }

    /// Calls `hook` when a session has ended, with the reason: whether the client said goodbye
    /// ([`CloseReason::ClientClosed`]), its socket failed ([`CloseReason::SocketError`]), it broke
    /// the transport's or the codec's protocol, or the server ended it.
    ///
    /// It is called once for each session that the application can have come to know, also for one
    /// that ended in its handshake; not for clients that were turned away before there was a
    /// session. The session is out of [`Sessions`](crate::session::Sessions) by then, and takes no
    /// more messages.
    pub fn on_closed(self, hook: impl Fn(&Session, &CloseReason) + Send + Sync + 'static) -> Self {
        self.on_event(move |session, event| {
            if let SessionEvent::Closed(reason) = event {
                hook(session, reason);
            }
        })
    }

    /// Calls `hook` at each event of each session.
    pub fn on_event(mut self, hook: impl Fn(&Session, &SessionEvent) + Send + Sync + 'static) -> Self {
        self.parts.hooks.push(Box::new(move |session, event| {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| hook(session, event))) {
                limited!(ERROR, cause = %panic_message(&*panic), ?event, "a hook for sessions panicked");
            }
        }));
        self
    }
}
