//! Measures what it costs to wake a session that sleeps.
//!
//! Run it with `cargo bench -p wireplug --bench wake`. Two servers, each in a process of its own,
//! have the same sessions and get the same requests: at one of them each session sleeps until its
//! next request, at the other no session sleeps. They are measured in turns, and the difference of
//! their CPU time is the cost of waking a session and of letting it sleep again. With `--quick`,
//! each turn only runs briefly.

mod support;

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::sleep_until;
use wireplug_tests::counted::Counted;
use wireplug_tests::figures::report;

use support::game::{Sleep, game};
use support::other::{Other, answer};
use support::{Transport, request, response};

/// The sessions of each server. The clients of both take fewer file descriptors than a process
/// usually has.
const SESSIONS: usize = 9_000;

/// Requests a second. Each of them wakes a session.
const RATE: usize = 2_000;

/// The time after which a session sleeps: less than the time between two of its requests.
const SLEEP_AFTER: Duration = Duration::from_secs(1);

/// The number of turns of each server.
const TURNS: usize = 3;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--serve") {
        return serve(&arguments[at + 1]);
    }
    let quick = arguments.iter().any(|argument| argument == "--quick" || argument == "--test");
    // In a turn each session has two requests.
    let (sessions, rate, turns) = if quick { (40, 20, 1) } else { (SESSIONS, RATE, TURNS) };
    let turn = Duration::from_secs_f64(2.0 * sessions as f64 / rate as f64);
    let mut servers = ["awake", "asleep"].map(|kind| Measured::start(kind, sessions));
    for _ in 0..turns {
        for server in &mut servers {
            server.turn(turn);
        }
    }
    println!(
        "| {sessions} sessions, {rate} requests a second | the server's CPU a request, µs | latency p50, ms | p99, ms |"
    );
    println!("|---|---:|---:|---:|");
    for Measured { kind, cpu, latency: [p50, p99], .. } in &servers {
        println!("| {kind} | {cpu:.1} | {p50:.2} | {p99:.2} |");
    }
    let [awake, asleep] = &servers;
    let (cpu, p99) = (asleep.cpu - awake.cpu, asleep.latency[1]);
    println!("| waking, and sleeping again | {cpu:.1} | | |\n");
    report("wake-cpu-us", cpu);
    report("wake-p99-ms", p99);
}

/// A server, and the least that a turn of it took.
struct Measured {
    kind: &'static str,
    other: Other,
    streams: Vec<TcpStream>,
    /// The CPU time of a request, in microseconds.
    cpu: f64,
    /// The latency that half of the requests, and 99 % of them, have at the most, in milliseconds.
    latency: [f64; 2],
}

impl Measured {
    fn start(kind: &'static str, sessions: usize) -> Self {
        let mut other = Other::start(kind);
        let streams = other.connect(sessions, Transport::Tcp, true);
        Self { kind, other, streams, cpu: f64::INFINITY, latency: [f64::INFINITY; 2] }
    }

    /// Lets each client send its requests, spread over the time of the turn.
    fn turn(&mut self, turn: Duration) {
        let sleeps = self.kind == "asleep";
        let count = self.streams.len();
        if sleeps {
            self.other.until_asleep(count);
        }
        let woken = self.other.ask("woken");
        let before = self.other.cpu_time();
        let start = tokio::time::Instant::now() + Duration::from_millis(100);
        let clients: Vec<_> = self
            .streams
            .drain(..)
            .enumerate()
            .map(|(n, stream)| {
                let first = start + turn.mul_f64(n as f64 / count as f64 / 2.0);
                self.other.clients.spawn(ask_twice(stream, [first, first + turn / 2]))
            })
            .collect();
        let mut latencies = Vec::with_capacity(2 * count);
        for client in clients {
            let (stream, its) = self.other.clients.block_on(client).expect("no panic");
            latencies.extend(its);
            self.streams.push(stream);
        }
        let cost = (self.other.cpu_time() - before).as_secs_f64() * 1e6 / latencies.len() as f64;
        if sleeps {
            let number = |text: String| text.parse::<usize>().expect("a number");
            let woken = number(self.other.ask("woken")) - number(woken);
            assert!(woken * 10 >= latencies.len() * 9, "{woken} wakes for {} requests", latencies.len());
        }
        latencies.sort_unstable();
        let at = |part: f64| latencies[(latencies.len() as f64 * part) as usize].as_secs_f64() * 1e3;
        self.cpu = self.cpu.min(cost);
        self.latency = [self.latency[0].min(at(0.5)), self.latency[1].min(at(0.99))];
    }
}

/// Sends a request at each of these times. Returns how long each took.
async fn ask_twice(mut stream: TcpStream, times: [tokio::time::Instant; 2]) -> (TcpStream, [Duration; 2]) {
    let request = request();
    let mut buffer = vec![0; response().len()];
    let mut took = [Duration::ZERO; 2];
    for (time, took) in times.into_iter().zip(&mut took) {
        sleep_until(time).await;
        let sent = Instant::now();
        stream.write_all(&request).await.expect("it reads");
        stream.read_exact(&mut buffer).await.expect("it answers");
        *took = sent.elapsed();
    }
    (stream, took)
}

/// Serves, in a process of its own.
fn serve(kind: &str) {
    let threads = Counted::start();
    let sleep = if kind == "asleep" { Sleep::After(SLEEP_AFTER) } else { Sleep::Never };
    let server = threads.runtime.block_on(game("tcp://127.0.0.1:0", false, sleep)).expect("it starts");
    let address = server.urls()[0].trim_start_matches("tcp://").to_owned();
    answer(&address, |asked| support::game::answer(&server, asked));
}
