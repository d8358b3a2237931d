//! The signals that `wireplug serve` handles.
//!
//! They are handled before anything else is done. A start may take seconds, and a process that is
//! the first of its container ignores signals without a handler.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signal handlers. A signal that arrives between two waits is kept for the next wait.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    user: Signal,
}

/// The handlers of the signals that change a server: SIGHUP and SIGUSR2.
pub(super) struct Changes {
    pub(super) reload: Signal,
    pub(super) upgrade: Signal,
}

impl Signals {
    /// Installs handlers for all signals.
    ///
    /// # Errors
    /// Returns an error if the system refuses a handler.
    pub(super) fn handle() -> anyhow::Result<(Self, Changes)> {
        let handler = |kind| signal(kind).context("cannot handle signals");
        let signals = Self {
            interrupt: handler(SignalKind::interrupt())?,
            terminate: handler(SignalKind::terminate())?,
            user: handler(SignalKind::user_defined1())?,
        };
        let changes = Changes {
            reload: handler(SignalKind::hangup())?,
            upgrade: handler(SignalKind::user_defined2())?,
        };
        Ok((signals, changes))
    }

    /// Returns at Ctrl-C and SIGTERM, and calls `at_user` at each SIGUSR1 until then.
    pub(super) async fn end(&mut self, at_user: impl Fn()) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
                _ = self.user.recv() => at_user(),
            }
        }
    }
}
