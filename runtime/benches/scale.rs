//! What many connections cost: memory of idle ones, opening them, and a push to all of them.
//!
//! `cargo bench -p wireplug --bench scale`. The server is a process of its own (this binary once more), so that its
//! memory and CPU time are its own; the options are those of a real game, a dictionary of 300 routes. What is
//! compared is measured in turns. With `--quick` each part is only tried.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use wireplug::app::App;
use wireplug::codec::native::NativePomelo;
use wireplug::config::ServerConfig;
use wireplug::server::{CodecSource, RunningServer, Server};
use wireplug::session::Message;

use support::{BODY, ECHO, greet, package};

/// Routes of the application.
const ROUTES: usize = 300;

const PUSH: &str = "onChat";

/// Turns of each of two that are compared.
const TURNS: usize = 5;

/// Clients that connect at the same time.
const AT_ONCE: usize = 32;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--serve") {
        return serve(&arguments[at + 1]);
    }
    let quick = arguments.iter().any(|argument| argument == "--quick" || argument == "--test");
    memory(if quick { &[20] } else { &[1_000, 10_000] });
    opening(if quick { 20 } else { 2_000 });
    pushes(if quick { &[1, 20] } else { &[1, 100, 10_000] }, quick);
}

// === what is measured ===

/// Resident memory of idle connections, with a sandbox each and without.
fn memory(counts: &[usize]) {
    println!("| idle connections | with a sandbox each, KiB | native codec, KiB | the sandbox's part |");
    println!("|---:|---:|---:|---:|");
    for &count in counts {
        let [wasm, native] = ["wasm", "native"].map(|kind| {
            let mut server = Other::start(kind);
            // What the first ones bring is no connection's.
            let first = server.connect(10);
            let before = server.resident();
            let clients = server.connect(count);
            let each = server.resident().saturating_sub(before) as f64 / count as f64 / 1024.0;
            drop((first, clients));
            each
        });
        println!("| {count} | {wasm:.1} | {native:.1} | {:.1} |", wasm - native);
    }
    println!();
}

/// Connections opened and made ready.
fn opening(count: usize) {
    let mut best = [(0.0_f64, f64::INFINITY); 2];
    let mut servers = ["wasm", "native"].map(Other::start);
    for _ in 0..TURNS {
        for (server, best) in servers.iter_mut().zip(&mut best) {
            let (start, before) = (Instant::now(), server.cpu_time());
            let clients = server.connect(count);
            let rate = count as f64 / start.elapsed().as_secs_f64();
            let cost = (server.cpu_time() - before).as_secs_f64() / count as f64;
            *best = (best.0.max(rate), best.1.min(cost));
            drop(clients);
        }
    }
    println!("| opened and ready, {AT_ONCE} at a time | a second | server's CPU each, µs |");
    println!("|---|---:|---:|");
    for (name, (rate, cost)) in ["a sandbox each", "native codec"].iter().zip(best) {
        println!("| {name} | {rate:.0} | {:.0} |", cost * 1e6);
    }
    println!("| ratio | {:.2} | {:.2} |\n", best[0].0 / best[1].0, best[0].1 / best[1].1);
}

/// A push to all, against a loop of writes of the same bytes.
fn pushes(counts: &[usize], quick: bool) {
    println!("| a push to | bare loop of writes, µs | wireplug, µs | ratio | codec calls a push |");
    println!("|---:|---:|---:|---:|---:|");
    for &count in counts {
        let mut best = [f64::INFINITY; 2];
        let mut servers = ["writes", "wasm"].map(Other::start);
        let clients = servers.each_mut().map(|server| server.connect(count));
        let pushes = if quick { 2 } else { (20_000 / count).clamp(5, 2_000) };
        for _ in 0..TURNS {
            for (server, best) in servers.iter_mut().zip(&mut best) {
                let before = server.cpu_time();
                let took: u32 = server.ask(&format!("push {pushes}")).parse().expect("a number");
                assert_eq!(took as usize, count * pushes, "every session takes every push");
                let packet = package(&[&[7, 0, 0], BODY.as_bytes()].concat()).len();
                server.until_written((count * pushes * packet) as u64);
                let cost = (server.cpu_time() - before).as_secs_f64() / pushes as f64;
                *best = best.min(cost);
            }
        }
        let shared: f64 = servers[1].ask("shared").parse().expect("a number");
        let calls = shared / (TURNS * pushes) as f64;
        let [bare, wireplug] = best.map(|best| best * 1e6);
        println!("| {count} | {bare:.1} | {wireplug:.1} | {:.2} | {calls:.2} |", wireplug / bare);
        drop(clients);
    }
}

// === the other process ===

/// A server in a process of its own, and the clients of this process.
struct Other {
    process: Child,
    say: ChildStdin,
    hear: BufReader<ChildStdout>,
    address: SocketAddr,
    greeted: bool,
    clients: Runtime,
    /// Bytes that its clients have read.
    read: Arc<AtomicU64>,
    expected: u64,
}

