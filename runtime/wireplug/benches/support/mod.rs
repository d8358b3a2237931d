//! Shared code of the benchmarks over sockets: Pomelo clients that pipeline requests, and servers
//! in processes of their own (`other`, `game`).
//!
//! Pipelining clients are in the process of the server, on threads of their own. So they share only
//! the kernel and the two cores, and variants that are compared can be measured in turns.

// Each benchmark uses only a part of this module.
#![allow(dead_code)]

pub mod game;
pub mod other;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use wireplug_pomelo::client::Client;

/// The route that every request goes to.
pub const ECHO: &str = "connector.entryHandler.echo";

/// 64 bytes of JSON, as a game might send them.
pub const BODY: &str = r#"{"x":1042,"y":-311,"action":"move","target":"npc-20417","t":918}"#;

/// The request with which a WebSocket client begins.
const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Clients that send requests, on a thread of their own.
pub struct Clients {
    runtime: Runtime,
    /// The clients' sessions. An entry is `None` while its client sends requests.
    sessions: Vec<Option<Session>>,
}

/// How a client connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    WebSocket,
}

/// A client that is ready.
struct Session {
    stream: TcpStream,
    requests: Vec<u8>,
    /// The length of all answers to one pipeline.
    answers: usize,
    /// Requests sent at once.
    pipeline: usize,
}

/// The results of the clients.
pub struct Asked {
    /// How long each pipeline took, sorted.
    pub times: Vec<Duration>,
    /// How many requests were answered.
    pub requests: usize,
}

impl Clients {
    /// Connects `count` clients that send `pipeline` requests at once, and completes their
    /// handshakes. `greeted` is false if the server has no handshake.
    pub fn connect(
        count: usize,
        pipeline: usize,
        transport: Transport,
        address: SocketAddr,
        greeted: bool,
    ) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("threads are to be had");
        let open = || Some(runtime.block_on(Session::open(pipeline, transport, address, greeted)));
        let sessions = (0..count).map(|_| open()).collect();
        Self { runtime, sessions }
    }

    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Lets all clients send requests until the time `until`. Meanwhile runs `beside` on this
    /// thread.
    pub fn ask(&mut self, until: Instant, beside: impl FnOnce()) -> Asked {
        let start = |session: &mut Option<Session>| {
            let session = session.take().expect("it is not at work");
            self.runtime.spawn(session.ask(until))
        };
        let tasks: Vec<_> = self.sessions.iter_mut().map(start).collect();
        beside();
        let (mut times, mut requests) = (Vec::new(), 0);
        for (session, task) in self.sessions.iter_mut().zip(tasks) {
            let (done, its) = self.runtime.block_on(task).expect("no panic");
            requests += its.len() * done.pipeline;
            times.extend(its);
            *session = Some(done);
        }
        times.sort_unstable();
        Asked { times, requests }
    }
}

impl Session {
    async fn open(pipeline: usize, transport: Transport, address: SocketAddr, greeted: bool) -> Self {
        let stream = connect(transport, address, greeted).await;
        let request = request();
        // A bare echo returns all that it receives.
        let answer = if greeted { response() } else { request.clone() }.len();
        let head = if transport == Transport::WebSocket { 2 } else { 0 };
        let requests = framed(transport, &request).repeat(pipeline);
        Self { stream, requests, answers: pipeline * (head + answer), pipeline }
    }

    /// Sends requests until the time `until`. Returns how long each pipeline took.
    async fn ask(mut self, until: Instant) -> (Self, Vec<Duration>) {
        let mut times = Vec::new();
        let mut buffer = vec![0; self.answers];
        while Instant::now() < until {
            let start = Instant::now();
            self.stream.write_all(&self.requests).await.expect("it reads");
            self.stream.read_exact(&mut buffer).await.expect("it answers");
            times.push(start.elapsed());
        }
        (self, times)
    }
}

/// Connects a client. If it is to be `greeted`, completes the handshake of Pomelo.
pub async fn connect(transport: Transport, address: SocketAddr, greeted: bool) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.set_nodelay(true).expect("it is open");
    if transport == Transport::WebSocket {
        stream.write_all(UPGRADE).await.expect("it reads");
        let mut end = [0; 4];
        while end != *b"\r\n\r\n" {
            end.rotate_left(1);
            end[3] = stream.read_u8().await.expect("it upgrades");
        }
    }
    if greeted {
        shake_hands(&mut stream, transport).await;
    }
    stream
}

/// Performs a Pomelo handshake.
async fn shake_hands(stream: &mut TcpStream, transport: Transport) {
    let (mut client, mut out, mut incoming) = (Client::new(), Vec::new(), Vec::new());
    client.connect(None, &mut out);
    while incoming.is_empty() {
        stream.write_all(&framed(transport, &out)).await.expect("it reads");
        out.clear();
        let mut buffer = vec![0; 64 << 10];
        let count = match transport {
            Transport::Tcp => stream.read(&mut buffer).await.expect("it answers"),
            Transport::WebSocket => {
                let length = match stream.read_u16().await.expect("it answers") & 0x7f {
                    126 => stream.read_u16().await.expect("it answers"),
                    short => short,
                };
                stream.read_exact(&mut buffer[..length.into()]).await.expect("it answers")
            }
        };
        client.receive(&buffer[..count], &mut out, &mut incoming).expect("it speaks Pomelo");
    }
    stream.write_all(&framed(transport, &out)).await.expect("it reads");
}

/// Returns a request with the id 1 to [`ECHO`].
pub fn request() -> Vec<u8> {
    package(&[&[0, 1, ECHO.len() as u8], ECHO.as_bytes(), BODY.as_bytes()].concat())
}

/// Returns the response to [`request`].
pub fn response() -> Vec<u8> {
    package(&[&[4, 1], BODY.as_bytes()].concat())
}

/// Returns a Pomelo package with data.
pub fn package(data: &[u8]) -> Vec<u8> {
    let mut package = (data.len() as u32).to_be_bytes().to_vec();
    package[0] = 4;
    package.extend_from_slice(data);
    package
}

/// Returns bytes in the form in which they go over a transport. Over WebSocket that is one message
/// of less than 126 bytes, with a mask of zeros, which changes nothing.
fn framed(transport: Transport, bytes: &[u8]) -> Vec<u8> {
    match transport {
        Transport::Tcp => bytes.to_vec(),
        Transport::WebSocket => {
            assert!(bytes.len() < 126);
            [&[0x82, 0x80 | bytes.len() as u8, 0, 0, 0, 0], bytes].concat()
        }
    }
}
