//! Shared memory between processes of one machine, and of one user: `shm://NAME`. A message
//! transport.
//!
//! Messages lie in memory that [iceoryx2](https://iceoryx.io) makes and both ends map. A connection
//! beside it, over a Unix domain socket, says that there are some. It does what the memory cannot:
//! a client is accepted on it; the kernel says whose process it is, and at once when that is gone,
//! however it ended; and it wakes a task as any socket does, without a thread that waits and
//! without polling.
//!
//! | file | its job |
//! |---|---|
//! | `mod` | the connector: the name, and how a client comes by its memory |
//! | `place` | iceoryx2: who has memory, and the two queues of a connection |
//! | `socket` | either end of a connection: messages in slots, and what is said of them |
//! | `client` | the client's end |
//!
//! # The protocol
//!
//! For clients in other languages; `client` is one. Numbers are big-endian.
//!
//! 1. The client connects to the abstract socket `wireplug-shm/UID/NAME`; each end sees to it that
//!    the other is its own user's.
//! 2. The server makes two iceoryx2 services of byte slices, and says where: two bytes of length
//!    and then JSON, `{"version":1,"root":…,"service":…,"max-message":…}`. The configuration of
//!    iceoryx2 is its default but for `root-path` and the prefix `wireplug_`; the services are the
//!    name with `/to-server` and `/to-client` appended, each with one publisher, one subscriber,
//!    two nodes, a buffer of 32 samples and no overflow.
//! 3. The client opens them and writes the byte 1. From here on both ends are alike.
//! 4. A message is one sample or several, of at most 8 KiB each: a byte that is 1 in its last one
//!    and 0 before, and then its bytes.
//! 5. Over the socket go records of two bytes: how many samples were sent since the last one, and
//!    how many were taken. At most 32 are on their way. Who has taken 16 says so; below that it may
//!    wait until there are some to send. Two zeros are the goodbye: no more is sent. After the
//!    other's, what was taken is said at once.
//! 6. An end that has said goodbye keeps its memory until all is taken, or the other closes its
//!    socket.

mod client;
mod place;
mod socket;

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::spawn_blocking;

pub use self::client::{Client, connect};
use self::place::{Place, SHARED_MEMORY};
use self::socket::ShmSocket;
use super::unix::attributes;
use super::{
    BoxError, Connector, Incoming, ListenOptions, Opened, RateLimits, RateMeter, Socket, SocketKinds,
};

/// The longest name: with what stands before it, it is a socket's address of at most 107 bytes.
const MAX_NAME: usize = 64;

/// The protocol above.
const VERSION: u32 = 1;

/// The file descriptors of a connection.
const DESCRIPTORS: u32 = 11;

/// What a client writes when it has opened its memory.
const READY: u8 = 1;

/// Shared memory: `shm://NAME`. Its clients come by [`connect`].
pub struct Shm {
    name: String,
    listening: Option<Listening>,
}

struct Listening {
    listener: UnixListener,
    place: Arc<Place>,
    /// The user whose clients are let in.
    uid: u32,
    max_message: usize,
    rate: RateLimits,
}

/// What a server tells a client of its memory.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Hello {
    version: u32,
    root: PathBuf,
    service: String,
    max_message: usize,
}

impl Shm {
    /// Will listen at a name: up to 64 ASCII letters, digits, `-`, `_` and `.`, of which the first
    /// is a letter or digit. Each user has names of its own.
    ///
    /// # Errors
    /// Returns an error if the text is not such a name.
    pub fn new(name: impl Into<String>) -> Result<Self, ShmNameError> {
        let name = name.into();
        check(&name)?;
        Ok(Self { name, listening: None })
    }
}

/// A text is not a name of shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the name must be 1 to {MAX_NAME} letters, digits, `-`, `_` and `.`, of which the first is a letter or digit"
)]
pub struct ShmNameError(());

fn check(name: &str) -> Result<(), ShmNameError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    // It also names a directory.
    let first = name.starts_with(|first: char| first.is_ascii_alphanumeric());
    let is_name = name.len() <= MAX_NAME && name.bytes().all(allowed) && first;
    if is_name { Ok(()) } else { Err(ShmNameError(())) }
}

/// The socket's address: an abstract one, that is gone with its process.
fn address(uid: u32, name: &str) -> String {
    format!("\0wireplug-shm/{uid}/{name}")
}

