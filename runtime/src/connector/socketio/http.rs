//! The HTTP connections below Socket.IO: who they are from, how many there may be, and how they are held back.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{self, Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming as Body;
use hyper::header::UPGRADE;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use socketioxide::TransportType;
use socketioxide::extract::SocketRef;
use socketioxide::service::SocketIoService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::gate::{Gate, Gates};
use crate::connector::http::MAX_HEAD;
use crate::connector::proxy;
use crate::connector::rewind::Rewind;
use crate::log_limit::limited;

/// How long a connection may go on when its server has ended: for the answer that it is at.
const GRACE: Duration = Duration::from_secs(1);

/// From the head of a request with packets to the end of its body.
const BODY: Duration = Duration::from_secs(10);

/// How long a client may take none of what is written to it: as `write-timeout` is unless it is set. The library has no
/// limit of its own, and would keep the session for ever.
const STALLED: Duration = Duration::from_secs(10);

/// What answers the requests.
type Service = SocketIoService<Elsewhere>;

/// What the HTTP connections of a listener share.
pub(super) struct Front {
    pub(super) service: Service,
    pub(super) gates: Gates,
    /// The connector has stopped, and the last client is gone.
    pub(super) stopped: CancellationToken,
    pub(super) proxies: Arc<[IpNet]>,
    /// For a request's head, from when the connection is free for it.
    pub(super) head_timeout: Duration,
    /// Room for TCP connections.
    pub(super) connections: Arc<Semaphore>,
    /// Room for sessions of Socket.IO, joined or not.
    pub(super) sessions: Arc<Semaphore>,
}

/// Where a request comes from: the library keeps it with the session that the request began.
#[derive(Clone)]
pub(super) struct Origin {
    /// The client's address.
    pub(super) address: String,
    valve: Valve,
    /// Given back when the session is gone.
    _room: Option<Arc<OwnedSemaphorePermit>>,
}

/// Which gate holds a connection's reading back: that of the WebSocket session on it, once there is one.
type Valve = Arc<OnceLock<Arc<Gate>>>;

/// Puts a gate on a connection, which keeps it.
fn put(valve: &Valve, gate: &Arc<Gate>) {
    if valve.set(Arc::clone(gate)).is_ok() {
        gate.set_connected(true);
    }
}

impl Origin {
    /// Puts a session's gate on its connection, if that is its own.
    pub(super) fn valve_of(&self, socket: &SocketRef, gate: &Arc<Gate>) {
        if socket.transport_type() == TransportType::Websocket {
            put(&self.valve, gate);
        }
    }
}

impl Front {
    /// Serves a connection, in a task of its own.
    pub(super) fn take(self: Arc<Self>, stream: TcpStream, address: SocketAddr) {
        let Ok(room) = Arc::clone(&self.connections).try_acquire_owned() else {
            limited!(DEBUG, %address, "more connections than there is room for");
            return;
        };
        tokio::spawn(async move {
            if let Err(error) = self.serve(stream, address, room).await {
                limited!(DEBUG, %address, %error, "an HTTP connection failed");
            }
        });
    }

    async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        room: OwnedSemaphorePermit,
    ) -> io::Result<()> {
        // The library gathers what goes out together by itself.
        let _ = stream.set_nodelay(true);
        let mut stream = Rewind::new(stream);
        let told = if proxy::contains(&self.proxies, address.ip()) {
            let header = timeout(self.head_timeout, proxy::read_header(&mut stream));
            header.await.map_err(|_| io::ErrorKind::TimedOut)??
        } else {
            None
        };
        let address = told.unwrap_or_else(|| address.to_string());
        let valve = Valve::default();
        let front = Arc::clone(&self);
        let stream = Held::new(stream, Arc::clone(&valve), room);
        let service = service_fn(move |request| Arc::clone(&front).answer(request, &address, &valve));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.head_timeout)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = self.stopped.cancelled() => {
                connection.as_mut().graceful_shutdown();
                timeout(GRACE, connection).await.unwrap_or(Ok(()))
            }
        };
        served.map_err(io::Error::other)
    }

    /// Answers a request, when there is room for what it brings.
    fn answer(
        self: Arc<Self>,
        mut request: Request<Body>,
        address: &str,
        valve: &Valve,
    ) -> impl Future<Output = io::Result<<Service as hyper::service::Service<Request<Body>>>::Response>> + use<>
    {
        let query = request.uri().query().unwrap_or_default();
        let of = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        let sid = of("sid");
        let gate = sid.and_then(|sid| self.gates.of(sid));
        let upgrades = of("transport") == Some("websocket") && request.headers().contains_key(UPGRADE);
        if let Some(gate) = gate.as_ref().filter(|_| upgrades) {
            // A session that changes over to WebSocket.
            put(valve, gate);
        }
        let room = match sid {
            Some(_) => Ok(None),
            None => Arc::clone(&self.sessions).try_acquire_owned().map(|room| Some(Arc::new(room))),
        };
        let no_room = room.is_err();
        let origin =
            Origin { address: address.to_owned(), valve: Arc::clone(valve), _room: room.unwrap_or_default() };
        request.extensions_mut().insert(origin);
        let brings = request.method() == Method::POST;
        async move {
            if no_room {
                return Err(io::Error::other("more sessions than there is room for"));
            }
            let answer = self.service.call(request);
            let answered = match (brings, gate) {
                (true, gate) => {
                    if let Some(gate) = gate {
                        gate.open().await;
                    }
                    timeout(BODY, answer).await.map_err(|_| io::ErrorKind::TimedOut)?
                }
                (false, _) => answer.await,
            };
            match answered {
                Ok(answer) => Ok(answer),
                Err(never) => match never {},
            }
        }
    }
}

/// What is asked of a path that is not Socket.IO's.
#[derive(Clone)]
pub(super) struct Elsewhere;

impl hyper::service::Service<Request<Body>> for Elsewhere {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, _: Request<Body>) -> Self::Future {
        let mut answer = Response::new(Empty::new());
        *answer.status_mut() = StatusCode::NOT_FOUND;
        ready(Ok(answer))
    }
}

/// A connection that is not read while its gate is shut or its client takes nothing, and ends when its session has, or
/// when its client has taken nothing for too long.
struct Held {
    stream: Rewind<TcpStream>,
    valve: Valve,
    /// Who is to read when the client has taken something.
    reader: Option<Waker>,
    /// Runs while the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Given back with the connection, whoever has it by then.
    _room: OwnedSemaphorePermit,
}

impl Held {
    fn new(stream: Rewind<TcpStream>, valve: Valve, room: OwnedSemaphorePermit) -> Self {
        Self { stream, valve, reader: None, stalled: None, _room: room }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(gate) = self.valve.get() {
            gate.set_connected(false);
        }
    }
}

impl AsyncRead for Held {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(gate) = self.valve.get()
            && task::ready!(gate.poll_open(cx))
        {
            return Poll::Ready(Ok(()));
        }
        if self.stream.blocked {
            // Each ping and each request brings an answer, which would wait in memory.
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Held {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        if written.is_pending() {
            let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(STALLED)));
            task::ready!(stalled.as_mut().poll(cx));
            // Whoever reads sees the end too: nothing is blocked any more.
            self.stream.blocked = false;
        } else {
            self.stalled = None;
        }
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        match written {
            Poll::Pending => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            written => written,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
