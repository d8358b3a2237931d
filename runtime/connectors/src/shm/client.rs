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

/// The longest message that a client accepts, in bytes: 16 MiB, as is common for WebSocket clients.
/// Servers send much shorter ones.
const MAX_MESSAGE: usize = 16 << 20;

/// Connects to the listener `shm://NAME` of this machine and this user.
///
/// # Errors
/// Returns an error of kind [`io::ErrorKind::ConnectionRefused`] if nobody listens at that name,
/// and one of kind [`io::ErrorKind::InvalidInput`] if the text is not a valid name. Returns other
/// errors if the listener belongs to another user, if the server speaks another version or has
/// gone, or if there is no memory.
pub async fn connect(name: &str) -> io::Result<Client> {
    check(name).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let uid = own_uid()?;
    let mut stream = UnixStream::connect(address(uid, name)).await.map_err(|error| match error.kind() {
        kind @ io::ErrorKind::ConnectionRefused => {
            io::Error::new(kind, format!("nobody listens at shm://{name}"))
        }
        _ => error,
    })?;
    // Any user may bind any abstract address, but only a server of this user may get memory.
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

/// A client of shared memory. Dropping it says goodbye to the server. Messages that were not
/// flushed are then lost, and messages that the server has not taken may be lost.
pub struct Client {
    socket: ShmSocket,
    max_message: usize,
}

impl Client {
    /// Returns the longest message that the server accepts, in bytes.
    pub fn max_message(&self) -> usize {
        self.max_message
    }

    /// Sends a message. Waits until the whole message is in shared memory, which has room for 256
    /// KiB. A server stops reading while its answers are not taken, so a client that sends more
    /// than that must receive in between.
    ///
    /// # Errors
    /// Returns an error if the message is too long or the server is gone.
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

    /// Returns the next message, or `None` when the server has said goodbye. The future may be
    /// dropped, and the method called again, without losing a message.
    ///
    /// # Errors
    /// Returns an error of kind [`io::ErrorKind::ConnectionReset`] if the server has died.
    pub async fn receive(&mut self) -> io::Result<Option<Bytes>> {
        poll_fn(|cx| self.socket.poll_receive(cx)).await
    }

    /// Says goodbye, and waits until the server has taken all messages.
    ///
    /// # Errors
    /// Returns an error if the server is gone.
    pub async fn close(mut self) -> io::Result<()> {
        poll_fn(|cx| self.socket.poll_close(CloseCode::NORMAL, "", cx)).await
    }
}
