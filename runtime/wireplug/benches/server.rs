//! Measures what a request costs the whole server. There are five variants: the sandboxed codec,
//! the same codec that cuts its stream itself, the same codec compiled in, that codec with rates
//! that no client reaches, and the floor, which is an echo of the same framed bytes without codec,
//! session or routing.
//!
//! Run it with `cargo bench -p wireplug --bench server`. The figure is the CPU time of the server's
//! threads for each request, including the kernel. The variants are measured in turns, so compare
//! the ratios. A word like `tcp/50/16` after `--` selects the rows that contain it. With
//! `--quick`, each row only runs briefly.

mod support;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use wireplug::codec::NativePomelo;
use wireplug::config::{ClientLimits, ServerConfig};
use wireplug::{App, CodecSource, Listener, RunningServer, Server};
use wireplug_tests::counted::Counted;
use wireplug_tests::figures::report;

use support::{Clients, ECHO, Transport};

/// The component of `guest-examples/pomelo/framer`, which cuts its stream itself.
const FRAMER: &[u8] = include_bytes!("../../../tests/pomelo_framer.wasm");

/// The number of turns of each server that count.
const TURNS: usize = 6;

/// One server, and the clients that send it requests.
struct Served {
    name: &'static str,
    threads: Counted,
    clients: Clients,
    /// The CPU time of a request in the server's best turn, in seconds.
    best: f64,
    /// The server, kept for as long as it is measured. `None` for the floor.
    _server: Option<RunningServer>,
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick" || argument == "--test");
    let rows: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let turn = if quick { Duration::from_millis(50) } else { Duration::from_millis(1500) };
    println!(
        "| transport | connections | pipeline | floor µs | native µs | metered µs | wasm µs | framer µs | \
         metered : native | wasm : native | wasm : floor | framer : wasm |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for transport in [Transport::Tcp, Transport::WebSocket] {
        for connections in if quick { [2, 4] } else { [50, 500] } {
            for pipeline in [1, 16] {
                let name = format!("{transport:?}/{connections}/{pipeline}").to_lowercase();
                if rows.is_empty() || rows.iter().any(|row| name.contains(row)) {
                    row(transport, connections, pipeline, turn);
                }
            }
        }
    }
}

fn row(transport: Transport, connections: usize, pipeline: usize, turn: Duration) {
    let mut served = [
        Served::floor(transport, connections, pipeline),
        Served::native("native", ClientLimits::default(), transport, connections, pipeline),
        Served::native("metered", with_rates(), transport, connections, pipeline),
        Served::wasm("wasm", CodecSource::pomelo(json!({})), transport, connections, pipeline),
        Served::wasm(
            "framer",
            CodecSource::bytes("framer", FRAMER, json!({})),
            transport,
            connections,
            pipeline,
        ),
    ];
    // The first turn is not counted, because caches are still cold.
    for counted in [false].into_iter().chain([true; TURNS]) {
        for served in &mut served {
            served.turn(turn, counted);
        }
    }
    let [floor, native, metered, wasm, framer] = served.each_ref().map(|served| served.best * 1e6);
    println!(
        "| {transport:?} | {connections} | {pipeline} | {floor:.2} | {native:.2} | {metered:.2} | {wasm:.2} | \
         {framer:.2} | {:.2} | {:.2} | {:.2} | {:.2} |",
        metered / native,
        wasm / native,
        wasm / floor,
        framer / wasm
    );
    if transport == Transport::Tcp {
        report(&format!("server-{connections}-{pipeline}-wasm-floor"), wasm / floor);
        report(&format!("server-{connections}-{pipeline}-wasm-native"), wasm / native);
    }
}

/// Limits with rates that no client reaches.
fn with_rates() -> ClientLimits {
    ClientLimits { packets_per_second: 1_000_000, bytes_per_second: 1 << 30, ..ClientLimits::default() }
}

