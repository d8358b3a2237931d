//! Why a server did not start.

use wireplug_base::BoxError;

use crate::slot::SourceError;
use wireplug_connectors::CreateError;
use wireplug_wasm::{CacheError, EngineError};

/// Why a [`Server`](super::Server) did not start.
///
/// It displays what failed. The cause behind it, if there is one, is its
/// [`source`](std::error::Error::source).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The server has no listener.
    #[error("a server needs a listener: Server::listen(\"hybrid://127.0.0.1:3010\", …)")]
    NoListener,
    /// The URL of a listener gives no connector.
    #[error(transparent)]
    Connector(#[from] CreateError),
    /// The settings of a listener do not fit its connector, or it has no codec.
    #[error("{0}")]
    Listener(String),
    /// There is no room for the sandboxes.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The directory of compiled components cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Two codecs have one name.
    #[error("two codecs are named {0}: give one of them another name (CodecSource::named)")]
    SameName(String),
    /// A codec was not loaded.
    #[error(transparent)]
    Codec(#[from] SourceError),
    /// A codec does not fit its listener.
    #[error("{0}")]
    Fit(String),
    /// A connector cannot listen.
    #[error("cannot listen on {url}")]
    Listen {
        /// The URL of the listener.
        url: String,
        /// What the connector says.
        source: BoxError,
    },
    /// The settings of NATS cannot be used, or a file that they name.
    #[error(transparent)]
    Nats(BoxError),
    /// A load panicked. The log says how.
    #[error("loading failed; the log says how")]
    Panicked(#[source] BoxError),
}
