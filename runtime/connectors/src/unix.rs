//! Unix domain sockets: streams between processes of one machine. The permissions of the socket's
//! file decide who may connect. Clients have no addresses, so lists of networks do not apply to
//! them, but the kernel reports the user of each client.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use socket2::{Domain, SockAddr, Socket as RawSocket, Type};
use tokio::net::unix::UCred;
use tokio::net::{UnixListener, UnixStream};

use super::path::PathOptions;
use super::{
    BoxError, Connector, HandedSocket, Incoming, ListenOptions, Opened, Protocol, Socket, SocketKinds,
    inherited,
};

/// The largest number of connections that the kernel queues until they are accepted. The kernel may
/// have a lower limit of its own.
const BACKLOG: i32 = 1024;

/// The connector for a Unix domain socket: `unix:///PATH`.
///
/// It replaces a socket file at which no server listens any more, and removes its own file when it
/// stops.
pub struct Unix {
    path: PathBuf,
    options: PathOptions,
    listening: Option<BoundSocket>,
}

/// A Unix domain socket that listens. Dropping it removes its file.
pub struct BoundSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the socket's file, to distinguish it from another file that has taken
    /// its place. Empty as long as the file is another process's to remove.
    file: OnceLock<(u64, u64)>,
    /// Whether the file always is another process's to remove.
    keeps_file: bool,
}

/// The reason why a Unix domain socket could not be bound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Another server listens at the path.
    #[error("another server listens there{}", .pid.map(|pid| format!(", process {pid}")).unwrap_or_default())]
    InUse {
        /// The process id of that server, if the system knows it.
        pid: Option<i32>,
    },
    /// The path names a file that is not a socket.
    #[error("there is a file that is no socket: remove it, or listen elsewhere")]
    NotASocket,
    /// The file of the socket cannot be inspected or removed.
    #[error("{what}")]
    File {
        /// What failed.
        what: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The system refuses to bind the socket.
    #[error(transparent)]
    System(#[from] io::Error),
}

impl BoundSocket {
    /// Listens at a path with a mode. Replaces the socket file of a server that no longer listens.
    ///
    /// # Errors
    /// Returns an error if a server listens at the path, if the file there is not a socket, or if
    /// the system refuses to bind the socket.
    pub async fn bind(path: &Path, mode: u32) -> Result<Self, BindError> {
        remove_stale(path).await?;
        let listener = bind(path, mode)?;
        let file = identity(path).map_err(file("its file cannot be looked at"))?;
        Ok(Self { listener, path: path.to_owned(), file: file.into(), keeps_file: false })
    }

    /// Listens on a socket that another process has bound to this path. The mode of its file stays
    /// as it is. Dropping the socket removes the file only after the first call of
    /// [`accept`](BoundSocket::accept): before that, the other process may have to go on.
    ///
    /// # Errors
    /// Returns an error if it is no such socket.
    pub fn inherit(path: &Path, socket: OwnedFd) -> io::Result<Self> {
        let listener = inherited::unix(socket, path)?;
        Ok(Self { listener, path: path.to_owned(), file: OnceLock::new(), keeps_file: false })
    }

    /// Returns whether a socket listens at a path.
    pub fn is_at(socket: BorrowedFd<'_>, path: &Path) -> bool {
        inherited::is_unix_at(socket, path)
    }

    /// Returns a duplicate of the socket, for another process.
    ///
    /// # Errors
    /// Returns an error if the process has no descriptor left.
    pub fn duplicate(&self) -> io::Result<OwnedFd> {
        self.listener.as_fd().try_clone_to_owned()
    }

    /// Leaves the file where it is, also when this socket stops listening: another process, such as
    /// the service manager, has the socket all the time.
    pub fn keep_file(&mut self) {
        self.file.take();
        self.keeps_file = true;
    }

    /// Stops listening here, and leaves the file to the other process that has the socket.
    pub fn leave(mut self) {
        self.file.take();
    }

    /// Returns the next client.
    ///
    /// # Errors
    /// Returns the system's error.
    pub async fn accept(&self) -> io::Result<UnixStream> {
        if !self.keeps_file
            && self.file.get().is_none()
            && let Ok(file) = identity(&self.path)
        {
            let _ = self.file.set(file);
        }
        Ok(self.listener.accept().await?.0)
    }
}

impl Drop for BoundSocket {
    fn drop(&mut self) {
        if self.file.get().is_some_and(|file| identity(&self.path).is_ok_and(|there| there == *file)) {
            // An error means that somebody else has removed the file in the meantime.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Unix {
    /// Creates a connector that will listen at a path.
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

    fn start<'a>(&'a mut self, _: &'a ListenOptions) -> BoxFuture<'a, Result<(), BoxError>> {
        async {
            if self.listening.is_none() {
                self.listening = Some(BoundSocket::bind(&self.path, self.options.mode).await?);
            }
            Ok(())
        }
        .boxed()
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        async {
            let socket = self.listening.as_ref().ok_or(io::ErrorKind::NotConnected)?;
            let stream = socket.accept().await?;
            let open = async { open(stream) }.boxed();
            Ok(Incoming { address: String::new(), behind_proxy: false, open, turn_away: None })
        }
        .boxed()
    }

    fn stop(&mut self) {
        self.listening = None;
    }

    fn sockets(&self) -> io::Result<Vec<OwnedFd>> {
        self.listening.iter().map(BoundSocket::duplicate).collect()
    }

    fn is_for(&self, socket: BorrowedFd<'_>) -> bool {
        BoundSocket::is_at(socket, &self.path)
    }

    fn inherit(&mut self, sockets: Vec<OwnedFd>) -> Result<(), BoxError> {
        let socket = inherited::only(sockets)?;
        self.listening = Some(BoundSocket::inherit(&self.path, socket)?);
        Ok(())
    }

    fn adopt(&mut self, mut client: HandedSocket) -> io::Result<Opened> {
        let stream = UnixStream::from_std(client.take_descriptor()?.into())?;
        Ok(opened(stream, Vec::new()))
    }

    fn leave(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.leave();
        }
    }
}

/// Removes the socket file of a server that no longer listens. Returns an error if a server listens
/// there, or if the file is not a socket.
async fn remove_stale(path: &Path) -> Result<(), BindError> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !found.file_type().is_socket() {
        return Err(BindError::NotASocket);
    }
    match UnixStream::connect(path).await {
        Ok(server) => Err(BindError::InUse { pid: server.peer_cred().ok().and_then(|server| server.pid()) }),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(file("the socket of a server that is gone cannot be removed"))
        }
        Err(error) => Err(file("there is a socket, and whether a server listens cannot be seen")(error)),
    }
}

