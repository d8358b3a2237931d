//! The client's end of shared memory.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::task::spawn_blocking;

use super::place::Place;
use super::socket::ShmSocket;
use super::{Hello, READY, VERSION, address, check, own_uid};
use crate::{CloseCode, MessageSocket as _, RateMeter};

/// The longest message that a client takes: a server sends nothing near it. 16 MiB, as WebSocket
/// clients commonly do.
const MAX_MESSAGE: usize = 16 << 20;

/// Connects to a listener of this machine and this user, `shm://NAME`.
///
/// # Errors
/// [`io::ErrorKind::ConnectionRefused`] where nobody listens at that name,
/// [`io::ErrorKind::InvalidInput`] where it is none, and others where the server has gone or there
/// is no memory.
pub async fn connect(name: &str) -> io::Result<Client> {
    check(name).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let uid = own_uid()?;
    let mut stream = UnixStream::connect(address(uid, name)).await.map_err(|error| match error.kind() {
        kind @ io::ErrorKind::ConnectionRefused => {
            io::Error::new(kind, format!("nobody listens at shm://{name}"))
        }
        _ => error,
    })?;
    // Anybody may take any abstract address; only this user's server is to be given memory.
    let server = stream.peer_cred()?.uid();
    if server != uid {
        let why = format!("shm://{name} is another user's: uid {server}");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    let mut hello = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut hello).await?;
    let hello: Hello = serde_json::from_slice(&hello)?;
    if hello.version != VERSION {
        let why = format!("shm://{name} speaks version {}, and this is {VERSION}", hello.version);
        return Err(io::Error::new(io::ErrorKind::Unsupported, why));
    }
    let Hello { root, service, max_message, .. } = hello;
    let open = move || -> anyhow::Result<_> {
        let place = Place::new(&root)?;
        let mut queues = place.open(&service)?;
        queues.connect()?;
        Ok((place, queues))
    };
    let (place, queues) = spawn_blocking(open).await?.map_err(io::Error::other)?;
    stream.write_u8(READY).await?;
    let socket = ShmSocket::new(stream, queues, Arc::new(place), MAX_MESSAGE, RateMeter::default());
    Ok(Client { socket, max_message })
}

/// A client of shared memory. Dropped, it says goodbye; messages that were not flushed are lost
/// then, and those that the server has not taken may be.
pub struct Client {
    socket: ShmSocket,
    max_message: usize,
}

impl Client {
    /// The longest message that the server takes.
    pub fn max_message(&self) -> usize {
        self.max_message
    }

    /// Sends a message: waits until all of it lies in shared memory, where there is room for 256
    /// KiB. A server stops reading while its answers are not taken; so who sends more than that
    /// takes them in between.
    ///
    /// # Errors
    /// Where the message is too long, or the server is gone.
    pub async fn send(&mut self, message: impl Into<Bytes>) -> io::Result<()> {
        let message = message.into();
        if message.len() > self.max_message {
            let why =
                format!("the server takes messages of {} bytes, not {}", self.max_message, message.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        self.socket.send(message, false)?;
        poll_fn(|cx| self.socket.poll_flush(cx)).await
    }

    /// The next message, or none when the server has said goodbye. May be dropped and called again
    /// without losing one.
    ///
    /// # Errors
    /// [`io::ErrorKind::ConnectionReset`] where the server has died.
    pub async fn receive(&mut self) -> io::Result<Option<Bytes>> {
        poll_fn(|cx| self.socket.poll_receive(cx)).await
    }

    /// Says goodbye, and waits until the server has taken all.
    ///
    /// # Errors
    /// Where the server is gone.
    pub async fn close(mut self) -> io::Result<()> {
        poll_fn(|cx| self.socket.poll_close(CloseCode::Normal, "", cx)).await
    }
}
