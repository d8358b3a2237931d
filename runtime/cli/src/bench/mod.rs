//! `wireplug bench`: puts load on a Pomelo server, and reports how the server answers.
//!
//! Each thread has a share of the connections. A connection is a task (`connection`) that sends
//! requests (`echo`) or takes part in a chat (`fan_out`) over a `wire`. All threads share the
//! `load`, and each thread counts into its own `tally`.

pub(super) mod args;
mod body;
mod connection;
mod echo;
mod fan_out;
mod load;
mod process;
mod report;
mod schedule;
mod tally;
mod thread;
mod timer;
mod wire;

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::time::{sleep, sleep_until};

pub(super) use args::Args;
use load::{Load, Window};
use process::{Process, own_cpu};
use report::{Report, Usage};
use tally::Cause;

use super::link::Target;

/// How long before the window begins it is announced to the connections.
const ANNOUNCED: Duration = Duration::from_millis(50);

/// How often to check the progress of the connections and the threads.
const LOOK: Duration = Duration::from_millis(20);

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    args.check()?;
    let process = args.pid.map(Process);
    let resident_before = process.map(Process::resident).transpose()?;
    let target = Target::find(&args.url, &args.trust).await?;
    let load = Arc::new(Load::new(args, target));
    let threads = (0..load.args.threads())
        .map(|thread| {
            let load = load.clone();
            std::thread::Builder::new().spawn(move || thread::run(load, thread))
        })
        .collect::<Result<Vec<_>, _>>()
        .context("cannot start a thread")?;

    let mut progress = Progress::new(&load);
    let all = load.args.connections;
    while load.arrived.load(Ordering::Relaxed) < all || load.started.elapsed() < load.args.ramp {
        sleep(LOOK).await;
        progress.look();
        if threads.iter().all(JoinHandle::is_finished) {
            break;
        }
    }
    let connections = load.open.load(Ordering::Relaxed);
    if connections == 0 {
        join(threads)?;
        return Err(nobody_came(&load));
    }

    let begin = Instant::now() + ANNOUNCED;
    let window = Window { begin, end: begin + load.args.duration };
    let window = *load.window.get_or_init(|| window);
    sleep_until(window.begin.into()).await;
    let (own_before, cpu_before) = (own_cpu(), process.map(Process::cpu).transpose()?);
    // If the server closes all connections, the threads finish before the end of the window.
    while Instant::now() < window.end && !threads.iter().all(JoinHandle::is_finished) {
        sleep_until((Instant::now() + LOOK).min(window.end).into()).await;
        progress.look();
    }
    let measured = window.begin.elapsed().min(load.args.duration);
    let generator = own_cpu() - own_before;
    // A server that has ended has no usage; the errors report how it treated its connections.
    let server = process.zip(cpu_before).zip(resident_before).and_then(|((process, cpu), resident)| {
        Some(Usage {
            cpu: process.cpu().ok()?.saturating_sub(cpu),
            resident: process.resident().ok()?,
            resident_before: resident,
        })
    });
    join(threads)?;

    let total = load.total();
    let backlog = load.due(window).map(|due| due.saturating_sub(total.sent));
    let report =
        Report { args: &load.args, connections, measured, backlog, generator, server, total: &total };
    if load.args.json {
        say!("{:#}", report.json());
    } else {
        say!("{report}");
    }
    match total.error_count() {
        0 => Ok(()),
        count => bail!("errors under load: {count}"),
    }
}

fn join(threads: Vec<JoinHandle<std::io::Result<()>>>) -> anyhow::Result<()> {
    threads.into_iter().try_for_each(|thread| {
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).context("the load generator")
    })
}

/// Returns the error for a run in which no connection could be opened.
fn nobody_came(load: &Load) -> anyhow::Error {
    let total = load.total();
    let (cause, errors) = total.errors.first_key_value().expect("each connection failed");
    match cause {
        Cause::Connect => anyhow::anyhow!("{}", errors.first),
        _ => anyhow::anyhow!("{}: {}: {}", load.args.url, cause.name(), errors.first),
    }
}

/// Prints a line each second if standard error is a terminal.
struct Progress<'a> {
    load: &'a Load,
    wanted: bool,
    next: Instant,
    seen: u64,
}

impl<'a> Progress<'a> {
    const EVERY: Duration = Duration::from_secs(1);

    fn new(load: &'a Load) -> Self {
        let wanted = std::io::stderr().is_terminal();
        Self { load, wanted, next: load.started + Self::EVERY, seen: 0 }
    }

    fn look(&mut self) {
        if !self.wanted || Instant::now() < self.next {
            return;
        }
        self.next += Self::EVERY;
        let total = self.load.total();
        complain!(
            "{:>4} s  {}  {} connections  {} {}/s  {} errors",
            self.load.started.elapsed().as_secs(),
            if self.load.window.get().is_some() { "measuring" } else { "opening" },
            self.load.open.load(Ordering::Relaxed),
            total.seen - self.seen,
            report::received(&self.load.args),
            total.error_count(),
        );
        self.seen = total.seen;
    }
}
