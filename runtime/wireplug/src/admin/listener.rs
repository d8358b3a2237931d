//! The socket on which the control API listens.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::TcpListener;
use wireplug_base::BoxError;

use super::ControlError;
use super::folder::RuntimeFolder;
use super::peer::Peer;
use crate::config::{ControlAddress, ControlConfig};
use crate::server::{InheritedSocket, InheritedSockets};
use wireplug_connectors::ByteStream;
use wireplug_connectors::listening::{BoundSocket, DeadPeers, bind_tcp, inherit_tcp, is_tcp_at};

/// The socket's mode if only root and the server's user may connect.
const OWN_MODE: u32 = 0o600;

/// The socket's mode if other users may connect too. Each connection is then authorized by its
/// user.
const SHARED_MODE: u32 = 0o666;

/// When a connection over TCP ends if its peer is gone. A peer that is only silent is subject to
/// the deadlines of requests.
const DEAD_PEERS: DeadPeers =
    DeadPeers { unacknowledged: Duration::from_secs(10), idle: Duration::from_secs(60) };

/// A bound socket.
pub(super) struct Listener {
    socket: BoundTo,
    /// The name of the socket for another process.
    key: String,
    /// Whether another process of this server had the socket before.
    pub(super) moved: bool,
    /// Whether the service manager has the socket all the time.
    stays: bool,
}

enum BoundTo {
    /// With the address that was actually bound.
    Tcp(TcpListener, ControlAddress),
    Unix(BoundSocket, PathBuf),
}

impl Listener {
    /// Binds the address of a configuration, or the default socket, unless another process has
    /// bound it.
    pub(super) async fn bind(
        config: &ControlConfig,
        inherited: &mut InheritedSockets,
    ) -> Result<Self, ControlError> {
        match &config.listen {
            Some(listen @ (ControlAddress::Http(address) | ControlAddress::Https(address))) => {
                let key = key(listen);
                let socket = inherited.take(&key, |socket| is_tcp_at(socket, &(*address).into()));
                let moved = socket.as_ref().is_some_and(|socket| socket.key.is_some());
                let stays = socket.as_ref().is_some_and(|socket| socket.stays);
                let bind = || {
                    let listener = match socket.and_then(InheritedSocket::first) {
                        Some(socket) => inherit_tcp(socket)?,
                        None => bind_tcp(*address)?,
                    };
                    let bound = listener.local_addr()?;
                    let bound = match listen {
                        ControlAddress::Https(_) => ControlAddress::Https(bound),
                        _ => ControlAddress::Http(bound),
                    };
                    Ok(Self { socket: BoundTo::Tcp(listener, bound), key, moved, stays })
                };
                bind().map_err(|error: io::Error| ControlError::Listen {
                    address: listen.to_string(),
                    source: error.into(),
                })
            }
            Some(ControlAddress::Unix(path)) => Self::bind_unix(path.clone(), config, inherited).await,
            None => {
                let folder = RuntimeFolder::create().map_err(|source| ControlError::Folder {
                    what: "the control API has no folder for its socket: name one, as unix:///PATH",
                    source,
                })?;
                Self::bind_unix(folder.socket(), config, inherited).await
            }
        }
    }

    async fn bind_unix(
        path: PathBuf,
        config: &ControlConfig,
        inherited: &mut InheritedSockets,
    ) -> Result<Self, ControlError> {
        let mode = if config.allow.is_empty() { OWN_MODE } else { SHARED_MODE };
        let key = key(&ControlAddress::Unix(path.clone()));
        let cannot = |source: BoxError| ControlError::Listen {
            address: format!(
                "unix://{} (each server on this machine needs a path of its own: --control unix:///PATH, or `listen` of \
                 [control])",
                path.display()
            ),
            source,
        };
        let Some(given) = inherited.take(&key, |socket| BoundSocket::is_at(socket, &path)) else {
            let socket = BoundSocket::bind(&path, mode).await.map_err(|error| cannot(error.into()))?;
            return Ok(Self { socket: BoundTo::Unix(socket, path), key, moved: false, stays: false });
        };
        let (moved, stays) = (given.key.is_some(), given.stays);
        let take_over = || {
            let descriptor = given.first().ok_or(io::ErrorKind::NotConnected)?;
            let mut socket = BoundSocket::inherit(&path, descriptor)?;
            if stays {
                // Its file and the mode of the file are those of the service manager.
                socket.keep_file();
            } else {
                fs::set_permissions(&path, Permissions::from_mode(mode))?;
            }
            Ok(socket)
        };
        let socket = take_over().map_err(|error: io::Error| cannot(error.into()))?;
        Ok(Self { socket: BoundTo::Unix(socket, path), key, moved, stays })
    }

    /// Returns a duplicate of the socket, for another process.
    pub(super) fn duplicate(&self) -> io::Result<InheritedSocket> {
        let duplicate = match &self.socket {
            BoundTo::Tcp(listener, _) => listener.as_fd().try_clone_to_owned()?,
            BoundTo::Unix(socket, _) => socket.duplicate()?,
        };
        let stays = self.stays;
        Ok(InheritedSocket { stays, ..InheritedSocket::of_process(&*self.key, vec![duplicate]) })
    }

    /// Stops listening here, and leaves the address to the process that has the duplicate.
    pub(super) fn leave(self) {
        if let BoundTo::Unix(socket, _) = self.socket {
            socket.leave();
        }
    }

    /// Returns the address, with the port that was actually bound.
    pub(super) fn address(&self) -> ControlAddress {
        match &self.socket {
            BoundTo::Tcp(_, address) => address.clone(),
            BoundTo::Unix(_, path) => ControlAddress::Unix(path.clone()),
        }
    }

    pub(super) async fn accept(&self) -> io::Result<(Box<dyn ByteStream>, Peer)> {
        match &self.socket {
            BoundTo::Tcp(listener, _) => {
                let (stream, peer) = listener.accept().await?;
                DEAD_PEERS.watch(&stream);
                Ok((Box::new(stream), Peer::Address(peer)))
            }
            BoundTo::Unix(socket, _) => loop {
                let stream = socket.accept().await?;
                // A client that is gone already may have no user any more.
                if let Ok(user) = stream.peer_cred() {
                    return Ok((Box::new(stream), Peer::User { uid: user.uid() }));
                }
            },
        }
    }
}

/// Returns the name of a socket for another process. Another address in the configuration of that
/// process has another name, and is bound.
fn key(address: &ControlAddress) -> String {
    format!("control {address}")
}
