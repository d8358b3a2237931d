//! Why the control API does not listen, and why the folder of a user cannot be used.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use wireplug_base::BoxError;

/// Why the control API does not listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// A key of the configuration has no effect beside `listen`.
    #[error("`{key}` of [control]: {why}")]
    Key {
        /// The key.
        key: &'static str,
        /// Why the key has no effect.
        why: &'static str,
    },
    /// A file of tokens cannot be read or written, can be read by other users, or has invalid
    /// content.
    #[error(transparent)]
    Tokens(BoxError),
    /// A file of TLS cannot be read or used.
    #[error(transparent)]
    Tls(BoxError),
    /// The audit log cannot be opened.
    #[error(transparent)]
    AuditLog(BoxError),
    /// There is no folder for the socket or for a generated token.
    #[error("{what}")]
    Folder {
        /// What needs a folder, and what to do.
        what: &'static str,
        /// Why there is no folder.
        source: FolderError,
    },
    /// The port for health checks cannot be bound.
    #[error("health checks cannot be answered on {address}")]
    Health {
        /// The address.
        address: SocketAddr,
        /// Why it cannot be bound.
        source: io::Error,
    },
    /// The address cannot be bound.
    #[error("the control API cannot listen on {address}")]
    Listen {
        /// The address, and what to do.
        address: String,
        /// Why it cannot be bound.
        source: BoxError,
    },
}

/// Why the [`RuntimeFolder`](super::RuntimeFolder) cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The folder cannot be created.
    #[error("cannot create the folder {}", path.display())]
    Create {
        /// The folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The folder is a link or a file, belongs to another user, or can be entered by others.
    #[error("the folder {} cannot be trusted", path.display())]
    Untrusted {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        source: BoxError,
    },
}