impl Served {
    fn wasm(
        name: &'static str,
        codec: CodecSource,
        transport: Transport,
        connections: usize,
        pipeline: usize,
    ) -> Self {
        Self::wireplug(name, codec, ClientLimits::default(), transport, connections, pipeline)
    }

    fn native(
        name: &'static str,
        limits: ClientLimits,
        transport: Transport,
        connections: usize,
        pipeline: usize,
    ) -> Self {
        let options = json!({ "routes": [ECHO] }).to_string();
        let codec = NativePomelo::new(&options).expect("the options are good");
        let codec = CodecSource::native(Arc::new(codec));
        Self::wireplug(name, codec, limits, transport, connections, pipeline)
    }

    fn wireplug(
        name: &'static str,
        codec: CodecSource,
        limits: ClientLimits,
        transport: Transport,
        connections: usize,
        pipeline: usize,
    ) -> Self {
        let threads = Counted::start();
        let app = App::new().route(ECHO, |body: Bytes| async move { body });
        let config = ServerConfig { max_connections: 1000, ..ServerConfig::default() };
        let url = match transport {
            Transport::Tcp => "tcp://127.0.0.1:0",
            Transport::WebSocket => "ws://127.0.0.1:0",
        };
        let mut listener = Listener::new(url, codec);
        listener.limits = limits;
        let server = Server::new(app).config(config).listener(listener);
        let server = threads.runtime.block_on(server.start()).expect("it starts");
        let address =
            server.urls()[0].split_once("://").expect("a URL").1.parse().expect("a numeric address");
        let clients = Clients::connect(connections, pipeline, transport, address, true);
        Self { name, threads, clients, best: f64::INFINITY, _server: Some(server) }
    }

    fn floor(transport: Transport, connections: usize, pipeline: usize) -> Self {
        let threads = Counted::start();
        let address = match transport {
            Transport::Tcp => echo(&threads, bare_tcp),
            Transport::WebSocket => echo(&threads, bare_websocket),
        };
        let clients = Clients::connect(connections, pipeline, transport, address, false);
        Self { name: "floor", threads, clients, best: f64::INFINITY, _server: None }
    }

    fn turn(&mut self, turn: Duration, counted: bool) {
        let before = self.threads.cpu_time();
        let asked = self.clients.ask(Instant::now() + turn, || {});
        assert!(asked.requests > 0, "{} answers", self.name);
        if counted {
            let cost = (self.threads.cpu_time() - before).as_secs_f64() / asked.requests as f64;
            self.best = self.best.min(cost);
        }
    }
}

/// Accepts connections, and calls `serve` for each.
fn echo<F>(threads: &Counted, serve: fn(TcpStream) -> F) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = threads.runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    threads.runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).expect("it is open");
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// Echoes whole packages. One write sends back all that one read completed.
async fn bare_tcp(mut stream: TcpStream) {
    let mut buffer = Vec::with_capacity(64 << 10);
    while stream.read_buf(&mut buffer).await.is_ok_and(|count| count > 0) {
        let mut whole = 0;
        while let Some(&[_, a, b, c]) = buffer[whole..].first_chunk::<4>() {
            let end = whole + 4 + u32::from_be_bytes([0, a, b, c]) as usize;
            if end > buffer.len() {
                break;
            }
            whole = end;
        }
        if stream.write_all(&buffer[..whole]).await.is_err() {
            return;
        }
        buffer.drain(..whole);
    }
}

/// Echoes messages.
async fn bare_websocket(stream: TcpStream) {
    let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
    while let Some(Ok(message)) = socket.next().await {
        if socket.feed(message).await.is_err() {
            return;
        }
        // Messages that have already arrived are answered together.
        while let Some(Some(Ok(message))) = futures_util::FutureExt::now_or_never(socket.next()) {
            if socket.feed(message).await.is_err() {
                return;
            }
        }
        if socket.flush().await.is_err() {
            return;
        }
    }
}
