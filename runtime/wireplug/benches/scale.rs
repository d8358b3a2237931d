//! Measures what many connections cost: the memory of idle connections, opening connections, and a
//! push to a group of connections.
//!
//! Run it with `cargo bench -p wireplug --bench scale`. The server runs in a process of its own,
//! started from this binary, so that its memory and CPU time can be measured alone. The options are
//! those of a real game, with a dictionary of 300 routes. Variants that are compared are measured
//! in turns. `memory`, `opening` or `push` after `--` selects a part. With `--quick`, each part
//! only runs briefly.

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
use wireplug::codec::NativePomelo;
use wireplug::config::{CodecLimits, ServerConfig};
use wireplug::session::Message;
use wireplug::{App, CodecSource, RunningServer, Server};

use support::{BODY, ECHO, greet, package};

/// The number of routes of the application.
const ROUTES: usize = 300;

const PUSH: &str = "onChat";

/// The group of all sessions.
const GROUP: &str = "everyone";

/// The number of turns of each of two variants that are compared.
const TURNS: usize = 5;

/// Clients that connect at the same time.
const AT_ONCE: usize = 32;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--serve") {
        return serve(&arguments[at + 1]);
    }
    let quick = arguments.iter().any(|argument| argument == "--quick" || argument == "--test");
    let parts: Vec<&str> = arguments[1..].iter().map(|a| &**a).filter(|a| !a.starts_with('-')).collect();
    let wanted = |part| parts.is_empty() || parts.contains(&part);
    if wanted("memory") {
        memory(if quick { &[20] } else { &[1_000, 10_000] });
    }
    if wanted("opening") {
        opening(if quick { 20 } else { 2_000 });
    }
    if wanted("push") {
        pushes(if quick { &[1, 20] } else { &[1, 100, 10_000] }, quick);
    }
}

// === what is measured ===

/// Measures the memory of idle connections, with a sandbox for each and without sandboxes.
fn memory(counts: &[usize]) {
    println!(
        "| idle connections | codec | KiB each | pages that guests wrote | the host's heap | page tables, beside |"
    );
    println!("|---:|---|---:|---:|---:|---:|");
    for &count in counts {
        for kind in ["wasm", "native"] {
            let mut server = Other::start(kind);
            // The first connections also allocate memory that belongs to no connection.
            let first = server.connect(10);
            let before = server.memory();
            let clients = server.connect(count);
            let after = server.memory();
            let each =
                |part: fn(&Memory) -> usize| part(&after).saturating_sub(part(&before)) as f64 / count as f64;
            let (guests, all) = (each(|memory| memory.guests), each(|memory| memory.all));
            let tables = each(|memory| memory.page_tables);
            println!("| {count} | {kind} | {all:.1} | {guests:.1} | {:.1} | {tables:.1} |", all - guests);
            drop((first, clients));
        }
    }
    println!();
}

/// Measures how fast connections are opened and made ready.
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

