//! Sleeping sessions: the session of the codec is gone, and its saved state is kept.

use super::{CallError, SessionDriver, SessionPhase};
use crate::codec::{CodecSession, Events, Frames, SavedState, SavedStates};

/// The codec's session, while it can be called.
pub(super) struct Callee<S> {
    session: S,
    /// The saved state of a session that sleeps.
    saved: Option<SavedState>,
    /// Whether the session was called since [`SessionDriver::take_called`].
    was_called: bool,
}

impl<S> Callee<S> {
    pub(super) fn new(session: S) -> Self {
        Self { session, saved: None, was_called: true }
    }

    /// Returns the session for a call that is allowed.
    pub(super) fn call(&mut self) -> &mut S {
        self.was_called = true;
        &mut self.session
    }

    /// Returns the session for values outside the contract.
    pub(super) fn session_mut(&mut self) -> &mut S {
        &mut self.session
    }

    pub(super) fn into_session(self) -> S {
        self.session
    }
}

impl<S: CodecSession> SessionDriver<S> {
    /// Puts the session to sleep: saves its state, and calls it no more before
    /// [`SessionDriver::wake`] or [`SessionDriver::replace`]. The caller drops the sandbox of the
    /// session. All else stays: the timer, and how far the session has come. The state is kept as
    /// one of `states`. Returns its size, in bytes.
    ///
    /// # Errors
    /// Returns the errors of [`SessionDriver::save`]. The session is awake then.
    pub fn sleep(&mut self, states: &SavedStates) -> Result<usize, CallError> {
        let state = self.save()?;
        self.callee.saved = Some(states.keep(&state));
        // A session that sleeps holds no buffers.
        (self.events, self.frames) = (Events::new(), Frames::default());
        // Each state counts in full, because any of those that share memory may outlive the others.
        Ok(state.len())
    }
}

impl<S> SessionDriver<S> {
    /// Returns the saved state of the session if it sleeps. The same codec or another one restores
    /// it.
    pub fn saved(&self) -> Option<Vec<u8>> {
        self.callee.saved.as_ref().map(SavedState::to_vec)
    }

    /// Wakes the session, after the caller has replaced the session of the codec by one that was
    /// restored from [`SessionDriver::saved`].
    pub fn wake(&mut self) {
        self.callee.saved = None;
    }

    /// Returns whether the session sleeps, so that the codec cannot be called.
    pub fn is_asleep(&self) -> bool {
        self.callee.saved.is_some()
    }

    /// Returns whether [`SessionDriver::sleep`] may be called: the codec exports `handoff`, and the
    /// session works and waits neither for TLS nor for the answer to a hello.
    pub fn may_sleep(&self) -> bool {
        self.abilities.handoff
            && self.phase == SessionPhase::Working
            && !self.tls_begins
            && !self.hello_is_open
            && !self.is_asleep()
    }

    /// Lets the session sleep from the beginning, with a state that was saved before, as one of
    /// `states`. For a session that another process has put to sleep: the session of the codec only
    /// stands in until [`SessionDriver::wake`].
    #[must_use]
    pub fn asleep(mut self, states: &SavedStates, state: &[u8]) -> Self {
        self.callee.saved = Some(states.keep(state));
        self.callee.was_called = false;
        self
    }

    /// Returns whether another process can go on with the session: its codec exports `handoff`, and
    /// the session works and waits neither for TLS nor for the answer to a hello. It may sleep.
    pub fn may_leave_process(&self) -> bool {
        self.is_asleep() || self.may_sleep()
    }

    /// Returns whether the codec was called since the last call of this method. The opening counts.
    pub fn take_called(&mut self) -> bool {
        std::mem::take(&mut self.callee.was_called)
    }
}
