//! Measures what it costs the data path that the server is observed. There are two servers: one
//! whose metrics are read once a second over the control API and of whose requests one in a hundred
//! is traced, and one that nobody observes. The spans go to the thread that exports them, which is
//! not counted.
//!
//! Run it with `cargo bench -p wireplug --features control,otel --bench observe`. The figure is the
//! ratio of the CPU times that the servers' threads take for a request, including the kernel, with
//! the 95 % interval of its mean. Each round starts both servers anew, so that the place of one in
//! memory decides nothing, and measures them in turns. With `--quick`, it only runs briefly.

mod support;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanExporter};
use serde_json::json;
use wireplug::admin::ControlApi;
use wireplug::config::{ControlAddress, ControlConfig, ServerConfig};
use wireplug::traces::{Sampling, Traces};
use wireplug::{App, CodecSource, Server};
use wireplug_tests::counted::Counted;
use wireplug_tests::figures::report;
use wireplug_tests::folder::Folder;

use support::{Clients, ECHO, Transport};

/// How often both servers are started. The interval is that of the means of so many rounds.
const ROUNDS: usize = 12;

/// The turns of each server in a round that count.
const TURNS: usize = 4;

/// The length of a turn, and how often the metrics are read.
const TURN: Duration = Duration::from_secs(1);

/// The factor of the 95 % interval: Student's t for [`ROUNDS`] - 1 degrees of freedom.
const STUDENT: f64 = 2.201;

/// Connections, and requests that each sends at once.
const ROWS: [(usize, usize); 2] = [(50, 1), (50, 16)];

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick" || argument == "--test");
    println!("| connections | pipeline | plain µs | observed µs | observed : plain | 95 % interval |");
    println!("|---:|---:|---:|---:|---:|---|");
    for (connections, pipeline) in ROWS {
        row(connections, pipeline, if quick { TURN / 20 } else { TURN });
    }
}

fn row(connections: usize, pipeline: usize, turn: Duration) {
    let (mut logs, mut sums) = (Vec::new(), [0.0; 2]);
    for round in 0..ROUNDS {
        // None of the two always comes first.
        let mut servers = [round % 2 == 0, round % 2 != 0]
            .map(|is_observed| Observed::start(is_observed, connections, pipeline));
        for counted in [false].into_iter().chain([true; TURNS]) {
            servers.iter_mut().for_each(|server| server.turn(turn, counted));
        }
        servers.sort_by_key(|server| server.socket.is_some());
        let [plain, observed] = servers.each_ref().map(Observed::cost);
        logs.push((observed / plain).ln());
        sums = [sums[0] + plain, sums[1] + observed];
    }
    let count = ROUNDS as f64;
    let mean = logs.iter().sum::<f64>() / count;
    let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let margin = STUDENT * (variance / count).sqrt();
    let [plain, observed] = sums.map(|sum| sum / count * 1e6);
    let [ratio, low, high] = [mean, mean - margin, mean + margin].map(f64::exp);
    println!(
        "| {connections} | {pipeline} | {plain:.2} | {observed:.2} | {ratio:.3} | {low:.3} to {high:.3} |"
    );
    report(&format!("observe-{connections}-{pipeline}"), low);
}

/// A server with clients that send it requests.
struct Observed {
    threads: Counted,
    clients: Clients,
    /// The socket of the control API, if the server is observed.
    socket: Option<PathBuf>,
    /// The CPU time of the turns that count, and their requests.
    used: (Duration, usize),
    _provider: Option<SdkTracerProvider>,
    _folder: Folder,
}

impl Observed {
    fn start(is_observed: bool, connections: usize, pipeline: usize) -> Self {
        let threads = Counted::start();
        let folder = Folder::new(if is_observed { "observe-control" } else { "observe-plain" });
        let socket = is_observed.then(|| folder.path("control.sock"));
        let app = App::new().route(ECHO, |body: Bytes| async move { body });
        let config = ServerConfig { max_connections: 100, ..ServerConfig::default() };
        let (provider, traces) = match is_observed {
            true => traces(),
            false => Default::default(),
        };
        let server = Server::new(app).config(config).traces(traces);
        let server = server.listen("tcp://127.0.0.1:0", CodecSource::pomelo(json!({})));
        let address = threads.runtime.block_on(async {
            let server = server.start().await.expect("it starts");
            let address = server.urls()[0].trim_start_matches("tcp://").to_owned();
            if let Some(socket) = &socket {
                let config = ControlConfig::at(ControlAddress::Unix(socket.clone()));
                let api = ControlApi::bind(&config, folder.root()).await.expect("it listens");
                tokio::spawn(async move { api.serve(&server).await });
            }
            address
        });
        let address = address.parse().expect("a numeric address");
        let clients = Clients::connect(connections, pipeline, Transport::Tcp, address, true);
        Self { threads, clients, socket, used: (Duration::ZERO, 0), _provider: provider, _folder: folder }
    }

    fn turn(&mut self, turn: Duration, counted: bool) {
        let before = self.threads.cpu_time();
        let socket = self.socket.as_deref();
        let asked = self.clients.ask(Instant::now() + turn, || {
            if let Some(socket) = socket {
                read_metrics(socket);
            }
        });
        assert!(asked.requests > 0, "the server answers");
        if counted {
            self.used.0 += self.threads.cpu_time() - before;
            self.used.1 += asked.requests;
        }
    }

    /// Returns the CPU time of a request, in seconds.
    fn cost(&self) -> f64 {
        self.used.0.as_secs_f64() / self.used.1 as f64
    }
}

/// Takes the spans, as an exporter does whose receiver is fast.
#[derive(Debug)]
struct Taken;

impl SpanExporter for Taken {
    async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        drop(spans);
        Ok(())
    }
}

/// Traces one request in a hundred.
fn traces() -> (Option<SdkTracerProvider>, Traces) {
    let batches = BatchSpanProcessor::builder(Taken).build();
    let provider =
        SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOn).with_span_processor(batches).build();
    let traces = Traces::new(provider.tracer("bench"), Sampling::ratio(0.01));
    (Some(provider), traces)
}

/// Reads the metrics as Prometheus does.
fn read_metrics(socket: &Path) {
    let mut stream = UnixStream::connect(socket).expect("it listens");
    let request = "GET /metrics HTTP/1.1\r\nHost: here\r\nAccept: application/openmetrics-text\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers");
    assert!(text.ends_with("# EOF\n"), "{text}");
}
