//! The session: one client, from connect to close.
//!
//! [`Machine`] is its state machine, sans-I/O; [`Session`] is what the application holds; the outbox between
//! them is where messages wait for the codec.

mod broadcast;
mod close;
mod handle;
mod machine;
mod message;
mod outbox;
mod output;
mod recent;
mod table;
mod tally;
#[cfg(test)]
mod tests;

pub use close::CloseReason;
pub(crate) use handle::ShareClass;
pub use handle::{ClientInfo, SendError, Session, SessionId};
pub(crate) use machine::{Action, Machine, Wire};
pub use message::Message;
pub(crate) use outbox::Outbox;
pub(crate) use output::Output;
pub use table::Sessions;
pub(crate) use tally::Tally;
