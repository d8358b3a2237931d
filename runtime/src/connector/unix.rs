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
    listening: Option<Listening>,
}

struct Listening {
    listener: UnixListener,
    /// Device and inode of the socket's file, to tell it from another that has taken its place.
    file: (u64, u64),
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
            remove_stale(&self.path).await?;
            let listener = bind(&self.path, self.options)?;
            let file = identity(&self.path).context("its file cannot be looked at")?;
            self.listening = Some(Listening { listener, file });
            Ok(())
        }
        .boxed()
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        async {
            let listening = self.listening.as_ref().ok_or(io::ErrorKind::NotConnected)?;
            let (stream, _) = listening.listener.accept().await?;
            let open = async { open(stream) }.boxed();
            Ok(Incoming { address: String::new(), behind_proxy: false, open })
        }
        .boxed()
    }

    fn stop(&mut self) {
        if let Some(Listening { file, .. }) = self.listening.take()
            && identity(&self.path).is_ok_and(|there| there == file)
        {
            // Whoever removed it meanwhile has done what was to be done.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Drop for Unix {
    fn drop(&mut self) {
        self.stop();
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
        Ok(_) => bail!("another server listens there"),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).context("the socket of a server that is gone cannot be removed")
        }
        Err(error) => Err(error).context("there is a socket, and whether a server listens cannot be seen"),
    }
}

/// Nobody can connect before the mode is set: only then the socket listens.
fn bind(path: &Path, options: PathOptions) -> anyhow::Result<UnixListener> {
    let socket = RawSocket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let listen = || {
        fs::set_permissions(path, Permissions::from_mode(options.mode))?;
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
    Ok(Opened { transport: "unix", client: None, attributes, socket })
}

/// Who a client is, as the kernel saw it at connect.
pub(super) fn attributes(client: &UCred) -> Vec<(String, String)> {
    let number = |name: &str, value: String| (name.to_owned(), value);
    let mut attributes =
        vec![number("uid", client.uid().to_string()), number("gid", client.gid().to_string())];
    attributes.extend(client.pid().map(|pid| number("pid", pid.to_string())));
    attributes
}
