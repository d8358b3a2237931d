//! The status of a server: its counts and metrics, the compilations of its codecs, its
//! certificates, and the other nodes that serve together with it. [`slot`](crate::slot) has the
//! status of each codec.

#[cfg(feature = "metrics")]
pub use crate::server::MetricsFormat;
pub use crate::server::{AwakeStatus, CertificateStatus, NatsStatus, NodeStatus, Nodes, TokenStatus};
#[cfg(feature = "control")]
pub use crate::server::{SessionDetails, SessionLimits, SessionPage, SessionStatus, SessionSummary};
pub use crate::session_trace::{FaultList, FaultSummary};
pub use crate::stats::Stats;
pub use wireplug_base::{LostLines, count_unwritten_line};
pub use wireplug_wasm::{CompileJob, CompileState};