/// The user that this process has, as the kernel tells the other end of a socket.
fn own_uid() -> io::Result<u32> {
    Ok(UnixStream::pair()?.0.peer_cred()?.uid())
}

/// Where a server keeps the files of iceoryx2. Nobody else may reach them: they say which memory is
/// whose. They lie where the memory does, since the library waits until each is written, which
/// takes milliseconds on a disk.
fn root(uid: u32, name: &str) -> anyhow::Result<PathBuf> {
    let user = Path::new(SHARED_MEMORY).join(format!("wireplug-shm-{uid}"));
    let root = user.join(name);
    for directory in [&user, &root] {
        private(directory, uid).with_context(|| directory.display().to_string())?;
    }
    Ok(root)
}

/// Makes a directory, or takes the one that is there.
fn private(directory: &Path, uid: u32) -> anyhow::Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    let there = std::fs::symlink_metadata(directory)?;
    let private = there.is_dir() && there.uid() == uid && there.mode() & 0o077 == 0;
    ensure!(private, "it is not a directory of this user's alone: remove it");
    Ok(())
}

impl Connector for Shm {
    fn url(&self) -> String {
        format!("shm://{}", self.name)
    }

    fn kinds(&self) -> SocketKinds {
        SocketKinds { stream: false, messages: true }
    }

    fn descriptors(&self) -> u32 {
        DESCRIPTORS
    }

    fn start<'a>(&'a mut self, options: &'a ListenOptions) -> BoxFuture<'a, Result<(), BoxError>> {
        async {
            let uid = own_uid()?;
            let listener =
                UnixListener::bind(address(uid, &self.name)).map_err(|error| match error.kind() {
                    io::ErrorKind::AddrInUse => BoxError::from("another server listens there"),
                    _ => error.into(),
                })?;
            let root = root(uid, &self.name)?;
            let place = spawn_blocking(move || -> anyhow::Result<Place> {
                let place = Place::new(&root)?;
                // What servers and clients have left that were killed.
                place.clean();
                Ok(place)
            });
            let place = Arc::new(place.await??);
            let ListenOptions { max_message, rate, .. } = *options;
            self.listening = Some(Listening { listener, place, uid, max_message, rate });
            Ok(())
        }
        .boxed()
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        async {
            let Listening { listener, place, uid, max_message, rate } =
                self.listening.as_ref().ok_or(io::ErrorKind::NotConnected)?;
            let (stream, _) = listener.accept().await?;
            let open = open(stream, Arc::clone(place), *uid, *max_message, RateMeter::new(rate)).boxed();
            Ok(Incoming { address: String::new(), behind_proxy: false, open })
        }
        .boxed()
    }

    fn stop(&mut self) {
        // Connections have a share in the place.
        self.listening = None;
    }
}

/// Gives a client its memory. What takes files to be made is done where it holds up nobody.
async fn open(
    mut stream: UnixStream,
    place: Arc<Place>,
    uid: u32,
    max_message: usize,
    meter: RateMeter,
) -> io::Result<Opened> {
    // As the kernel saw them at connect.
    let client = stream.peer_cred()?;
    if client.uid() != uid {
        let why = format!("the client is another user's: uid {}", client.uid());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(io::Error::other)?;
    let service: String = id.iter().map(|byte| format!("{byte:02x}")).collect();

    let hello = Hello { version: VERSION, root: place.root().to_owned(), service, max_message };
    let text = serde_json::to_vec(&hello)?;
    let make = {
        let place = Arc::clone(&place);
        move || place.create(&hello.service)
    };
    let mut queues = spawn_blocking(make).await?.map_err(io::Error::other)?;
    stream.write_u16(u16::try_from(text.len()).map_err(io::Error::other)?).await?;
    stream.write_all(&text).await?;
    if stream.read_u8().await? != READY {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the client does not say that it is ready"));
    }
    let connect = move || queues.connect().map(|()| queues);
    let queues = spawn_blocking(connect).await?.map_err(io::Error::other)?;
    let attributes = attributes(&client);
    let socket = ShmSocket::new(stream, queues, place, max_message, meter.clone());
    let socket = Socket::Messages(Box::new(socket));
    Ok(Opened { transport: "shm", client: None, attributes, meter: Some(meter), socket })
}
