//! Measures how long a quiet client waits beside noisy clients that use another codec.
//!
//! Run it with `cargo bench -p wireplug --bench fairness`. One client of an honest codec sends a
//! request every five milliseconds, whether the last one was answered or not. The figure is the
//! time from when a request was due until its answer. Meanwhile clients of another codec, or that
//! codec itself, take all the time that they get. Clients and server share the machine, so compare
//! each row with the first. With `--quick`, each row only runs briefly.

use std::future::pending;
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
use wireplug::config::{CodecLimits, FaultLimits, ServerConfig};
use wireplug::session::Message;
use wireplug::{App, CodecSource, RunningServer, Server, Session, Sessions};
use wireplug_tests::app::GUEST;
use wireplug_tests::counted::Counted;
use wireplug_tests::hostile::Function::{BroadcastClass, Decode, EncodeShared, Open, Tick};
use wireplug_tests::hostile::{Guest, bodies};

/// The number of clients that pipeline requests, or that make their connection end and connect
/// again.
const NOISY: usize = 8;

/// The interval at which the quiet client sends requests.
const EVERY: Duration = Duration::from_millis(5);

/// A request of an honest client.
const LINE: &[u8; 64] = b"a line of sixty-four bytes, as an honest client might send it..\n";

/// The line by which a client joins the sessions that are pushed to.
const JOIN: &[u8] = b"join\n";

/// The group of the sessions that are pushed to.
const PUSHED_TO: &str = "noisy";

/// What the noisy clients do, and the codec that they use.
#[derive(Clone, Copy)]
enum Attack {
    Silence,
    /// Requests without end, as fast as the server reads them.
    Flood,
    /// Packets for which the codec computes until it is stopped. That ends the connection, and the
    /// client connects again.
    Deadline,
    /// This many idle connections, whose codec computes for 2 ms whenever its timer fires, and sets
    /// the timer to zero.
    Timers(usize),
    /// This many sessions in this many broadcast classes, with a push every 20 ms. The encoding for
    /// each class takes 9 ms.
    Classes(usize, u32),
    /// This many sessions. Each sends packets for which the codec computes for 9 ms, as often as
    /// slow calls are allowed.
    SlowCalls(usize),
    /// Requests without end, for each of which the codec computes for 20 µs, so that no call is
    /// slow.
    Busy,
}

/// How long the quiet client waited, and what the noisy clients did meanwhile.
struct Row {
    waited: Histogram<u64>,
    done: f64,
    turns_delayed: u64,
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick" || argument == "--test");
    let turn = Duration::from_millis(if quick { 200 } else { 10_000 });
    let call = CodecLimits::default().call_cpu;
    println!(
        "| a quiet client beside | p50 ms | p99 ms | p99.9 ms | longest ms | p99: alone | p99 at most twice that and a call | what they did |"
    );
    println!("|---|---:|---:|---:|---:|---:|---|---|");
    let before = Attack::Silence.measure(turn);
    let rows = [
        Attack::Flood,
        Attack::Deadline,
        Attack::Timers(100),
        Attack::Classes(200, 1 << 30),
        Attack::Classes(200, 4),
        Attack::SlowCalls(100),
        Attack::Busy,
    ]
    .map(|attack| (attack, attack.measure(turn)));
    // The load of the machine varies, so the baseline is measured at both ends of the run.
    let mut alone = Attack::Silence.measure(turn);
    alone.waited.add(before.waited).expect("both have the same digits");
    let p99_alone = alone.waited.value_at_quantile(0.99);
    let most = 2 * p99_alone + call.as_micros() as u64;
    for (attack, row) in [(Attack::Silence, alone)].into_iter().chain(rows) {
        let Row { waited, done, turns_delayed } = row;
        let ms = |micros: u64| micros as f64 / 1000.0;
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|quantile| waited.value_at_quantile(quantile));
        let ratio = p99 as f64 / p99_alone as f64;
        let verdict = if p99 <= most { "yes" } else { "NO" };
        println!(
            "| {} | {:.2} | {:.2} | {:.2} | {:.2} | {ratio:.1} | {verdict} | {}{} |",
            attack.name(),
            ms(p50),
            ms(p99),
            ms(p999),
            ms(waited.max()),
            attack.done(done),
            if turns_delayed > 0 { format!("; {turns_delayed} turns were delayed") } else { String::new() },
        );
    }
}

