//! Shared memory between processes of one machine and one user: `shm://NAME`. It is a message
//! transport.
//!
//! Messages are in memory that [iceoryx2](https://iceoryx.io) creates and both ends map. A
//! connection over a Unix domain socket beside it announces them, and does what the memory cannot
//! do. The server accepts clients on this connection. The kernel reports on it which process the
//! client is, and reports the end of that process at once, however it ended. The connection also
//! wakes a task like any other socket, so no thread has to wait and no task has to poll.
//!
//! | file | its job |
//! |---|---|
//! | `mod` | the connector: the name, and how a client gets its memory |
//! | `place` | iceoryx2: the memory of processes, and the two queues of a connection |
//! | `socket` | either end of a connection: messages in slots, and the records that announce them |
//! | `client` | the client's end |
//!
//! # The protocol
//!
//! The protocol is documented for clients in other languages. `client` implements it. Numbers are
//! big-endian.
//!
//! 1. The client connects to the abstract socket `wireplug-shm/UID/NAME`. Each end checks that the
//!    process at the other end belongs to its own user.
//! 2. The server creates two iceoryx2 services of byte slices, and sends where they are: a length
//!    of two bytes, and then the JSON `{"version":1,"root":…,"service":…,"max-message":…}`. The
//!    configuration of iceoryx2 is its default except for `root-path` and the prefix `wireplug_`.
//!    The names of the services are `service` with `/to-server` and `/to-client` appended. Each has
//!    one publisher, one subscriber, two nodes, a buffer of 32 samples and no overflow.
//! 3. The client opens the services and writes the byte 1. From here on both ends behave alike.
//! 4. A message is one sample or several, of at most 8 KiB each. A sample begins with a byte that
//!    is 1 in the last sample of a message and 0 in the others. The bytes of the message follow.
//! 5. Each end sends records of two bytes over the socket: how many samples it has sent since its
//!    last record, and how many it has taken. At most 32 samples are in transit in each direction.
//!    An end that has taken 16 samples sends a record. Below that it may wait until it has sent
//!    samples of its own. A record of two zeros is the goodbye: no more samples follow. An end that
//!    has received the goodbye reports each sample immediately when it has taken it.
//! 6. An end that has said goodbye keeps its memory until the other end has taken all samples or
//!    closes its socket.

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

/// The longest name in bytes. With the prefix it is a socket address of at most 107 bytes.
const MAX_NAME: usize = 64;

/// The version of the protocol above.
const VERSION: u32 = 1;

/// The number of file descriptors that a connection takes.
const DESCRIPTORS: u32 = 11;

/// The byte that a client writes when it has opened its memory.
const READY: u8 = 1;

/// The connector for shared memory: `shm://NAME`. Clients connect with [`connect`].
pub struct Shm {
    name: String,
    listening: Option<Listening>,
}

struct Listening {
    listener: UnixListener,
    place: Arc<Place>,
    /// The user whose clients may connect.
    uid: u32,
    max_message: usize,
    rate: RateLimits,
}

/// The message in which a server tells a client where its memory is.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Hello {
    version: u32,
    root: PathBuf,
    service: String,
    max_message: usize,
}

impl Shm {
    /// Creates a connector that will listen at a name: up to 64 ASCII letters, digits, `-`, `_` and
    /// `.`, of which the first is a letter or digit. Each user has separate names.
    ///
    /// # Errors
    /// Returns an error if the text is not such a name.
    pub fn new(name: impl Into<String>) -> Result<Self, ShmNameError> {
        let name = name.into();
        check(&name)?;
        Ok(Self { name, listening: None })
    }
}

/// The error if a text is not a name of shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the name must be 1 to {MAX_NAME} letters, digits, `-`, `_` and `.`, of which the first is a letter or digit"
)]
pub struct ShmNameError(());

fn check(name: &str) -> Result<(), ShmNameError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    // The name is also that of a directory.
    let first = name.starts_with(|first: char| first.is_ascii_alphanumeric());
    let is_name = name.len() <= MAX_NAME && name.bytes().all(allowed) && first;
    if is_name { Ok(()) } else { Err(ShmNameError(())) }
}

/// Returns the socket's address. It is an abstract address, which disappears with its process.
fn address(uid: u32, name: &str) -> String {
    format!("\0wireplug-shm/{uid}/{name}")
}

/// Returns the user of this process, as the kernel reports it to the other end of a socket.
fn own_uid() -> io::Result<u32> {
    Ok(UnixStream::pair()?.0.peer_cred()?.uid())
}

/// Returns the directory in which a server keeps the files of iceoryx2, and creates it if it is
/// missing. No other user may access it, since the files say which memory is whose. The directory
/// is on the same file system as the memory, because the library waits until each file is written,
/// which takes milliseconds on a disk.
fn root(uid: u32, name: &str) -> anyhow::Result<PathBuf> {
    let user = Path::new(SHARED_MEMORY).join(format!("wireplug-shm-{uid}"));
    let root = user.join(name);
    for directory in [&user, &root] {
        private(directory, uid).with_context(|| directory.display().to_string())?;
    }
    Ok(root)
}

/// Creates a directory, or uses the existing one if only this user can access it.
fn private(directory: &Path, uid: u32) -> anyhow::Result<()> {
    let there = loop {
        match DirBuilder::new().mode(0o700).create(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
        match std::fs::symlink_metadata(directory) {
            // The last process that had a share in it has just removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            there => break there?,
        }
    };
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
                // Frees the memory of servers and clients that were killed.
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
            Ok(Incoming { address: String::new(), behind_proxy: false, open, turn_away: None })
        }
        .boxed()
    }

    fn stop(&mut self) {
        // Open connections still have a share in the place.
        self.listening = None;
    }
}

/// Gives a client its memory. The steps that create files run on a blocking thread, where they
/// delay no other task.
async fn open(
    mut stream: UnixStream,
    place: Arc<Place>,
    uid: u32,
    max_message: usize,
    meter: RateMeter,
) -> io::Result<Opened> {
    // The credentials that the kernel recorded at connect.
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
    Ok(Opened { transport: "shm", client: None, attributes, meter: Some(meter), starttls: None, socket })
}
