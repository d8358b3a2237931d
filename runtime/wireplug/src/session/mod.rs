//! The session: one client, from connect to close.
//!
//! `Machine` is the session's state machine, sans-I/O; [`Session`] is the application's handle.
//! Neither knows the other: between them is the `Outbox`, where messages wait for the codec.

mod acks;
mod audience;
mod broadcast;
mod close;
mod command;
mod event;
mod fan_out;
#[cfg(fuzzing)]
pub mod fuzzing;
mod handle;
mod machine;
mod message;
mod name;
mod open_requests;
mod outbox;
mod output;
mod queue;
mod recent;
mod relay;
mod request;
mod table;
mod tally;
#[cfg(test)]
mod tests;
mod vitals;

pub use audience::Audience;
pub(crate) use broadcast::BroadcastClass;
pub use close::CloseReason;
pub(crate) use command::RemoteSessions;
pub(crate) use command::{Command, Target};
pub use event::SessionEvent;
pub(crate) use event::{Hook, SessionObserver};
pub use handle::{ClientInfo, SendError, Session, SessionError, SessionId};
pub(crate) use handle::{Leaving, SavedProfile};
pub(crate) use machine::{Action, Machine, Resumed, SavedMachine, Wire};
pub use message::Message;
pub use name::{Group, NameError, User};
pub(crate) use open_requests::Matched;
pub(crate) use outbox::{Outbox, OutboxLimits, SavedOutbox};
pub(crate) use output::{Outgoing, Output};
pub(crate) use relay::{Directed, Relay, Residence};
#[cfg(any(feature = "control", feature = "nats"))]
pub(crate) use request::ResponseWait;
pub use request::{ClientRequest, ClientResponse, RequestError};
pub use table::Sessions;
pub(crate) use tally::Tally;
pub(crate) use vitals::{Origin, SavedVitals, VitalCounts, Vitals};
