//! The socket on which the control API listens.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

use super::ControlError;
use super::folder::RuntimeFolder;
use super::peer::Peer;
use crate::config::{ControlAddress, ControlConfig};
use wireplug_connectors::listening::{BoundSocket, DeadPeers, bind_tcp};

/// The socket's mode if only root and the server's user may connect.
const OWN_MODE: u32 = 0o600;

/// The socket's mode if other users may connect too. Each connection is then authorized by its
/// user.
const SHARED_MODE: u32 = 0o666;

/// When a connection over TCP ends if its peer is gone. A peer that is only silent is subject to
/// the deadlines of requests.
const DEAD_PEERS: DeadPeers =
    DeadPeers { unacknowledged: Duration::from_secs(10), idle: Duration::from_secs(60) };

/// A connection, over TCP or a Unix socket.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A bound socket.
pub(super) enum Listener {
    Tcp(TcpListener, SocketAddr),
    Unix(BoundSocket, PathBuf),
}

impl Listener {
    /// Binds the address of a configuration, or the default socket.
    pub(super) async fn bind(config: &ControlConfig) -> Result<Self, ControlError> {
        match &config.listen {
            Some(ControlAddress::Http(address)) => {
                let cannot = |error: io::Error| ControlError::Listen {
                    address: format!("http://{address}"),
                    source: error.into(),
                };
                let listener = bind_tcp(*address).map_err(cannot)?;
                let bound = listener.local_addr().map_err(cannot)?;
                Ok(Self::Tcp(listener, bound))
            }
            Some(ControlAddress::Unix(path)) => Self::bind_unix(path.clone(), config).await,
            None => {
                let folder = RuntimeFolder::create().map_err(|source| ControlError::Folder {
                    what: "the control API has no folder for its socket: name one, as unix:///PATH",
                    source,
                })?;
                Self::bind_unix(folder.socket(), config).await
            }
        }
    }

    async fn bind_unix(path: PathBuf, config: &ControlConfig) -> Result<Self, ControlError> {
        let mode = if config.allow.is_empty() { OWN_MODE } else { SHARED_MODE };
        let socket = BoundSocket::bind(&path, mode).await.map_err(|error| ControlError::Listen {
            address: format!(
                "unix://{} (each server on this machine needs a path of its own: --control unix:///PATH, or `listen` of \
                 [control])",
                path.display()
            ),
            source: error.into(),
        })?;
        Ok(Self::Unix(socket, path))
    }

    /// Returns the address, with the port that was actually bound.
    pub(super) fn address(&self) -> ControlAddress {
        match self {
            Self::Tcp(_, address) => ControlAddress::Http(*address),
            Self::Unix(_, path) => ControlAddress::Unix(path.clone()),
        }
    }

    pub(super) async fn accept(&self) -> io::Result<(Box<dyn Stream>, Peer)> {
        match self {
            Self::Tcp(listener, _) => {
                let (stream, peer) = listener.accept().await?;
                DEAD_PEERS.watch(&stream);
                Ok((Box::new(stream), Peer::Address(peer)))
            }
            Self::Unix(socket, _) => loop {
                let stream = socket.accept().await?;
                // A client that is gone already may have no user any more.
                if let Ok(user) = stream.peer_cred() {
                    return Ok((Box::new(stream), Peer::User { uid: user.uid() }));
                }
            },
        }
    }
}