impl Attack {
    fn name(self) -> String {
        match self {
            Attack::Silence => "nobody".to_owned(),
            Attack::Flood => format!("{NOISY} that pipeline without end"),
            Attack::Deadline => format!("{NOISY} whose every call takes its whole deadline"),
            Attack::Timers(count) => format!("{count} idle ones whose timer burns 2 ms and is set to 0"),
            Attack::Classes(count, classes) if classes as usize > count => {
                format!("{count} with a broadcast class each and 9 ms for each encoding, pushed to")
            }
            Attack::Classes(count, classes) => {
                format!("{count} in {classes} broadcast classes and 9 ms for each encoding, pushed to")
            }
            Attack::SlowCalls(count) => format!("{count} whose every call takes 9 ms, as often as may be"),
            Attack::Busy => format!("{NOISY} that pipeline calls of 20 µs a packet without end"),
        }
    }

    fn done(self, each_second: f64) -> String {
        match self {
            Attack::Silence => String::new(),
            Attack::Deadline => format!("{each_second:.0} calls stopped a second"),
            Attack::Timers(_) => "asked for nothing".to_owned(),
            Attack::Classes(..) => format!("{each_second:.0} pushes received a second"),
            Attack::Flood | Attack::SlowCalls(_) | Attack::Busy => {
                format!("{each_second:.0} requests answered a second")
            }
        }
    }

    fn guest(self) -> Guest {
        let guest = Guest::new("hostile").items(bodies::BURN);
        let burn = |micros| bodies::burn(Duration::from_micros(micros));
        match self {
            Attack::Silence | Attack::Flood => guest,
            Attack::Deadline => guest.strike(bodies::LOOP),
            Attack::Timers(_) => {
                let body = format!(
                    "(local $event i32)
                     {}
                     (local.set $event (call $alloc (i32.const 48)))
                     (call $event (local.get $event) (i32.const 4))
                     (call $two (call $alloc (i32.const 8)) (local.get $event) (i32.const 1))",
                    burn(2000)
                );
                guest.with(Tick, &body)
            }
            Attack::Classes(_, classes) => {
                // The first bytes of the session's random seed choose the class.
                let open = format!(
                    "(global.set $class (i32.rem_u (i32.load (local.get $seed)) (i32.const {classes})))
                     (call $honest-open)"
                );
                let class = "(call $two (call $alloc (i32.const 8)) (i32.const 1) (global.get $class))";
                guest
                    .items("(global $class (mut i32) (i32.const 0))")
                    .with(Open, &open)
                    .with(BroadcastClass, class)
                    .with(EncodeShared, &format!("{} {}", burn(9000), EncodeShared.honest()))
            }
            Attack::SlowCalls(_) => guest.with(Decode, &format!("{} {}", burn(9000), Decode.honest())),
            Attack::Busy => guest.with(Decode, &format!("{} {}", burn(20), Decode.honest())),
        }
    }

    fn measure(self, turn: Duration) -> Row {
        let threads = Counted::start();
        let (server, [honest, hostile]) = threads.runtime.block_on(serve(&self.guest()));
        let noisy = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
        let done = Arc::new(AtomicU64::new(0));
        self.begin(&noisy, hostile, server.sessions(), &done);
        // The quiet client runs on this thread, so that it does not wait for the noisy clients
        // themselves.
        let quiet = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let waited = quiet.block_on(async {
            // By then the noisy clients have begun.
            sleep(turn / 20).await;
            done.store(0, Ordering::Relaxed);
            ask(honest, turn).await
        });
        let done = done.load(Ordering::Relaxed) as f64 / turn.as_secs_f64();
        let turns_delayed = server.slot("hostile").map_or(0, |slot| slot.status().cpu.delayed);
        noisy.shutdown_background();
        // This releases the address space of the server's sandboxes. Several servers at a time
        // would not have enough.
        threads.runtime.block_on(server.shutdown());
        threads.runtime.shutdown_background();
        Row { waited, done, turns_delayed }
    }

