//! Why a component was not loaded, and why an engine or a cache was not opened.

use std::io;

use wireplug_base::BoxError;
use wireplug_core::codec::{CodecError, Reason};

use super::CompileError;

/// Why a component was not loaded.
///
/// Each variant displays what is wrong and, where its author can change that, what to do. The cause
/// behind it, if there is one, is its [`source`](std::error::Error::source).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The bytes are not a component, but machine code, a core module, or something else.
    #[error("{0}")]
    NotAComponent(&'static str),
    /// The component is over one of the bounds in
    /// [`ComponentBounds`](crate::config::ComponentBounds).
    #[error(
        "it is over a bound: {found} {what} were counted, and {limit} are allowed. Make it smaller; or, if you \
         know where it comes from, raise `{key}` under [compile.bounds]"
    )]
    Bound {
        /// The key of the bound under `[compile.bounds]`.
        key: &'static str,
        /// What the bound counts.
        what: &'static str,
        /// How many were counted until the limit was passed.
        found: u64,
        /// How many are allowed.
        limit: u64,
    },
    /// The component does not compile.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The compiled code cannot be used, or cannot be linked.
    #[error("{0}")]
    Unusable(String),
    /// No pool has room for a sandbox of the component, or its codec no memory for the code.
    #[error("{0}")]
    NoRoom(String),
    /// The component imports what a codec may not import.
    #[error("{0}")]
    Imports(String),
    /// The component does not export what the contract asks for.
    #[error("{0}")]
    Exports(String),
    /// The component does not describe itself, or describes itself wrongly.
    #[error("it does not describe itself")]
    Description(#[source] BoxError),
    /// The component refuses its options.
    #[error("it refuses its options: {0}")]
    Options(Reason),
    /// No sandbox of the component can be made, or the call that sets its options fails.
    #[error("it cannot take its options")]
    Configure(#[source] CodecError),
}

impl LoadError {
    /// The component is not valid, or not one that this runtime takes.
    pub(super) fn refused(why: impl Into<String>) -> Self {
        Self::Compile(CompileError::Refused(why.into()))
    }

    /// No sandbox could be made of a component with its options.
    pub(super) fn not_configured(error: CodecError) -> Self {
        match error {
            CodecError::Refused(reason) => Self::Options(reason),
            error => Self::Configure(error),
        }
    }
}

/// Why an engine was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The system has no address space for so many sandboxes.
    #[error("{what}")]
    NoRoom {
        /// Which sandboxes have no room, and what to do.
        what: String,
        /// What the system says.
        source: BoxError,
    },
    /// The system does not give what the clock of the engine needs.
    #[error("{what}")]
    System {
        /// What is missing.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

/// Why a [`Cache`](super::Cache) was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The directory cannot be made, opened or looked at.
    #[error("{what}")]
    Io {
        /// What cannot be done.
        what: String,
        /// What the system says.
        source: io::Error,
    },
    /// Somebody else could put machine code into the directory: it is a symbolic link, belongs to
    /// another user, or is open to others.
    #[error("{0}")]
    Unsafe(String),
}
