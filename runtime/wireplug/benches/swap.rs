//! Measures what it costs to load a codec, to swap it under traffic, and to try a candidate in the
//! shadow.
//!
//! Run it with `cargo bench -p wireplug --bench swap`. A server and its clients run in one process,
//! on threads of their own. Each run with swaps or with a shadow is compared with the same run
//! without, and both are measured in turns. The server's cost is the CPU time of its threads. With
//! `--quick`, each part only runs briefly.

mod support;

use std::fs;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;
use wireplug::App;
use wireplug::config::{CodecLimits, FaultLimits, LiveSessions, ServerConfig};
use wireplug::slot::Trial;
use wireplug::{CodecSource, RunningServer, Server};
use wireplug_tests::counted::Counted;
use wireplug_tests::versions::POMELO;
use wireplug_wasm::{Cache, WasmEngine, WasmLoader};

use support::{Clients, ECHO, Transport};

/// The number of clients.
const CLIENTS: usize = 500;

/// Requests that a client sends at once before it reads the answers.
const PIPELINE: usize = 16;

/// The number of turns of each of two variants that are compared.
const TURNS: usize = 5;

/// The time between two swaps.
const BETWEEN_SWAPS: Duration = Duration::from_millis(100);

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick" || argument == "--test");
    let (clients, turn) =
        if quick { (4, Duration::from_millis(50)) } else { (CLIENTS, Duration::from_secs(2)) };
    load(if quick { 1 } else { 20 });
    Bench::start(clients).pause(turn).shadow(turn);
}

// === loading ===

/// Measures how long a component takes until it is ready, compiled and from the cache.
fn load(times: usize) {
    let limits = CodecLimits::default();
    let directory = std::env::temp_dir().join(format!("wireplug-bench-{}", std::process::id()));
    let engine = || WasmEngine::new(8, limits.memory).expect("room for few sandboxes");
    let cached = engine().with_cache(Cache::open(&directory).expect("a private directory"));
    let compiled = engine();
    let time = |engine: &WasmEngine, wasm: &[u8]| {
        let start = Instant::now();
        WasmLoader::new(engine, limits).load(wasm, "{}".into()).expect("the codec is good");
        start.elapsed()
    };
    time(&cached, POMELO);
    let best = |engine| (0..times).map(|_| time(engine, POMELO)).min().expect("once at least");
    let (cold, warm) = (best(&compiled), best(&cached));
    fs::remove_dir_all(&directory).expect("it was just made");
    println!("| load, {} KB | ms |", POMELO.len() >> 10);
    println!("|---|---:|");
    println!("| cold | {:.1} |", cold.as_secs_f64() * 1e3);
    println!("| from the cache | {:.2} |", warm.as_secs_f64() * 1e3);
    println!("| ratio | {:.0} |\n", cold.as_secs_f64() / warm.as_secs_f64());
}

// === a server and its clients ===

struct Bench {
    server: RunningServer,
    threads: Counted,
    clients: Clients,
}

impl Bench {
    fn start(clients: usize) -> Self {
        let threads = Counted::start();
        let app = App::new().route(ECHO, |body: Bytes| async move { body });
        let config = ServerConfig { max_connections: 2000, ..ServerConfig::default() };
        // The fault limits must not end what is measured here.
        let faults = FaultLimits { rollback: 0, suspend: 0, ..FaultLimits::default() };
        let server = Server::new(app)
            .config(config)
            .listen("tcp://127.0.0.1:0", CodecSource::pomelo(json!({})).faults(faults));
        let server = threads.runtime.block_on(server.start()).expect("it starts");
        let address = server.urls()[0]["tcp://".len()..].parse().expect("a numeric address");
        let clients = Clients::connect(clients, PIPELINE, Transport::Tcp, address, true);
        Self { server, threads, clients }
    }

