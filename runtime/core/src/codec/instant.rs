//! The time of a call.

#[cfg(feature = "component-model")]
use wasmtime::component::{ComponentType, Lower};

/// The time of a call: `instant` in `wit/codec.wit`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "component-model", derive(ComponentType, Lower))]
#[cfg_attr(feature = "component-model", component(record))]
pub struct Instant {
    /// Milliseconds since the session opened. This time never goes back. It stands still while the
    /// runtime holds back reading from the client.
    #[cfg_attr(feature = "component-model", component(name = "session-ms"))]
    pub session_ms: u64,
    /// Wall-clock time in milliseconds since 1970-01-01 UTC. It may jump.
    #[cfg_attr(feature = "component-model", component(name = "unix-ms"))]
    pub unix_ms: u64,
}

impl Instant {
    /// The wall-clock time when a session opens in test vectors and in other tools whose results
    /// must not depend on the day: 2000-01-01T00:00:00Z.
    const TEST_EPOCH_MS: u64 = 946_684_800_000;

    /// Returns the time of a call in a tool whose results must not depend on the day. The session
    /// opened at 2000-01-01T00:00:00Z.
    pub fn for_test(session_ms: u64) -> Self {
        Self { session_ms, unix_ms: Self::TEST_EPOCH_MS.saturating_add(session_ms) }
    }
}
