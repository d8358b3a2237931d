//! Measures the upgrade of a server under its live sessions.
//!
//! Run it with `cargo bench -p wireplug --bench upgrade`. A server with many idle sessions and some
//! busy ones is upgraded again and again, each time to another process of this program. The figures
//! are the time in which all sessions have moved, and for the busy ones the longest time in which
//! one had no answer, beside the same with no upgrade. With `--quick`, it has few sessions.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;
use wireplug::RunningServer;
use wireplug::upgrade::{Takeover, Upgrade};
use wireplug_tests::figures::report;
use wireplug_tests::running::{Signal, send};

use support::game::{Sleep, prepared};
use support::other::{AT_ONCE, Other, answer};
use support::{Transport, connect, request, response};

const SESSIONS: usize = 10_000;

/// One of so many sessions is busy.
const BUSY: usize = 50;

/// How long a busy client waits after each answer.
const THINKS: Duration = Duration::from_millis(10);

/// The time after which a session sleeps, in the row with sleep.
const SLEEP_AFTER: Duration = Duration::from_secs(1);

const UPGRADES: usize = 5;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--serve") {
        return serve(&arguments[at + 1], arguments.get(at + 2).is_some());
    }
    let quick = arguments.iter().any(|argument| argument == "--quick" || argument == "--test");
    let (sessions, upgrades) = if quick { (200, 1) } else { (SESSIONS, UPGRADES) };
    println!(
        "| {sessions} sessions, {upgrades} upgrades | median ms | slowest ms | pause p50, ms | p99 | longest | p99 without |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for kind in ["awake", "asleep"] {
        row(kind, sessions, upgrades);
    }
}

fn row(kind: &str, sessions: usize, upgrades: usize) {
    let mut server = Other::start(kind);
    let address = server.address;
    let connecting =
        stream::iter(0..sessions).map(|_| connect(Transport::Tcp, address, true)).buffered(AT_ONCE);
    let (mut idle, mut longest) = (Vec::new(), Vec::new());
    for (number, stream) in server.clients.block_on(connecting.collect::<Vec<_>>()).into_iter().enumerate() {
        if number % BUSY == 0 {
            let own = Arc::new(AtomicU64::new(0));
            longest.push(Arc::clone(&own));
            server.clients.spawn(ask_on(stream, own));
        } else {
            idle.push(stream);
        }
    }
    if kind == "asleep" {
        server.until_asleep(idle.len());
    }
    let mut process = server.id();
    let (mut took, mut pauses, mut without) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..upgrades {
        // Whatever the upgrade before has left to do.
        thread::sleep(2 * SLEEP_AFTER);
        take(&longest);
        thread::sleep(SLEEP_AFTER);
        without.extend(take(&longest));
        send(process, Signal::USR2);
        let report = server.line();
        // The last session has its answer too.
        thread::sleep(SLEEP_AFTER);
        pauses.extend(take(&longest));
        let numbers: Vec<u64> = report.split(' ').map(|number| number.parse().expect("a number")).collect();
        let [new, moved, ms] = numbers[..] else { panic!("three numbers: {report}") };
        assert_eq!(moved, sessions as u64, "all sessions move");
        process = u32::try_from(new).expect("the number of a process");
        took.push(ms);
    }
    send(process, Signal::KILL);
    [&mut took, &mut pauses, &mut without].into_iter().for_each(|figures| figures.sort_unstable());
    let at = |figures: &[u64], part: f64| figures[(figures.len() as f64 * part) as usize] as f64;
    let (median, slowest) = (at(&took, 0.5), took[took.len() - 1] as f64);
    let [p50, p99] = [0.5, 0.99].map(|part| at(&pauses, part) / 1e3);
    let most = pauses[pauses.len() - 1] as f64 / 1e3;
    let usual = at(&without, 0.99) / 1e3;
    println!("| {kind} | {median:.0} | {slowest:.0} | {p50:.1} | {p99:.1} | {most:.1} | {usual:.1} |");
    report(&format!("upgrade-{kind}-ms"), slowest);
    report(&format!("upgrade-{kind}-pause-p99-ms"), p99);
}

/// Takes out the longest times, in microseconds.
fn take(longest: &[Arc<AtomicU64>]) -> Vec<u64> {
    longest.iter().map(|own| own.swap(0, Ordering::Relaxed)).collect()
}

/// Sends requests one after the other, and notes the longest time until an answer, in microseconds.
async fn ask_on(mut stream: TcpStream, longest: Arc<AtomicU64>) {
    let request = request();
    let mut buffer = vec![0; response().len()];
    loop {
        let sent = Instant::now();
        let asked = async {
            stream.write_all(&request).await?;
            stream.read_exact(&mut buffer).await
        };
        if asked.await.is_err() {
            // The last process was ended.
            return;
        }
        longest.fetch_max(sent.elapsed().as_micros() as u64, Ordering::Relaxed);
        sleep(THINKS).await;
    }
}

/// Serves, in a process of its own, and upgrades itself at SIGUSR2.
fn serve(kind: &str, takes_over: bool) {
    let runtime = tokio::runtime::Runtime::new().expect("threads are to be had");
    let server = runtime.block_on(start(kind, takes_over)).expect("it starts");
    let (server, kind) = (Arc::new(server), kind.to_owned());
    let upgraded = runtime.spawn(upgrade(Arc::clone(&server), kind));
    if takes_over {
        return runtime.block_on(upgraded).expect("no panic");
    }
    let address = server.urls()[0].trim_start_matches("tcp://").to_owned();
    answer(&address, |asked| support::game::answer(&server, asked));
}

async fn start(kind: &str, takes_over: bool) -> anyhow::Result<RunningServer> {
    let sleep = if kind == "asleep" { Sleep::After(SLEEP_AFTER) } else { Sleep::Never };
    let mut server = prepared("tcp://127.0.0.1:0", false, sleep)?;
    if takes_over {
        let takeover = Takeover::from_stdin().await?;
        server = server.inherit_sockets(takeover.sockets()).taking_over(takeover);
    }
    Ok(server.start().await?)
}

/// Waits for the signal, upgrades the server, reports that, and ends the process.
async fn upgrade(server: Arc<RunningServer>, kind: String) {
    let mut user = signal(SignalKind::user_defined2()).expect("it can be handled");
    user.recv().await;
    let program = std::env::current_exe().expect("a running program has a path");
    let next = Upgrade::to(program).argument("--serve").argument(kind).argument("--take-over");
    let report = server.upgrade(next).await.unwrap_or_else(|error| panic!("{error:?}"));
    println!("{} {} {}", report.pid, report.moved, report.took_ms);
    server.drain_rest().await;
    std::process::exit(0);
}
