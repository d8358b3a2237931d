//! Named pipes, for programs that can open files and nothing else. A pair consists of two FIFOs: a
//! client writes into `PATH.in` and reads from `PATH.out`.
//!
//! A pipe has no connections, so the server cannot distinguish several writers. There is one
//! session at a time. It begins with a client's first byte, so the server cannot speak first. It
//! ends when nobody has `PATH.in` open for writing. Then the server opens both pipes anew.
//!
//! A user who can replace a pipe, or write to it, can speak for the clients or for the server. So
//! each time the server opens a pipe, it checks the open pipe: the pipe must belong to this user or
//! to root, and must not let more users write to it than `mode` does.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Context as _;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rustix::fs::{CWD, FlockOperation, flock, mkfifoat};
use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::pipe::{OpenOptions, Receiver, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::path::PathOptions;
use super::prefixed_stream::PrefixedStream;
use super::{
    BoxError, ByteStream, Connector, Incoming, ListenOptions, Opened, Protocol, Socket, SocketKinds,
};
use wireplug_base::ownership;

/// How often the server checks whether a client has opened its end to read, or whether another
/// server has released the pipe. A pipe reports neither.
const RETRY: Duration = Duration::from_millis(10);

/// How long a client that has sent a byte may take to open its end to read. It keeps other clients
/// out meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);

/// The connector for a pair of named pipes: `pipe:///PATH`.
///
/// It creates the pipes that are missing. It does not remove them when it stops, since a client may
/// be waiting in one.
pub struct Pipe {
    input: PathBuf,
    output: PathBuf,
    path: PathBuf,
    options: PathOptions,
    waiting: Option<Waiting>,
}

/// The state of a connector that waits for a client.
struct Waiting {
    /// Allows one session at a time.
    turn: Arc<Semaphore>,
    /// The open pipe into which the next client writes, with the permit for its session.
    next: Option<(Receiver, OwnedSemaphorePermit)>,
}

impl Pipe {
    /// Creates a connector that will listen at `path` with `.in` and `.out` appended.
    pub fn new(path: impl Into<PathBuf>, options: PathOptions) -> Self {
        let path = path.into();
        let with = |end: &str| {
            let mut name = path.clone().into_os_string();
            name.push(end);
            PathBuf::from(name)
        };
        Self { input: with(".in"), output: with(".out"), path, options, waiting: None }
    }
}

impl Connector for Pipe {
    fn url(&self) -> String {
        format!("pipe://{}", self.path.display())
    }

    fn kinds(&self) -> SocketKinds {
        Protocol::Stream.kinds()
    }

    fn descriptors(&self) -> u32 {
        2
    }

    fn start<'a>(&'a mut self, _: &'a ListenOptions) -> BoxFuture<'a, Result<(), BoxError>> {
        async {
            for path in [&self.input, &self.output] {
                make(path, self.options).with_context(|| path.display().to_string())?;
            }
            let turn = Arc::new(Semaphore::new(1));
            self.waiting = Some(Waiting { turn, next: None });
            Ok(())
        }
        .boxed()
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        async {
            let Waiting { turn, next } = self.waiting.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            let (input, first, turn) = loop {
                let Some((input, _)) = &*next else {
                    let turn = Arc::clone(turn).acquire_owned().await.map_err(io::Error::other)?;
                    *next = Some((open_input(&self.input, self.options).await?, turn));
                    continue;
                };
                input.readable().await?;
                let mut first = [0];
                match input.try_read(&mut first) {
                    Ok(1) => {
                        let (input, turn) = next.take().expect("it is open");
                        break (input, first, turn);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    // A client has opened the pipe, and closed it without sending a byte.
                    Ok(_) | Err(_) => *next = None,
                }
            };
            let open = open(input, first.to_vec(), self.output.clone(), self.options, turn).boxed();
            Ok(Incoming { address: String::new(), behind_proxy: false, open, turn_away: None })
        }
        .boxed()
    }

    fn stop(&mut self) {
        self.waiting = None;
    }
}

/// Creates a FIFO, or uses the existing one unchanged if other users cannot misuse it.
fn make(path: &Path, options: PathOptions) -> io::Result<()> {
    match mkfifoat(CWD, path, options.bits()) {
        // The umask of the process may have removed bits from the mode.
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(options.mode)),
        Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(io::Error::from(error)),
    }?;
    for doubt in ownership::check_pipe_at(path, options.mode)? {
        warn!(pipe = %path.display(), warning = %doubt, "others can replace a named pipe");
    }
    Ok(())
}

/// Opens the end that the server reads, once no other server reads it: a server that stops may
/// still have a session there.
async fn open_input(path: &Path, options: PathOptions) -> io::Result<Receiver> {
    loop {
        let input = OpenOptions::new().open_receiver(path)?;
        ownership::check_pipe(&input, options.mode)?;
        match flock(&input, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(input),
            Err(Errno::WOULDBLOCK) => sleep(RETRY).await,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Waits until the client has opened its end to read, and returns both ends as one stream.
async fn open(
    input: Receiver,
    first: Vec<u8>,
    path: PathBuf,
    options: PathOptions,
    turn: OwnedSemaphorePermit,
) -> io::Result<Opened> {
    let opened = async {
        loop {
            match OpenOptions::new().open_sender(&path) {
                Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => sleep(RETRY).await,
                opened => break opened,
            }
        }
    };
    let output = timeout(PATIENCE, opened).await.map_err(|_| io::ErrorKind::TimedOut)??;
    ownership::check_pipe(&output, options.mode)?;
    let mut stream = PrefixedStream::new(PipeStream { input, output: Some(output), _turn: turn });
    stream.unread(first);
    let socket = Socket::Stream(Box::new(stream));
    Ok(Opened {
        transport: "pipe",
        client: None,
        attributes: Vec::new(),
        meter: None,
        starttls: None,
        socket,
    })
}

/// Both pipes as one stream.
struct PipeStream {
    input: Receiver,
    /// `None` after a shutdown, which the client sees as the end of the stream.
    output: Option<Sender>,
    _turn: OwnedSemaphorePermit,
}

impl PipeStream {
    fn output(&mut self) -> io::Result<Pin<&mut Sender>> {
        self.output.as_mut().map(Pin::new).ok_or(io::ErrorKind::BrokenPipe.into())
    }
}

impl AsyncRead for PipeStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_read(cx, buf)
    }
}

impl AsyncWrite for PipeStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.output()?.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The kernel has everything that was written.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output = None;
        Poll::Ready(Ok(()))
    }
}

impl ByteStream for PipeStream {
    fn prepare_handover(&mut self) -> Result<(), &'static str> {
        Err("a client of a named pipe cannot be handed to another process")
    }
}
