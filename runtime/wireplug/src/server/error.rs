//! Why a server did not start.

use wireplug_base::BoxError;
use wireplug_base::units::size_text;

use crate::slot::SourceError;
use wireplug_connectors::CreateError;
use wireplug_wasm::{CacheError, EngineError};

/// Why a [`Server`](super::Server) did not start.
///
/// Its text says what failed. Its [`source`](std::error::Error::source) is the cause, if there is
/// one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The server has no listener.
    #[error("a server needs a listener: Server::listen(\"hybrid://127.0.0.1:3010\", …)")]
    NoListener,
    /// No connector can be created from the URL of a listener.
    #[error(transparent)]
    Connector(#[from] CreateError),
    /// The settings of a listener do not fit its connector, or it has no codec.
    #[error("{0}")]
    Listener(String),
    /// The engine cannot be created, for example because there is no address space for the
    /// sandboxes.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The directory of compiled components cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Two codecs have the same name.
    #[error("two codecs are named {0}: give one of them another name (CodecSource::named)")]
    SameName(String),
    /// A codec could not be loaded.
    #[error(transparent)]
    Codec(#[from] SourceError),
    /// A codec that a reload adds may take more memory than the server has reserved.
    #[error(
        "the codec {codec} has a larger `limits.memory` than any codec had at the start: set at most {}, or restart",
        size_text(*.most)
    )]
    Memory {
        /// The name of the codec.
        codec: String,
        /// The memory that a sandbox may take, in bytes.
        most: usize,
    },
    /// Reloads have added more codecs than there are sandboxes for.
    #[error("there are sandboxes for {most} codecs until the next start: take one out, or restart")]
    TooManyCodecs {
        /// The largest number of codecs.
        most: usize,
    },
    /// A codec does not fit its listener.
    #[error("{0}")]
    Fit(String),
    /// A connector cannot listen.
    #[error("cannot listen on {url}")]
    Listen {
        /// The URL of the listener.
        url: String,
        /// The connector's error.
        source: BoxError,
    },
    /// The service manager has opened a socket for which there is no listener.
    #[error(
        "the service manager has opened {address}, and no listener is at this address: add one, or take the address \
             out of the unit of the socket"
    )]
    UnwantedSocket {
        /// The address of the socket.
        address: String,
    },
    /// The settings of NATS, or a file that they name, cannot be used.
    #[error(transparent)]
    Nats(BoxError),
    /// A service cannot be reached as it is configured.
    #[error("the service {name}")]
    Service {
        /// The name of the service.
        name: String,
        /// Why not.
        source: BoxError,
    },
    /// Loading a codec panicked. The log has the message of the panic.
    #[error("loading failed; the log says how")]
    Panicked(#[source] BoxError),
}
