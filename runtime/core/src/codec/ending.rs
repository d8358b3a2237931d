//! How and why a session ends.

#[cfg(feature = "component-model")]
use wasmtime::component::{ComponentType, Lower};

/// Why the runtime ends a connection: `cause` of the interface `farewell` in `wit/codec.wit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "component-model", derive(ComponentType, Lower))]
#[cfg_attr(feature = "component-model", component(enum))]
#[repr(u8)]
pub enum Cause {
    /// The application threw the client out.
    #[cfg_attr(feature = "component-model", component(name = "kicked"))]
    Kicked,
    /// The user has a newer session.
    #[cfg_attr(feature = "component-model", component(name = "displaced"))]
    Displaced,
    /// The codec was swapped, and this session did not move.
    #[cfg_attr(feature = "component-model", component(name = "replaced"))]
    Replaced,
    /// The server stops or drains.
    #[cfg_attr(feature = "component-model", component(name = "shutdown"))]
    Shutdown,
}

impl Cause {
    /// All causes, in the order of the contract.
    pub const ALL: [Cause; 4] = [Cause::Kicked, Cause::Displaced, Cause::Replaced, Cause::Shutdown];

    /// Returns the name of the cause, as in `wit/codec.wit`.
    pub fn name(self) -> &'static str {
        match self {
            Cause::Kicked => "kicked",
            Cause::Displaced => "displaced",
            Cause::Replaced => "replaced",
            Cause::Shutdown => "shutdown",
        }
    }

    /// Returns the cause with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.name() == name)
    }
}

/// Returns whether a codec may end a session with this close code. 0 leaves the choice to the
/// runtime. The other codes are those that an endpoint may send (RFC 6455, section 7.4, and the
/// codes 1012 to 1014 that were registered later).
pub(crate) fn is_close_code(code: u64) -> bool {
    matches!(code, 0 | 1000..=1003 | 1007..=1014 | 3000..=4999)
}
