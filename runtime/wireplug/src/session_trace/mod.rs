//! Traces of sessions, recordings of sessions as test vectors, and the last packets before a fault.
//!
//! A session that is watched has a [`Watch`] as the observer of its driver. A session that is not
//! watched pays one branch for each call of its codec, and one load in each turn. Nothing here
//! waits: a trace whose reader is slow loses records, and counts them.
//!
//! | file | its job |
//! |---|---|
//! | `hub` | the traces of a server, and which sessions they concern |
//! | `watch` | the observer of a session: hands each call to its taps, recordings and ring |
//! | `tap` | turns calls into the records of a trace |
//! | `record` | the form of a record |
//! | `mask` | hides fields of JSON |
//! | `recording` | writes a session as test vectors while it goes on |
//! | `ring` | the last packets of a session |
//! | `faults` | the faults of sessions, with their last packets |

mod faults;
mod hub;
mod mask;
mod record;
mod recording;
mod ring;
mod tap;
mod watch;

pub(crate) use self::faults::{Fault, Faults};
pub use self::faults::{FaultList, FaultSummary};
pub(crate) use self::hub::{AddressOf, NOT_RECORDED, Order, SessionTraces, Trace, TraceKind, TraceTarget};
pub(crate) use self::mask::Mask;
pub(crate) use self::record::close_record;
pub(crate) use self::recording::Recording;
pub(crate) use self::ring::Ring;
pub(crate) use self::tap::Tap;
pub(crate) use self::watch::{Beginning, Watch};
