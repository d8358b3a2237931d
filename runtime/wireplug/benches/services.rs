//! Measures what a request costs the server if a service answers it: over HTTP/1.1, over HTTP/2 and
//! over NATS, beside a handler in the server itself.
//!
//! Run it with `cargo bench -p wireplug --features http,nats --bench services`. The figure is the
//! CPU time of the server's threads for each request, including the kernel. The service is on a
//! thread of its own, and the NATS server is a process of its own, and neither is counted. The
//! variants are measured in turns, so compare the ratios. The time from a request to its response
//! is the median of the best turn; it includes the service and the clients, which share two cores.
//! Without the program `nats-server`, the column of NATS is empty. With `--quick`, each row only
//! runs briefly.

mod support;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use wireplug::config::{HttpConfig, NatsConfig, ServerConfig, ServiceConfig};
use wireplug::{App, CodecSource, RunningServer, Server};
use wireplug_tests::counted::Counted;
use wireplug_tests::nats::NatsServer;

use support::{Clients, ECHO, Transport};

/// The number of turns of each server that count.
const TURNS: usize = 6;

/// The service, which is the first segment of [`ECHO`].
const SERVICE: &str = "connector";

/// Who answers the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// A handler in the server.
    Handler,
    Http1,
    Http2,
    Nats,
}

/// One server, the clients that send it requests, and the service that answers them.
struct Served {
    variant: Variant,
    threads: Counted,
    clients: Clients,
    /// The CPU time of a request in the best turn, in seconds.
    cost: f64,
    /// The median time until the response, in the turn in which it was the shortest.
    time: Duration,
    _server: RunningServer,
    _service: Service,
}

/// What answers in the place of the application. It is kept for as long as it is measured.
struct Service {
    _runtime: Runtime,
    _nats: Option<NatsServer>,
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick" || argument == "--test");
    let turn = if quick { Duration::from_millis(50) } else { Duration::from_millis(1500) };
    println!("| connections | answered by | CPU µs | : handler | median time µs |");
    println!("|---:|---|---:|---:|---:|");
    for connections in if quick { [1, 4] } else { [1, 50] } {
        rows(connections, turn);
    }
}

fn rows(connections: usize, turn: Duration) {
    let mut served: Vec<_> = [Variant::Handler, Variant::Http1, Variant::Http2, Variant::Nats]
        .into_iter()
        .filter(|variant| *variant != Variant::Nats || has_nats())
        .map(|variant| Served::start(variant, connections))
        .collect();
    // The first turn is not counted, because caches are still cold.
    for counted in [false].into_iter().chain([true; TURNS]) {
        served.iter_mut().for_each(|served| served.turn(turn, counted));
    }
    let handler = served[0].cost;
    for Served { variant, cost, time, .. } in &served {
        println!(
            "| {connections} | {} | {:.2} | {:.2} | {} |",
            variant.name(),
            cost * 1e6,
            cost / handler,
            time.as_micros()
        );
    }
}

/// Reports whether the program of the NATS server is there.
fn has_nats() -> bool {
    let found = Command::new("nats-server").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !found {
        eprintln!("services: NATS is not measured, because there is no nats-server");
    }
    found
}

impl Variant {
    fn name(self) -> &'static str {
        match self {
            Self::Handler => "a handler",
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
            Self::Nats => "NATS",
        }
    }
}

impl Served {
    fn start(variant: Variant, connections: usize) -> Self {
        let threads = Counted::start();
        let config = ServerConfig { max_connections: 1000, ..ServerConfig::default() };
        let app = match variant {
            Variant::Handler => App::new().route(ECHO, |body: Bytes| async move { body }),
            Variant::Http1 | Variant::Http2 | Variant::Nats => App::new(),
        };
        let server = Server::new(app).config(config);
        let server = server.listen("tcp://127.0.0.1:0", CodecSource::pomelo(json!({})));
        let (service, server) = behind(variant, server);
        let server = threads.runtime.block_on(server.start()).expect("it starts");
        let address = server.urls()[0].trim_start_matches("tcp://").parse().expect("a numeric address");
        let clients = Clients::connect(connections, 1, Transport::Tcp, address, true);
        let (cost, time) = (f64::INFINITY, Duration::MAX);
        Self { variant, threads, clients, cost, time, _server: server, _service: service }
    }

    fn turn(&mut self, turn: Duration, counted: bool) {
        let before = self.threads.cpu_time();
        let asked = self.clients.ask(Instant::now() + turn, || {});
        assert!(asked.requests > 0, "{} answers", self.variant.name());
        if counted {
            let cost = (self.threads.cpu_time() - before).as_secs_f64() / asked.requests as f64;
            self.cost = self.cost.min(cost);
            self.time = self.time.min(asked.times[asked.times.len() / 2]);
        }
    }
}

/// Starts the service of a variant, and lets the server pass requests to it.
fn behind(variant: Variant, server: Server) -> (Service, Server) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("threads are to be had");
    let (server, nats) = match variant {
        Variant::Handler => (server, None),
        Variant::Http1 | Variant::Http2 => {
            let http2 = variant == Variant::Http2;
            let url = format!("http://{}", over_http(&runtime, http2));
            let http = HttpConfig { http2, ..HttpConfig::default() };
            (server.services([(SERVICE, ServiceConfig { http, ..ServiceConfig::at(&*url) })]), None)
        }
        Variant::Nats => {
            let nats = NatsServer::start();
            runtime.block_on(over_nats(&nats));
            let server = server.nats(NatsConfig::at(&nats.url()));
            (server.services([(SERVICE, ServiceConfig::default())]), Some(nats))
        }
    };
    (Service { _runtime: runtime, _nats: nats }, server)
}

/// Starts a service over HTTP that answers each request with its body. Returns its address.
fn over_http(runtime: &Runtime, http2: bool) -> SocketAddr {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).expect("it is open");
            let stream = TokioIo::new(stream);
            // An error is the end of the connection.
            tokio::spawn(async move {
                match http2 {
                    true => {
                        let http2 = http2::Builder::new(TokioExecutor::new());
                        drop(http2.serve_connection(stream, service_fn(echo)).await);
                    }
                    false => {
                        drop(http1::Builder::new().serve_connection(stream, service_fn(echo)).await);
                    }
                }
            });
        }
    });
    address
}

async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.expect("the body is whole").to_bytes();
    Ok(Response::new(Full::new(body)))
}

/// Starts a service over NATS that answers each request with its body.
async fn over_nats(nats: &NatsServer) {
    let client = nats.client().await;
    let subject = format!("wireplug.requests.{SERVICE}.>");
    let mut requests = client.queue_subscribe(subject, SERVICE.to_owned()).await.expect("it is connected");
    client.flush().await.expect("it is connected");
    tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            let Some(reply) = request.reply else { continue };
            client.publish(reply, request.payload).await.expect("it is connected");
        }
    });
}
