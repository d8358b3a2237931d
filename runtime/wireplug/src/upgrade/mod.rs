//! The upgrade of a server under its live sessions: they go on in a new process, and no client
//! notices.
//!
//! [`RunningServer::upgrade`] starts the new process, with one end of a pair of sockets as its
//! standard input. The new process finds there what it takes over ([`Takeover`]), and gives it to
//! its server ([`Server::taking_over`]).
//!
//! The listening sockets come first, so that the new server binds nothing. When it is ready, the
//! old one stops accepting clients, and its sessions leave one after the other, each when it is
//! quiet. The connection of a session that has left is frozen until the new process serves the
//! session. So a session goes on in the old process if the new one dies or does not take it.
//!
//! [`RunningServer::upgrade`]: crate::RunningServer::upgrade
//! [`Server::taking_over`]: crate::Server::taking_over
//!
//! | file | its job |
//! |---|---|
//! | `link` | the socket between the processes |
//! | `queue` | what waits to be sent through it |
//! | `message` | what they say to each other |
//! | `saved` | a session on its way |
//! | `outgoing` | the old process's side: the order of frames, and the sessions that leave |
//! | `starting`, `giving` | the old process: until the new one is ready, and from then to the last session |
//! | `taking` | the new process |
//! | `report` | what an upgrade has done, and why one was not made |

#[cfg(test)]
mod format;
mod giving;
mod link;
mod message;
mod outgoing;
mod queue;
mod report;
mod saved;
mod starting;
mod taking;
#[cfg(test)]
mod tests;

pub(crate) use self::giving::give;
pub(crate) use self::message::SavedCodec;
pub(crate) use self::outgoing::{LeaveTicket, MoveOrder};
pub use self::report::{Upgrade, UpgradeError, UpgradeReport, Upgrader};
pub(crate) use self::saved::SavedSession;
pub use self::taking::Takeover;
pub(crate) use self::taking::{Answers, Begun, connect};
