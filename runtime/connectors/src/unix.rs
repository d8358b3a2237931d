//! Unix domain sockets: streams between processes of one machine. Whom they let in is the file system's
//! matter: there are no addresses that lists of networks could hold, but the client's user is known.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use socket2::{Domain, SockAddr, Socket as RawSocket, Type};
use tokio::net::unix::UCred;
use tokio::net::{UnixListener, UnixStream};

use super::path::PathOptions;
use super::{Connector, Incoming, ListenOptions, Opened, Protocol, Socket, SocketKinds};

/// Connections that the kernel holds until they are accepted; it may have a lower limit of its own.
const BACKLOG: i32 = 1024;

/// A Unix domain socket: `unix:///PATH`.
///
/// A socket file that nobody listens at any more is replaced; its own is removed when it stops.
pub struct Unix {
    path: PathBuf,
    options: PathOptions,
    listening: Option<BoundSocket>,
}

/// A Unix domain socket that listens. Its file is removed when it is dropped.
pub struct BoundSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the socket's file, to tell it from another that has taken its place.
    file: (u64, u64),
}

impl BoundSocket {
    /// Listens at a path with a mode, in the place of the file of a server that is gone.
    ///
    /// # Errors
    /// Returns an error if a server listens there, the file is no socket, or the system refuses to bind it.
    pub async fn bind(path: &Path, mode: u32) -> anyhow::Result<Self> {
        remove_stale(path).await?;
        let listener = bind(path, mode)?;
        let file = identity(path).context("its file cannot be looked at")?;
        Ok(Self { listener, path: path.to_owned(), file })
    }

    /// Returns the next client.
    ///
    /// # Errors
    /// Returns the system's error.
    pub async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

impl Drop for BoundSocket {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|there| there == self.file) {
            // Whoever removed it meanwhile has done what was to be done.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Unix {
    /// Will listen at a path.
    pub fn new(path: impl Into<PathBuf>, options: PathOptions) -> Self {
        Self { path: path.into(), options, listening: None }
    }
}

impl Connector for Unix {
    fn url(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    fn kinds(&self) -> SocketKinds {
        Protocol::Stream.kinds()
    }

    fn start<'a>(&'a mut self, _: &'a ListenOptions) -> BoxFuture<'a, anyhow::Result<()>> {
        async {
            self.listening = Some(BoundSocket::bind(&self.path, self.options.mode).await?);
            Ok(())
        }
        .boxed()
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        async {
            let socket = self.listening.as_ref().ok_or(io::ErrorKind::NotConnected)?;
            let stream = socket.accept().await?;
            let open = async { open(stream) }.boxed();
            Ok(Incoming { address: String::new(), behind_proxy: false, open })
        }
        .boxed()
    }

    fn stop(&mut self) {
        self.listening = None;
    }
}

/// Removes the file of a server that is gone. Where one listens, or it is something else, that is an error.
async fn remove_stale(path: &Path) -> anyhow::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    ensure!(
        found.file_type().is_socket(),
        "there is a file that is no socket: remove it, or listen elsewhere"
    );
    match UnixStream::connect(path).await {
        Ok(server) => match server.peer_cred().ok().and_then(|server| server.pid()) {
            Some(pid) => bail!("another server listens there, process {pid}"),
            None => bail!("another server listens there"),
        },
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).context("the socket of a server that is gone cannot be removed")
        }
        Err(error) => Err(error).context("there is a socket, and whether a server listens cannot be seen"),
    }
}

/// Nobody can connect before the mode is set: only then the socket listens.
fn bind(path: &Path, mode: u32) -> anyhow::Result<UnixListener> {
    let socket = RawSocket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let listen = || {
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)
    };
    if let Err(error) = listen() {
        let _ = fs::remove_file(path);
        return Err(error.into());
    }
    Ok(UnixListener::from_std(socket.into())?)
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

fn open(stream: UnixStream) -> io::Result<Opened> {
    let attributes = attributes(&stream.peer_cred()?);
    let socket = Socket::Stream(Box::new(stream));
    Ok(Opened { transport: "unix", client: None, attributes, meter: None, socket })
}

/// Who a client is, as the kernel saw it at connect.
pub(super) fn attributes(client: &UCred) -> Vec<(String, String)> {
    let number = |name: &str, value: String| (name.to_owned(), value);
    let mut attributes =
        vec![number("uid", client.uid().to_string()), number("gid", client.gid().to_string())];
    attributes.extend(client.pid().map(|pid| number("pid", pid.to_string())));
    attributes
}
