//! Streams within the process: for tests, and for programs that talk to the server that they embed.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;

use super::{BoxError, Connector, Incoming, ListenOptions, Opened, Socket, SocketKinds};

/// How many bytes either end may write before the other end reads. One read of the server takes as
/// many.
const BUFFER: usize = 64 << 10;

/// The largest number of clients that wait to be accepted. Further clients wait in [`connect`].
const BACKLOG: usize = 128;

/// The listeners of this process, by name.
static LISTENERS: Mutex<BTreeMap<String, mpsc::Sender<DuplexStream>>> = Mutex::new(BTreeMap::new());

/// The connector for streams within the process: `memory://NAME`. Clients connect with [`connect`].
pub struct Memory {
    name: String,
    clients: Option<mpsc::Receiver<DuplexStream>>,
}

impl Memory {
    /// Creates a connector that will listen at a name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), clients: None }
    }
}

/// Connects to the listener `memory://NAME` of this process. Returns the client's end of a stream
/// that buffers 64 KiB in each direction.
///
/// # Errors
/// Returns an error of kind [`io::ErrorKind::ConnectionRefused`] if nobody listens at that name.
pub async fn connect(name: &str) -> io::Result<DuplexStream> {
    let refused =
        || io::Error::new(io::ErrorKind::ConnectionRefused, format!("nobody listens at memory://{name}"));
    let listener = listeners().get(name).cloned().ok_or_else(refused)?;
    let (client, server) = duplex(BUFFER);
    listener.send(server).await.map_err(|_| refused())?;
    Ok(client)
}

fn listeners() -> MutexGuard<'static, BTreeMap<String, mpsc::Sender<DuplexStream>>> {
    // Code that panics under this lock cannot leave the map in an inconsistent state.
    LISTENERS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connector for Memory {
    fn url(&self) -> String {
        format!("memory://{}", self.name)
    }

    fn kinds(&self) -> SocketKinds {
        SocketKinds { stream: true, messages: false }
    }

    fn descriptors(&self) -> u32 {
        0
    }

    fn start<'a>(&'a mut self, _: &'a ListenOptions) -> BoxFuture<'a, Result<(), BoxError>> {
        async {
            let mut listeners = listeners();
            if listeners.contains_key(&self.name) {
                return Err("another listener of this process has the name".into());
            }
            let (listener, clients) = mpsc::channel(BACKLOG);
            listeners.insert(self.name.clone(), listener);
            self.clients = Some(clients);
            Ok(())
        }
        .boxed()
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        async {
            let clients = self.clients.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            let stream = clients.recv().await.ok_or(io::ErrorKind::NotConnected)?;
            let socket = Socket::Stream(Box::new(stream));
            let opened = Opened {
                transport: "memory",
                client: None,
                attributes: Vec::new(),
                meter: None,
                starttls: None,
                socket,
            };
            let open = async { Ok(opened) }.boxed();
            Ok(Incoming { address: String::new(), behind_proxy: false, open, turn_away: None })
        }
        .boxed()
    }

    fn stop(&mut self) {
        if self.clients.take().is_some() {
            listeners().remove(&self.name);
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.stop();
    }
}
