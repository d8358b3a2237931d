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

impl Signals {
    /// Installs handlers for all signals. SIGHUP has a handler of its own, which is returned
    /// separately.
    ///
    /// # Errors
    /// Returns an error if the system refuses a handler.
    pub(super) fn handle() -> anyhow::Result<(Self, Signal)> {
        let handler = |kind| signal(kind).context("cannot handle signals");
        let hangup = handler(SignalKind::hangup())?;
        let signals = Self {
            interrupt: handler(SignalKind::interrupt())?,
            terminate: handler(SignalKind::terminate())?,
            user: handler(SignalKind::user_defined1())?,
        };
        Ok((signals, hangup))
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