impl Other {
    fn start(kind: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().expect("a running program has a path"))
            .args(["--serve", kind])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a running program can be run");
        let say = process.stdin.take().expect("it is piped");
        let mut hear = BufReader::new(process.stdout.take().expect("it is piped"));
        let address = line(&mut hear).parse().expect("it says its address");
        let clients = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        Self {
            process,
            say,
            hear,
            address,
            greeted: kind != "writes",
            clients: clients.expect("threads are to be had"),
            read: Arc::default(),
            expected: 0,
        }
    }

    /// Connects so many clients, which read whatever comes. They end when what is returned is dropped.
    fn connect(&mut self, count: usize) -> JoinSet<()> {
        let (address, greeted) = (self.address, self.greeted);
        let connect = async move || {
            let mut stream = TcpStream::connect(address).await.expect("it listens");
            if greeted {
                greet(&mut stream).await;
            }
            stream
        };
        let connecting = stream::iter(0..count).map(|_| connect()).buffer_unordered(AT_ONCE);
        let streams: Vec<_> = self.clients.block_on(connecting.collect());
        let mut tasks = JoinSet::new();
        for mut stream in streams {
            let read = Arc::clone(&self.read);
            let reading = async move {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    read.fetch_add(count as u64, Ordering::Relaxed);
                }
            };
            tasks.spawn_on(reading, self.clients.handle());
        }
        self.ask("ready");
        tasks
    }

    /// Says a line, and hears one.
    fn ask(&mut self, what: &str) -> String {
        writeln!(self.say, "{what}").expect("it listens");
        line(&mut self.hear)
    }

    /// Waits until the clients have read so many bytes more.
    fn until_written(&mut self, bytes: u64) {
        self.expected += bytes;
        while self.read.load(Ordering::Relaxed) < self.expected {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn cpu_time(&self) -> Duration {
        let tasks = format!("/proc/{}/task", self.process.id());
        let of_thread = |task: fs::DirEntry| {
            let stat = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            let nanos = stat.split_once(' ').and_then(|(nanos, _)| nanos.parse().ok());
            nanos.map_or(Duration::ZERO, Duration::from_nanos)
        };
        fs::read_dir(tasks).expect("it is at work").flatten().map(of_thread).sum()
    }

    /// Resident memory, in bytes.
    fn resident(&self) -> usize {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("it is at work");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line for each");
        line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number of kB") << 10
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).expect("it says something");
    line.trim().to_owned()
}

// === in the other process ===

/// Serves, and does what the lines of the standard input say.
fn serve(kind: &str) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    let answers: Box<dyn Fn(&str) -> String> = match kind {
        "writes" => {
            let (address, streams) = runtime.block_on(collect());
            println!("{address}");
            let handle = runtime.handle().clone();
            Box::new(move |asked| match asked.strip_prefix("push ") {
                Some(count) => handle.block_on(write_to_all(&streams, count.parse().expect("a number"))),
                None => String::new(),
            })
        }
        _ => {
            let server = runtime.block_on(wireplug(kind)).expect("it starts");
            println!("{}", server.urls()[0].trim_start_matches("tcp://"));
            Box::new(move |asked| match asked {
                "ready" => {
                    let all_ready = || server.sessions().len() as u64 >= server.stats().connections_open;
                    while !all_ready() {
                        std::thread::sleep(Duration::from_micros(100));
                    }
                    String::new()
                }
                "shared" => server.slots()[0].status().generations[0].shared.to_string(),
                push => push_to_all(&server, push["push ".len()..].parse().expect("a number")).to_string(),
            })
        }
    };
    for asked in std::io::stdin().lines() {
        println!("{}", answers(&asked.expect("it says something")));
    }
}

async fn wireplug(kind: &str) -> anyhow::Result<RunningServer> {
    let routes: Vec<String> = (0..ROUTES).map(|number| format!("game.roomHandler.action{number}")).collect();
    let mut app = App::new().route(ECHO, |body: Bytes| async move { body }).push_route(PUSH);
    for route in &routes {
        app = app.route(route, |body: Bytes| async move { body });
    }
    let codec = match kind {
        "wasm" => CodecSource::pomelo(json!({})),
        _ => {
            let options = json!({ "routes": app.routes().iter().map(|route| &**route).collect::<Vec<_>>() });
            CodecSource::native(Arc::new(NativePomelo::new(&options.to_string())?))
        }
    };
    let config = ServerConfig { max_connections: 11_000, ..ServerConfig::default() };
    Server::new(app).config(config).listen("tcp://127.0.0.1:0", codec).start().await
}

/// Pushes to all so often; how many pushes were taken.
fn push_to_all(server: &RunningServer, pushes: usize) -> usize {
    let message = Message::push(PUSH, BODY);
    (0..pushes).map(|_| server.sessions().send_all(&message)).sum()
}

type Streams = Arc<std::sync::Mutex<Vec<Arc<TcpStream>>>>;

/// Accepts, and keeps the streams.
async fn collect() -> (SocketAddr, Streams) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let streams = Streams::default();
    let kept = Arc::clone(&streams);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).expect("it is open");
            kept.lock().expect("no panic").push(Arc::new(stream));
        }
    });
    (address, streams)
}

/// The least that a push to all can cost: the same bytes, written to one after the other.
async fn write_to_all(streams: &Streams, pushes: usize) -> String {
    let packet = package(&[&[7, 0, 0], BODY.as_bytes()].concat());
    let streams = streams.lock().expect("no panic").clone();
    let mut taken = 0;
    for _ in 0..pushes {
        for stream in &streams {
            stream.writable().await.expect("it is open");
            let count = stream.try_write(&packet).expect("there is room");
            assert_eq!(count, packet.len());
            taken += 1;
        }
    }
    taken.to_string()
}
