//! What a server tells of itself: its counts, its codecs' compilations, its certificates, and the
//! servers that act as one with it. [`slot`](crate::slot) has the status of each codec.

pub use crate::server::{CertificateStatus, NatsStatus, NodeStatus, Nodes};
pub use crate::stats::Stats;
pub use wireplug_wasm::{CompileJob, CompileState};