    /// Lets all clients send requests for `time`. Meanwhile runs `beside`. Returns how long each
    /// pipeline took, sorted, and the server's CPU time for each request, in seconds.
    fn run(
        &mut self,
        time: Duration,
        beside: impl AsyncFnOnce(&RunningServer, Instant),
    ) -> (Vec<Duration>, f64) {
        let until = Instant::now() + time;
        let before = self.threads.cpu_time();
        let (runtime, server) = (&self.threads.runtime, &self.server);
        let asked = self.clients.ask(until, || runtime.block_on(beside(server, until)));
        let cost = (self.threads.cpu_time() - before).as_secs_f64() / asked.requests as f64;
        (asked.times, cost)
    }

    /// Measures what clients notice of swaps by handoff.
    fn pause(mut self, turn: Duration) -> Self {
        let (mut still, mut swapped) = (Vec::new(), Vec::new());
        let mut pauses = Vec::new();
        for _ in 0..TURNS {
            still.extend(self.run(turn, async |_, _| {}).0);
            let (times, _) = self.run(turn, async |server, until| {
                let slot = server.slot("pomelo").expect("the only one");
                let source = CodecSource::pomelo(json!({}));
                while Instant::now() < until {
                    let report =
                        slot.swap(&source, Some(LiveSessions::Handoff)).await.expect("it is the same codec");
                    assert_eq!((report.staying, report.rolled_back), (0, false), "{report:?}");
                    pauses.push((report.took_ms, Duration::from_micros(report.longest_move_us)));
                    tokio::time::sleep(BETWEEN_SWAPS).await;
                }
            });
            swapped.extend(times);
        }
        still.sort_unstable();
        swapped.sort_unstable();
        println!(
            "| {PIPELINE} requests and their answers, {} connections | p50 ms | p99 ms | p99.9 ms |",
            self.clients.len()
        );
        println!("|---|---:|---:|---:|");
        for (what, times) in [("without swaps", &still), ("a handoff of all every 100 ms", &swapped)] {
            println!("| {what} | {:.2} | {:.2} | {:.2} |", at(times, 0.5), at(times, 0.99), at(times, 0.999));
        }
        let mut longest: Vec<_> = pauses.iter().map(|(_, longest)| *longest).collect();
        longest.sort_unstable();
        let mut whole: Vec<_> = pauses.iter().map(|(ms, _)| Duration::from_millis(*ms)).collect();
        whole.sort_unstable();
        println!("\n| {} swaps | p50 ms | p99 ms |", pauses.len());
        println!("|---|---:|---:|");
        println!(
            "| the longest that a session stood still in a swap | {:.3} | {:.3} |",
            at(&longest, 0.5),
            at(&longest, 0.99)
        );
        println!(
            "| until all sessions were on the new generation | {:.0} | {:.0} |\n",
            at(&whole, 0.5),
            at(&whole, 0.99)
        );
        self
    }

    /// Measures what a shadow of all sessions costs.
    fn shadow(mut self, turn: Duration) {
        let (mut alone, mut mirrored) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..TURNS {
            alone = alone.min(self.run(turn, async |_, _| {}).1);
            let slot = self.server.slot("pomelo").expect("the only one").clone();
            let source = CodecSource::pomelo(json!({}));
            self.threads
                .runtime
                .block_on(slot.try_out(&source, Trial::Shadow, 1.0))
                .expect("it is the same codec");
            mirrored = mirrored.min(self.run(turn, async |_, _| {}).1);
            self.threads.runtime.block_on(slot.end_trial()).expect("it is on trial");
            let shadow = slot.status().shadow.expect("there was one");
            assert_eq!(shadow.differences, 0, "{shadow:?}");
            assert!(shadow.compared > 0);
        }
        println!("| the server's CPU a request, pipeline {PIPELINE} | µs |");
        println!("|---|---:|");
        println!("| alone | {:.2} |", alone * 1e6);
        println!("| as many sessions mirrored as there is room for | {:.2} |", mirrored * 1e6);
        println!("| ratio | {:.2} |", mirrored / alone);
    }
}

/// Returns the time within which the share `part` of all was done, in milliseconds.
fn at(sorted: &[Duration], part: f64) -> f64 {
    let index = ((sorted.len() as f64 * part) as usize).min(sorted.len() - 1);
    sorted[index].as_secs_f64() * 1e3
}
