//! Codecs: they turn packets into events, and messages into packets.
//!
//! A component is named by a [`CodecSource`](crate::CodecSource). A native codec implements
//! [`Codec`] and [`CodecSession`] of the crate `wireplug-core`, or replaces one direction of
//! another codec by [overrides](wireplug_core::codec::overrides). How components are compiled is in
//! the crate `wireplug-wasm`.

mod native_pomelo;
mod options;
pub(crate) mod shadow;
#[cfg(test)]
mod tests;

pub use native_pomelo::NativePomelo;
pub use options::Options;
pub use shadow::{Compared, Difference};
pub(crate) use wireplug_core::codec::{
    Abilities, Carrier, Cause, Codec, CodecError, CodecSession, CpuAccount, CpuTime, Description, Encoded,
    Event, EventHead, Events, Frames, Instant, Kind, Level, MessageRef, Messages, Next, Peer, Reason,
    Refusal, ResolvedOptions, Role, SavedStates, Secrets, Sharing, Violation,
};
pub use wireplug_core::codec::{BadDigest, CpuStatus, Digest};