fn file(what: &'static str) -> impl FnOnce(io::Error) -> BindError {
    move |source| BindError::File { what, source }
}

/// Binds a socket and listens. The mode is set before the socket listens, so that nobody can
/// connect earlier.
fn bind(path: &Path, mode: u32) -> io::Result<UnixListener> {
    let socket = RawSocket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let listen = || {
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)
    };
    if let Err(error) = listen() {
        let _ = fs::remove_file(path);
        return Err(error);
    }
    UnixListener::from_std(socket.into())
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

fn open(stream: UnixStream) -> io::Result<Opened> {
    let attributes = attributes(&stream.peer_cred()?);
    Ok(opened(stream, attributes))
}

fn opened(stream: UnixStream, attributes: Vec<(String, String)>) -> Opened {
    let socket = Socket::Stream(Box::new(stream));
    Opened { transport: "unix", client: None, attributes, meter: None, starttls: None, socket }
}

/// Returns the attributes of a client: its user, group and process, as the kernel saw them at
/// connect.
pub(super) fn attributes(client: &UCred) -> Vec<(String, String)> {
    let number = |name: &str, value: String| (name.to_owned(), value);
    let mut attributes =
        vec![number("uid", client.uid().to_string()), number("gid", client.gid().to_string())];
    attributes.extend(client.pid().map(|pid| number("pid", pid.to_string())));
    attributes
}
