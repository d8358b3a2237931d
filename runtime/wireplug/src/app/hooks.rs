//! Hooks: functions of the application that are called at events of sessions.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{App, panic_message};
use crate::session::{CloseReason, Session, SessionEvent, User};
use wireplug_base::limited;

/// Hooks run in the thread in which the event happens, usually in a connection's task. A hook must
/// spawn work that takes long. A panic in a hook is logged, and affects nothing else.
impl<S> App<S> {
    /// Calls `hook` when a session is established, which is when its handshake is over.
    pub fn on_opened(self, hook: impl Fn(&Session) + Send + Sync + 'static) -> Self {
        self.on_event(move |session, event| {
            if let SessionEvent::Opened = event {
                hook(session);
            }
        })
    }

    /// Calls `hook` when a session has come from another process of the server, in an
    /// [upgrade](crate::RunningServer::upgrade). It has its user, its groups and its settings.
    /// [`App::on_opened`] is not called for it again.
    pub fn on_moved(self, hook: impl Fn(&Session) + Send + Sync + 'static) -> Self {
        self.on_event(move |session, event| {
            if let SessionEvent::Moved = event {
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

    /// Calls `hook` when a session has ended, with the reason. For example, the client closed the
    /// connection ([`CloseReason::ClientClosed`]), its socket failed
    /// ([`CloseReason::SocketError`]), it broke the protocol of the transport or of the codec, or
    /// the server ended the session.
    ///
    /// The hook is called once for each session that the application may know of, including a
    /// session that ended in its handshake. It is not called for clients that were refused before
    /// they had a session. When it is called, the session is no longer in
    /// [`Sessions`](crate::session::Sessions) and takes no more messages.
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
