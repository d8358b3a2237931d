//! The other process of an upgrade, while sessions move to it.
//!
//! The two processes are one server for the application: a push to a user or a group reaches each
//! receiver once, whichever process has it at that moment, and the pushes of one sender reach it in
//! order. All frames from the old process to the new one, those with sessions and those with
//! commands, have places in one order. A session that leaves notes the place of its frame. So each
//! side knows for each command and each session which process applies it:
//! - A command of the old process whose frame comes before that of the session is applied by the
//!   old process, and travels with the session. One that comes later is applied by the new process.
//! - A command of the new process names the last frame that the process had seen. The old process
//!   applies it to the sessions that it has, and sends it after those whose frames come later. The
//!   new process holds it for sessions that arrive: until they are served, and until the old
//!   process has heard all commands that were sent before the session came.

use futures_util::future::BoxFuture;

use super::command::{Command, Target};
use super::{SessionId, User};

/// A command for one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Directed {
    Command(Command),
    /// The session's user has another session, and may have only one.
    Displace,
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

/// The way to the other process. Nothing but [`Relay::flush`] waits.
pub(crate) trait Relay: Send + Sync {
    /// Sends a command for the sessions of a target that the other process has. `seen` is the place
    /// of the last frame that this process has seen. Returns the place of the command.
    fn command(&self, target: &Target, command: &Command, seen: u64) -> u64;

    /// Sends a command for one session.
    fn directed(&self, id: SessionId, directed: Directed);

    /// Returns how many commands and bindings were sent so far.
    fn sent(&self) -> u64;

    /// Whether the other process is connected to other nodes for both. Then commands to and from
    /// other nodes go through it.
    fn has_the_nodes(&self) -> bool;

    /// Tells that a user, who may have only one session, has been bound at this time.
    fn bound(&self, user: &User, at: u64, seen: u64);

    /// Waits until the other process can read all that was sent so far, also when this one ends.
    fn flush(&self) -> BoxFuture<'static, ()>;
}
