//! The reasons why a codec was not loaded, or a slot was not changed.

use wireplug_base::BoxError;

use wireplug_wasm::{CompileError, LoadError};

/// The reason why a codec was not loaded from its source.
///
/// The error displays which codec that is. Its [`cause`](Self::cause) says what is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct SourceError {
    what: String,
    #[source]
    cause: SourceFault,
}

/// The cause of a [`SourceError`]: what is wrong with the source of a codec.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceFault {
    /// The file of the component cannot be read, is too large, or changed while it was read.
    #[error(transparent)]
    File(BoxError),
    /// The component cannot be fetched: its registry or NATS does not answer, refuses, or answers
    /// with something else. The same may succeed later.
    #[error(transparent)]
    Fetch(BoxError),
    /// The options are not a JSON object, or a secret among them cannot be read.
    #[error(transparent)]
    Options(BoxError),
    /// The slot is pinned to another component.
    #[error("{0}")]
    Pin(String),
    /// Any user of the machine could have written the file.
    #[error("{0}")]
    Untrusted(String),
    /// No trusted key has signed the component.
    #[error("{0}")]
    Unsigned(String),
    /// The component is refused.
    #[error(transparent)]
    Component(LoadError),
    /// The codec does not answer as its test vectors say, or the vectors cannot be read.
    #[error(transparent)]
    Vectors(BoxError),
    /// A codec override of the listener cannot be used with the codec.
    #[error(transparent)]
    Override(BoxError),
}

impl SourceError {
    pub(super) fn new(what: impl Into<String>, cause: SourceFault) -> Self {
        Self { what: what.into(), cause }
    }

    /// Returns what is wrong with the source.
    pub fn cause(&self) -> &SourceFault {
        &self.cause
    }
}

/// The reason why a slot was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SwapError {
    /// The codec was not loaded.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// After the codec was loaded, the slot was pinned to another component.
    #[error("{0}")]
    Pin(String),
    /// After the codec was loaded, the keys that had signed it were taken out of the trusted ones.
    #[error("{0}")]
    Unsigned(String),
    /// The codec does not fit a listener of the slot.
    #[error("{0}")]
    Fit(String),
    /// The state of the slot does not allow the change: for example, no candidate is on trial, or
    /// the component was rolled back before.
    #[error("{0}")]
    Conflict(String),
    /// A change that was requested later was made first. The same change may succeed if it is
    /// requested again.
    #[error("a later change of this codec overtook it while it loaded: try again if it is still wanted")]
    Overtaken,
    /// The share of the sessions is not more than 0 and at most 1.
    #[error("the share is more than 0 and at most 1, and not {0}")]
    Share(f64),
    /// The work panicked. The log has the message of the panic.
    #[error("{what}")]
    Panicked {
        /// The work that panicked.
        what: &'static str,
        /// The panic.
        source: BoxError,
    },
}

impl SwapError {
    /// Returns whether the component could not be fetched.
    pub(crate) fn is_of_fetching(&self) -> bool {
        matches!(self, Self::Source(source) if matches!(source.cause(), SourceFault::Fetch(_)))
    }

    /// Returns whether the same change may succeed at another time, although nothing about the slot
    /// and the component has changed.
    pub(crate) fn is_passing(&self) -> bool {
        use CompileError::{QueueFull, Stopped};
        match self {
            Self::Overtaken => true,
            Self::Source(source) => matches!(
                source.cause(),
                SourceFault::Fetch(_) | SourceFault::Component(LoadError::Compile(QueueFull(_) | Stopped))
            ),
            _ => false,
        }
    }

    pub(super) fn panicked(what: &'static str) -> impl FnOnce(tokio::task::JoinError) -> Self {
        move |error| Self::Panicked { what, source: error.into() }
    }
}