    fn begin(self, runtime: &Runtime, address: SocketAddr, sessions: &Sessions, done: &Arc<AtomicU64>) {
        let each = |count: usize, begin: &dyn Fn(Arc<AtomicU64>)| {
            (0..count).for_each(|_| begin(Arc::clone(done)));
        };
        match self {
            Attack::Silence => {}
            Attack::Flood | Attack::Busy => each(NOISY, &|done| drop(runtime.spawn(flood(address, done)))),
            Attack::Deadline => each(NOISY, &|done| drop(runtime.spawn(strike(address, done)))),
            Attack::Timers(count) => each(count, &|done| {
                drop(runtime.spawn(ask_again(address, None, done)));
            }),
            Attack::SlowCalls(count) => each(count, &|done| {
                drop(runtime.spawn(ask_again(address, Some(Duration::from_millis(210)), done)));
            }),
            Attack::Classes(count, _) => {
                each(count, &|done| drop(runtime.spawn(ask_again(address, None, done))));
                let sessions = sessions.clone();
                runtime.spawn(async move {
                    let mut due = interval_at(Instant::now().into(), Duration::from_millis(20));
                    loop {
                        due.tick().await;
                        sessions.group(PUSHED_TO).send(&Message::push(GUEST, &LINE[..LINE.len() - 1]));
                    }
                });
            }
        }
    }
}

/// Starts a server with two listeners that echo lines. One has an honest codec, and the other one
/// has this guest. Each client has a sandbox of its own.
async fn serve(hostile: &Guest) -> (RunningServer, [SocketAddr; 2]) {
    // The fault limits would end the noise. The figure is what the noise costs before they do.
    let faults = FaultLimits { suspend: 0, per_address: 0, ..FaultLimits::default() };
    let app = App::new().route(GUEST, |body: Bytes, session: Session| {
        if *body == *JOIN.trim_ascii_end() {
            session.join(PUSHED_TO).expect("a good name");
        }
        async move { body }
    });
    let codec =
        |guest: &Guest, name| CodecSource::bytes(name, guest.build(), serde_json::json!({})).faults(faults);
    let config = ServerConfig { max_connections: 1000, ..ServerConfig::default() };
    let server = Server::new(app)
        .config(config)
        .listen("tcp://127.0.0.1:0", codec(&Guest::new("honest"), "honest"))
        .listen("tcp://127.0.0.1:0", codec(hostile, "hostile"));
    let server = server.start().await.expect("it starts");
    let address = |url: &String| url.trim_start_matches("tcp://").parse().expect("a numeric address");
    let addresses = [address(&server.urls()[0]), address(&server.urls()[1])];
    (server, addresses)
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
        // Wait until the runtime has ended the connection.
        if struck.is_ok() && matches!(stream.read(&mut [0]).await, Ok(0) | Err(_)) {
            done.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Joins the sessions that are pushed to, sends a request at each interval, and counts the lines
/// that come. When its connection ends, it connects again. Never returns.
async fn ask_again(address: SocketAddr, every: Option<Duration>, done: Arc<AtomicU64>) {
    loop {
        let (mut read, mut write) = TcpStream::connect(address).await.expect("it listens").into_split();
        let asking = async {
            let mut asked = write.write_all(JOIN).await;
            let Some(every) = every else { return pending().await };
            while asked.is_ok() {
                sleep(every).await;
                asked = write.write_all(LINE).await;
            }
        };
        let hearing = async {
            let mut buffer = vec![0; 4096];
            while let Ok(count @ 1..) = read.read(&mut buffer).await {
                let lines = buffer[..count].iter().filter(|byte| **byte == b'\n').count();
                done.fetch_add(lines as u64, Ordering::Relaxed);
            }
        };
        tokio::select! { () = asking => {} () = hearing => {} }
    }
}

/// Sends a request every [`EVERY`]. Returns how long after each request was due its answer was
/// there, in microseconds.
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