/// Measures a push to a group against a loop of writes of the same bytes. A push begins only after
/// all clients have received the one before it. Otherwise pushes would be written together.
fn pushes(counts: &[usize], quick: bool) {
    println!(
        "| a push to a group of | bare loop of writes, µs | wireplug, µs | ratio | codec calls a push |"
    );
    println!("|---:|---:|---:|---:|---:|");
    for &count in counts {
        let pushes = if quick { 2 } else { (20_000 / count).clamp(3, 300) };
        // The servers run one after the other, because both sets of clients together would need
        // more descriptors than there are.
        let [bare, wireplug] = ["writes", "wasm"].map(|kind| {
            let mut server = Other::start(kind);
            let clients = server.connect(count);
            let best = (0..TURNS).map(|_| server.push(pushes, count)).fold(f64::INFINITY, f64::min);
            let shared = server.ask("shared").parse::<f64>().unwrap_or(0.0) / (TURNS * pushes) as f64;
            drop(clients);
            (best * 1e6, shared)
        });
        let ratio = wireplug.0 / bare.0;
        println!("| {count} | {:.1} | {:.1} | {ratio:.2} | {:.2} |", bare.0, wireplug.0, wireplug.1);
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

    /// Connects `count` clients, which read whatever comes. The clients end when the returned set
    /// is dropped.
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

    /// Sends a line to the other process, and returns the line that it answers.
    fn ask(&mut self, what: &str) -> String {
        writeln!(self.say, "{what}").expect("it listens");
        line(&mut self.hear)
    }

    /// Returns the server's CPU time for a push to `clients` clients, in seconds. It is the mean of
    /// `pushes` pushes.
    fn push(&mut self, pushes: usize, clients: usize) -> f64 {
        let packet = package(&[&[7, 0, 0], BODY.as_bytes()].concat()).len();
        let before = self.cpu_time();
        for _ in 0..pushes {
            let taken: usize = self.ask("push").parse().expect("a number");
            assert_eq!(taken, clients, "every session takes every push");
            self.until_written((clients * packet) as u64);
        }
        (self.cpu_time() - before).as_secs_f64() / pushes as f64
    }

    /// Waits until the clients have read `bytes` more bytes.
    fn until_written(&mut self, bytes: u64) {
        self.expected += bytes;
        while self.read.load(Ordering::Relaxed) < self.expected {
            std::thread::sleep(Duration::from_micros(200));
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

    fn memory(&self) -> Memory {
        let read =
            |file| fs::read_to_string(format!("/proc/{}/{file}", self.process.id())).expect("it is at work");
        let value = |line: &str, key| {
            let value = line.strip_prefix(key)?.trim().strip_suffix(" kB")?;
            Some(value.parse::<usize>().expect("a number of kB"))
        };
        let (mut all, mut guests, mut is_guest) = (0, 0, false);
        for line in read("smaps").lines() {
            if let Some(pss) = value(line, "Pss:") {
                all += pss;
                guests += if is_guest { pss } else { 0 };
            } else if !line.split(' ').next().is_some_and(|key| key.ends_with(':')) {
                is_guest = line.contains("memfd:wasm-memory-image");
            }
        }
        let page_tables =
            read("status").lines().find_map(|line| value(line, "VmPTE:")).expect("a line for each");
        Memory { all, guests, page_tables }
    }
}

/// Memory in use, in KiB. Memory that processes or sandboxes share counts once.
struct Memory {
    all: usize,
    /// The parts of the linear memories that differ from the module's.
    guests: usize,
    /// The kernel's page tables, which belong to no process's resident memory.
    page_tables: usize,
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

/// Serves, and carries out the commands in the lines of the standard input.
fn serve(kind: &str) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    let answers: Box<dyn Fn(&str) -> String> = match kind {
        "writes" => {
            let (address, streams) = runtime.block_on(collect());
            println!("{address}");
            let handle = runtime.handle().clone();
            Box::new(move |asked| match asked {
                "push" => handle.block_on(write_to_all(&streams)).to_string(),
                _ => String::new(),
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
                _ => server.sessions().group(GROUP).send(&Message::push(PUSH, BODY)).to_string(),
            })
        }
    };
    for asked in std::io::stdin().lines() {
        println!("{}", answers(&asked.expect("it says something")));
    }
}

async fn wireplug(kind: &str) -> anyhow::Result<RunningServer> {
    let routes: Vec<String> = (0..ROUTES).map(|number| format!("game.roomHandler.action{number}")).collect();
    let mut app = App::new()
        .route(ECHO, |body: Bytes| async move { body })
        .push_route(PUSH)
        .on_opened(|session| session.join(GROUP).expect("a name, and it is open"));
    for route in &routes {
        app = app.route(route, |body: Bytes| async move { body });
    }
    let codec = match kind {
        // This is enough even if each of 10,000 guests writes to all memory that it has. They write
        // to far less.
        "wasm" => CodecSource::pomelo(json!({}))
            .limits(CodecLimits { total_memory: 16 << 30, ..CodecLimits::default() }),
        _ => {
            let options = json!({ "routes": app.routes().iter().map(|route| &**route).collect::<Vec<_>>() });
            CodecSource::native(Arc::new(NativePomelo::new(&options.to_string())?))
        }
    };
    let config = ServerConfig { max_connections: 11_000, ..ServerConfig::default() };
    Ok(Server::new(app).config(config).listen("tcp://127.0.0.1:0", codec).start().await?)
}

type Streams = Arc<std::sync::Mutex<Vec<Arc<TcpStream>>>>;

/// Accepts connections, and keeps their streams.
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

/// Writes the bytes of a push to one stream after the other, which is the least that a push to all
/// can cost. Returns the number of streams.
async fn write_to_all(streams: &Streams) -> usize {
    let packet = package(&[&[7, 0, 0], BODY.as_bytes()].concat());
    let streams = streams.lock().expect("no panic").clone();
    for stream in &streams {
        stream.writable().await.expect("it is open");
        assert_eq!(stream.try_write(&packet).expect("there is room"), packet.len());
    }
    streams.len()
}
