//! Shared code of the benchmarks over sockets: a runtime whose CPU time is counted, and Pomelo
//! clients that pipeline requests.
//!
//! Server and clients are in one process, each on threads of its own. So they share only the kernel
//! and the two cores, and variants that are compared can be measured in turns.

// Each benchmark uses only a part of this module.
#![allow(dead_code)]

use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
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

/// A runtime with two threads whose CPU time is known.
pub struct Counted {
    pub runtime: Runtime,
    /// The IDs of its threads in the kernel.
    threads: Arc<Mutex<Vec<u32>>>,
}

impl Counted {
    pub fn new() -> Self {
        let threads = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&threads);
        let note = move || noted.lock().expect("no panic").push(thread_number());
        let runtime =
            Builder::new_multi_thread().worker_threads(2).on_thread_start(note).enable_all().build();
        Self { runtime: runtime.expect("threads are to be had"), threads }
    }

    /// Returns the CPU time of its threads.
    pub fn cpu_time(&self) -> Duration {
        let of_thread = |number: &u32| {
            let stat = fs::read_to_string(format!("/proc/self/task/{number}/schedstat")).unwrap_or_default();
            let nanos = stat.split_once(' ').and_then(|(nanos, _)| nanos.parse().ok());
            nanos.map_or(Duration::ZERO, Duration::from_nanos)
        };
        self.threads.lock().expect("no panic").iter().map(of_thread).sum()
    }
}

/// Returns the ID of this thread in the kernel.
fn thread_number() -> u32 {
    let link = fs::read_link("/proc/thread-self").expect("/proc is there");
    link.file_name().and_then(|name| name.to_str()?.parse().ok()).expect("it ends in the number")
}

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
        let request = package(&[&[0, 1, ECHO.len() as u8], ECHO.as_bytes(), BODY.as_bytes()].concat());
        // A bare echo returns all that it receives.
        let answer =
            if greeted { package(&[&[4, 1], BODY.as_bytes()].concat()).len() } else { request.len() };
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

/// Performs a Pomelo handshake over TCP.
pub async fn greet(stream: &mut TcpStream) {
    shake_hands(stream, Transport::Tcp).await;
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
