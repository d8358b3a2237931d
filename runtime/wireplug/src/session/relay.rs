//! The other process of an upgrade, while sessions move to it.
//!
//! The two processes are one server for the application: a push to a user or a group reaches each
//! receiver once, whichever process has it at that moment. All frames from the old process to the
//! new one, those with sessions and those with commands, have places in one order. A session that
//! leaves notes the place of its frame. So each side knows for each command and each session which
//! process applies it:
//! - A command of the old process whose frame comes before that of the session is applied by the
//!   old process, and travels with the session. One that comes later is applied by the new process.
//! - A command of the new process names the last frame that the process had seen, and the sessions
//!   that it had seen and did not serve yet. The old process sends the command on to those, and to
//!   sessions whose frames come later.

use super::command::{Command, Target};
use super::{SessionId, User};

/// A command for one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Directed {
    Command(Command),
    /// The session's user has another session, and may have only one.
    Displace,
}

/// What a process had seen of the sessions that move to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The place of the last frame.
    pub(crate) place: u64,
    /// The sessions that have come and are not served yet.
    pub(crate) arriving: Vec<SessionId>,
}

impl Seen {
    /// Returns whether the process served a session whose frame has this place.
    pub(crate) fn served(&self, id: SessionId, place: u64) -> bool {
        place <= self.place && !self.arriving.contains(&id)
    }
}

/// Where a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Residence {
    /// In this process.
    Here,
    /// On its way to the other process, in the frame with this place. This process goes on with it
    /// if the other one does not take it.
    Leaving(u64),
    /// In the other process, to which it went in the frame with this place.
    Gone(u64),
}

/// The way to the other process. A call must not block.
pub(crate) trait Relay: Send + Sync {
    /// Sends a command for the sessions of a target that the other process has. Returns its place.
    fn command(&self, target: &Target, command: &Command, seen: Seen) -> u64;

    /// Sends a command for one session.
    fn directed(&self, id: SessionId, directed: Directed);

    /// Whether the other process is connected to other nodes for both. Then commands to and from
    /// other nodes go through it.
    fn has_the_nodes(&self) -> bool;

    /// Tells that a user, who may have only one session, has been bound at this time.
    fn bound(&self, user: &User, at: u64, seen: Seen);
}
