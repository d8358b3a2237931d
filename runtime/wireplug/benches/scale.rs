//! Measures what many connections cost: the memory of idle connections, opening connections, and a
//! push to a group of connections.
//!
//! Run it with `cargo bench -p wireplug --bench scale`. The server runs in a process of its own,
//! started from this binary, so that its memory and CPU time can be measured alone. The options are
//! those of a real game, with a dictionary of 300 routes. Variants that are compared are measured
//! in turns. `memory`, `opening` or `push` after `--` selects a part. With `--quick`, each part
//! only runs briefly.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use wireplug::session::Message;
use wireplug_tests::counted::Counted;
use wireplug_tests::figures::report;

use support::game::{GROUP, PUSH, Sleep, game};
use support::other::{AT_ONCE, Memory, Other, answer};
use support::{BODY, Transport, package};

/// The number of turns of each of two variants that are compared.
const TURNS: usize = 5;

/// A kind of server, its codec in words, the transport of its clients, and the name of the figure
/// of its memory.
const MEMORY: [(&str, &str, Transport, Option<&str>); 5] = [
    ("awake", "wasm, awake", Transport::Tcp, Some("memory-awake-kib")),
    ("asleep", "wasm, asleep", Transport::Tcp, Some("memory-asleep-tcp-kib")),
    ("asleep-websocket", "wasm, asleep", Transport::WebSocket, Some("memory-asleep-websocket-kib")),
    ("native", "native", Transport::Tcp, None),
    ("native-websocket", "native", Transport::WebSocket, None),
];

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

/// Measures the memory of idle connections: with a sandbox each, asleep, and without sandboxes.
fn memory(counts: &[usize]) {
    println!(
        "| idle connections | codec | transport | KiB each | pages that guests wrote | the host's heap | page tables, beside |"
    );
    println!("|---:|---|---|---:|---:|---:|---:|");
    for &count in counts {
        for (kind, codec, transport, figure) in MEMORY {
            let mut server = Crowd::start(kind, transport);
            // The first connections also allocate memory that belongs to no connection.
            let first = server.connect(10);
            let before = server.memory(10);
            let clients = server.connect(count);
            let after = server.memory(10 + count);
            let each =
                |part: fn(&Memory) -> usize| part(&after).saturating_sub(part(&before)) as f64 / count as f64;
            let (guests, all) = (each(|memory| memory.guests), each(|memory| memory.all));
            let tables = each(|memory| memory.page_tables);
            let host = all - guests;
            println!(
                "| {count} | {codec} | {transport:?} | {all:.1} | {guests:.1} | {host:.1} | {tables:.1} |"
            );
            drop((first, clients));
            if let Some(name) = figure {
                report(name, all);
            }
        }
    }
    println!();
}

/// Measures how fast connections are opened and made ready.
fn opening(count: usize) {
    let mut best = [(0.0_f64, f64::INFINITY); 2];
    let mut servers = ["awake", "native"].map(|kind| Crowd::start(kind, Transport::Tcp));
    for _ in 0..TURNS {
        for (server, best) in servers.iter_mut().zip(&mut best) {
            let (start, before) = (Instant::now(), server.other.cpu_time());
            let clients = server.connect(count);
            let rate = count as f64 / start.elapsed().as_secs_f64();
            let cost = (server.other.cpu_time() - before).as_secs_f64() / count as f64;
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
    report("opening-cpu", best[0].1 / best[1].1);
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
        let [bare, wireplug] = ["writes", "awake"].map(|kind| {
            let mut server = Crowd::start(kind, Transport::Tcp);
            let clients = server.connect(count);
            let best = (0..TURNS).map(|_| server.push(pushes, count)).fold(f64::INFINITY, f64::min);
            let shared = server.other.ask("shared").parse::<f64>().unwrap_or(0.0) / (TURNS * pushes) as f64;
            drop(clients);
            (best * 1e6, shared)
        });
        let ratio = wireplug.0 / bare.0;
        println!("| {count} | {:.1} | {:.1} | {ratio:.2} | {:.2} |", bare.0, wireplug.0, wireplug.1);
        report(&format!("push-{count}"), ratio);
    }
}

/// A server in another process, and its clients, which read whatever comes.
struct Crowd {
    other: Other,
    transport: Transport,
    greeted: bool,
    sleeps: bool,
    /// Bytes that its clients have read.
    read: Arc<AtomicU64>,
    expected: u64,
}

impl Crowd {
    fn start(kind: &str, transport: Transport) -> Self {
        let (greeted, sleeps) = (kind != "writes", kind.starts_with("asleep"));
        Self { other: Other::start(kind), transport, greeted, sleeps, read: Arc::default(), expected: 0 }
    }

    /// Connects `count` clients. They end when the returned set is dropped.
    fn connect(&mut self, count: usize) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for mut stream in self.other.connect(count, self.transport, self.greeted) {
            let read = Arc::clone(&self.read);
            let reading = async move {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    read.fetch_add(count as u64, Ordering::Relaxed);
                }
            };
            tasks.spawn_on(reading, self.other.clients.handle());
        }
        tasks
    }

    /// Returns the memory of the server, when all of its `sessions` sleep if they can.
    fn memory(&mut self, sessions: usize) -> Memory {
        if self.sleeps {
            self.other.until_asleep(sessions);
        }
        self.other.memory()
    }

    /// Returns the server's CPU time for a push to `clients` clients, in seconds. It is the mean of
    /// `pushes` pushes.
    fn push(&mut self, pushes: usize, clients: usize) -> f64 {
        let packet = package(&[&[7, 0, 0], BODY.as_bytes()].concat()).len();
        let before = self.other.cpu_time();
        for _ in 0..pushes {
            let taken: usize = self.other.ask("push").parse().expect("a number");
            assert_eq!(taken, clients, "every session takes every push");
            self.until_written((clients * packet) as u64);
        }
        (self.other.cpu_time() - before).as_secs_f64() / pushes as f64
    }

    /// Waits until the clients have read `bytes` more bytes.
    fn until_written(&mut self, bytes: u64) {
        self.expected += bytes;
        while self.read.load(Ordering::Relaxed) < self.expected {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

// === in the other process ===

/// Serves, and carries out the commands in the lines of the standard input.
fn serve(kind: &str) {
    let threads = Counted::start();
    if kind == "writes" {
        let (address, streams) = threads.runtime.block_on(collect());
        return answer(&address.to_string(), |asked| match asked {
            "push" => threads.runtime.block_on(write_to_all(&streams)).to_string(),
            _ => String::new(),
        });
    }
    let (codec, transport) = kind.split_once('-').unwrap_or((kind, "tcp"));
    let sleep = if codec == "asleep" { Sleep::After(Duration::from_secs(1)) } else { Sleep::Never };
    let url = if transport == "tcp" { "tcp://127.0.0.1:0" } else { "ws://127.0.0.1:0" };
    let server = threads.runtime.block_on(game(url, codec == "native", sleep)).expect("it starts");
    let address = server.urls()[0].split_once("://").expect("a URL").1.to_owned();
    answer(&address, |asked| match asked {
        "shared" => server.slots()[0].status().generations[0].shared.to_string(),
        "push" => server.sessions().group(GROUP).send(&Message::push(PUSH, BODY)).to_string(),
        _ => support::game::answer(&server, asked),
    });
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
