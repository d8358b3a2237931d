//! Why a component was not loaded, and why an engine or a cache was not opened.

use std::io;

use wireplug_base::BoxError;
use wireplug_core::codec::{CodecError, Reason};

use super::CompileError;

/// Why a component was not loaded.
///
/// Each variant displays what is wrong, and what the author can do about it if that is possible.
/// The cause, if there is one, is the [`source`](std::error::Error::source).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The bytes are not a component. They are machine code, a core module, or something else.
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
        /// The number of items that were counted when the limit was passed.
        found: u64,
        /// The largest number that is allowed.
        limit: u64,
    },
    /// The component does not compile.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The compiled code cannot be used, or cannot be linked.
    #[error("{0}")]
    Unusable(String),
    /// No pool has room for a sandbox of the component, or its codec has no memory left for the
    /// code.
    #[error("{0}")]
    NoRoom(String),
    /// The component imports something that a codec may not import.
    #[error("{0}")]
    Imports(String),
    /// The component does not export what the contract requires.
    #[error("{0}")]
    Exports(String),
    /// The component does not describe itself, or describes itself wrongly.
    #[error("it does not describe itself")]
    Description(#[source] BoxError),
    /// The component refuses its options.
    #[error("it refuses its options: {0}")]
    Options(Reason),
    /// No sandbox of the component can be made, or the call that sets its options failed.
    #[error("it cannot take its options")]
    Configure(#[source] CodecError),
}

impl LoadError {
    /// Creates the error for a component that is not valid, or that uses a feature that this
    /// runtime does not support.
    pub(super) fn refused(why: impl Into<String>) -> Self {
        Self::Compile(CompileError::Refused(why.into()))
    }

    /// Creates the error for a component of which no sandbox with its options could be made.
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
    /// The system has not enough address space for this number of sandboxes.
    #[error("{what}")]
    NoRoom {
        /// Which sandboxes have no room, and how to fix that.
        what: String,
        /// The error of the system.
        source: BoxError,
    },
    /// The system does not provide something that the clock of the engine needs.
    #[error("{what}")]
    System {
        /// What is missing.
        what: &'static str,
        /// The error of the system.
        source: io::Error,
    },
}

/// Why a [`Cache`](super::Cache) was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The directory cannot be created, opened or examined.
    #[error("{what}")]
    Io {
        /// What failed.
        what: String,
        /// The error of the system.
        source: io::Error,
    },
    /// Another user could put machine code into the directory: it is a symbolic link, belongs to
    /// another user, or is open to others.
    #[error("{0}")]
    Unsafe(String),
}
