//! How long a quiet client waits beside noisy ones.
//!
//! `cargo bench -p wireplug --bench fairness`. One client sends a request every five milliseconds, whether it was answered or
//! not: what is measured is the time from when a request was due until its answer. Beside it are clients that
//! pipeline without end, or whose every packet takes all the time that a codec call may. Clients and server share the
//! machine: read the rows against the first. With `--quick` each is only tried.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join;
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{interval_at, sleep};
use wireplug::app::App;
use wireplug::config::FaultLimits;
use wireplug::server::{CodecSource, RunningServer, Server};
use wireplug_tests::app::GUEST;
use wireplug_tests::hostile::{Guest, bodies};

use support::Counted;

const NOISY: usize = 8;

/// How often the quiet client asks.
const EVERY: Duration = Duration::from_millis(5);

/// A request of an honest client.
const LINE: &[u8; 64] = b"a line of sixty-four bytes, as an honest client might send it..\n";

/// What the noisy ones do. Counts what it did.
#[derive(Clone, Copy)]
enum Noise {
    Silence,
    /// Requests without end, as fast as they are taken.
    Flood,
    /// Packets at which the codec computes until it is stopped. That ends the connection, and the next follows.
    Deadline,
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick" || argument == "--test");
    let turn = Duration::from_millis(if quick { 200 } else { 10_000 });
    println!("| a quiet client beside | p50 ms | p99 ms | p99.9 ms | longest ms | what they did |");
    println!("|---|---:|---:|---:|---:|---|");
    row("nobody", Noise::Silence, turn);
    row(&format!("{NOISY} that pipeline without end"), Noise::Flood, turn);
    row(&format!("{NOISY} whose every call takes its whole deadline"), Noise::Deadline, turn);
}

fn row(name: &str, noise: Noise, turn: Duration) {
    let threads = Counted::new();
    let (server, address) = threads.runtime.block_on(serve());
    let noisy = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
    let done = make_noise(&noisy, noise, address);
    // On this thread, so that the noisy ones of its own kind are not what it waits for.
    let quiet = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let waited = quiet.block_on(async {
        // The noise has begun by then.
        sleep(turn / 20).await;
        ask(address, turn).await
    });
    let ms = |micros: u64| micros as f64 / 1000.0;
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|quantile| ms(waited.value_at_quantile(quantile)));
    let each = done.load(Ordering::Relaxed) as f64 / turn.as_secs_f64();
    let what = match noise {
        Noise::Silence => "".to_owned(),
        Noise::Flood => format!("{each:.0} requests a second"),
        Noise::Deadline => format!("{each:.0} calls stopped a second"),
    };
    println!("| {name} | {p50:.2} | {p99:.2} | {p999:.2} | {:.2} | {what} |", ms(waited.max()));
    noisy.shutdown_background();
    drop(server);
}

/// An echo of lines, each client in a sandbox of its own; at a line that begins with `!` the guest never comes back.
async fn serve() -> (RunningServer, SocketAddr) {
    let guest = Guest::new("spinning").strike(bodies::LOOP).build();
    // The breaker would end the noise: what is shown is what it costs before.
    let faults = FaultLimits { suspend: 0, per_address: 0, ..FaultLimits::default() };
    let app = App::new().route(GUEST, |body: Bytes| async move { body });
    let codec = CodecSource::bytes("spinning", guest, serde_json::json!({})).faults(faults);
    let server = Server::new(app).listen("tcp://127.0.0.1:0", codec).start().await.expect("it starts");
    let address = server.urls()[0].trim_start_matches("tcp://").parse().expect("a numeric address");
    (server, address)
}

fn make_noise(runtime: &Runtime, noise: Noise, address: SocketAddr) -> Arc<AtomicU64> {
    let done = Arc::new(AtomicU64::new(0));
    for _ in 0..NOISY {
        let done = Arc::clone(&done);
        match noise {
            Noise::Silence => {}
            Noise::Flood => drop(runtime.spawn(flood(address, done))),
            Noise::Deadline => drop(runtime.spawn(strike(address, done))),
        }
    }
    done
}

async fn flood(address: SocketAddr, done: Arc<AtomicU64>) {
    let (mut read, mut write) = TcpStream::connect(address).await.expect("it listens").into_split();
    tokio::spawn(async move {
        let lines = LINE.repeat(1024);
        while write.write_all(&lines).await.is_ok() {}
    });
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = read.read(&mut buffer).await {
        done.fetch_add((count / LINE.len()) as u64, Ordering::Relaxed);
    }
}

async fn strike(address: SocketAddr, done: Arc<AtomicU64>) {
    loop {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let struck = stream.write_all(b"!\n").await;
        // Until the runtime has ended it.
        if struck.is_ok() && matches!(stream.read(&mut [0]).await, Ok(0) | Err(_)) {
            done.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Asks every so often, and notes how long after a request was due its answer was there, in microseconds.
async fn ask(address: SocketAddr, turn: Duration) -> Histogram<u64> {
    let stream = TcpStream::connect(address).await.expect("it listens");
    stream.set_nodelay(true).expect("it is open");
    let (mut read, mut write) = stream.into_split();
    let begun = Instant::now();
    let count = (turn.as_micros() / EVERY.as_micros()) as u32;
    let asking = async {
        let mut due = interval_at(begun.into(), EVERY);
        for _ in 0..count {
            due.tick().await;
            write.write_all(LINE).await.expect("it reads");
        }
    };
    let hearing = async {
        let mut waited = Histogram::new(3).expect("three digits");
        for number in 0..count {
            read.read_exact(&mut [0; LINE.len()]).await.expect("it answers");
            let late = begun.elapsed() - EVERY * number;
            waited.record(late.as_micros() as u64).expect("a time that a histogram holds");
        }
        waited
    };
    join(asking, hearing).await.1
}
