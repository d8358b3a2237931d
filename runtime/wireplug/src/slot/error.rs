//! Why a codec was not loaded, and why a slot was not changed.

use wireplug_base::BoxError;

use wireplug_wasm::LoadError;

/// Why a codec was not loaded from its source.
///
/// It displays which codec that is; its [`cause`](Self::cause) says why.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct SourceError {
    what: String,
    #[source]
    cause: SourceFault,
}

/// What is wrong with a source of a codec.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceFault {
    /// The file of the component cannot be read, is too large, or changed while it was read.
    #[error(transparent)]
    File(BoxError),
    /// The options are not a JSON object, or a secret among them cannot be read.
    #[error(transparent)]
    Options(BoxError),
    /// The component is not the one that the slot is pinned to.
    #[error("{0}")]
    Pin(String),
    /// Any user of the machine could have written the file.
    #[error("{0}")]
    Untrusted(String),
    /// The component is refused.
    #[error(transparent)]
    Component(LoadError),
    /// The codec does not answer as its test vectors say, or these cannot be read.
    #[error(transparent)]
    Vectors(BoxError),
    /// A codec override of the listener does not go with the codec.
    #[error(transparent)]
    Override(BoxError),
}

impl SourceError {
    pub(super) fn new(what: impl Into<String>, cause: SourceFault) -> Self {
        Self { what: what.into(), cause }
    }

    /// What is wrong with the source.
    pub fn cause(&self) -> &SourceFault {
        &self.cause
    }
}

/// Why a slot was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SwapError {
    /// The codec was not loaded.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The slot is pinned to another component since the codec was loaded.
    #[error("{0}")]
    Pin(String),
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
    /// The work panicked. The log says how.
    #[error("{what}")]
    Panicked {
        /// Which work.
        what: &'static str,
        /// The panic.
        source: BoxError,
    },
}

impl SwapError {
    pub(super) fn panicked(what: &'static str) -> impl FnOnce(tokio::task::JoinError) -> Self {
        move |error| Self::Panicked { what, source: error.into() }
    }
}
