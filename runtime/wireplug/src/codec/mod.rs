//! Codecs: they turn packets into events, and messages into packets.
//!
//! A component is named by a [`CodecSource`](crate::CodecSource). A native codec implements
//! [`Codec`] and [`CodecSession`] of the crate `wireplug-core`; [`native`] has the native overrides
//! of one direction of a codec.

pub mod native;
mod options;
pub(crate) mod shadow;
#[cfg(test)]
mod tests;

pub use options::Options;
pub use shadow::{Compared, Difference};
pub(crate) use wireplug_core::codec::{
    Abilities, Carrier, Cause, Codec, CodecError, CodecSession, CpuAccount, CpuTime, Description, Encoded,
    Event, EventHead, Events, Frames, Instant, Kind, Level, MessageRef, Messages, Next, Peer, Reason,
    Refusal, ResolvedOptions, Role, Secrets, Sharing, Violation,
};
pub use wireplug_core::codec::{BadDigest, CpuStatus, Digest};
pub use wireplug_wasm::{
    Cache, CacheError, CompileError, CompileObserver, Compiler, Compiling, EngineError, LoadError,
    WorkerProgram, run_worker,
};
