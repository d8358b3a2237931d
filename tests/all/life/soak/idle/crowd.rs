//! Many clients on one thread. The thread looks at each of them from time to time, and does what is
//! due; no client has a task.
//!
//! The server's side talks to the thread in lines, because it may be in another process. The crowd
//! answers `ready` when all clients are established. At the line `end PUSHES` it waits until each
//! client has received this many pushes and an answer to each heartbeat, and answers with its
//! counts. A line `failed …` says what went wrong, at any time.

use std::collections::VecDeque;
use std::io::{BufRead, Write};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use super::client::Client;
use super::link::Link;

/// Begins each line of a crowd. In another process, the test harness prints other lines beside it.
pub const MARK: &str = "crowd: ";

/// In how many parts of the interval of heartbeats each client is looked at once.
const LOOKS: u32 = 6;

/// Clients whose handshake is not over.
const AT_ONCE: usize = 64;

/// The pause between two rounds, which is also the precision of the latencies.
const ROUND: Duration = Duration::from_millis(1);

/// One client in this many is looked at in each round until its heartbeat is answered, for the
/// latencies.
const WATCHED: usize = 16;

/// How long the last pushes and answers may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Crowd<L, Connect> {
    connect: Connect,
    count: usize,
    interval: Duration,
    clients: Vec<Client<L>>,
    /// The clients whose handshake is not over.
    fresh: VecDeque<usize>,
    /// Clients that wait for the answer to a heartbeat, and since when.
    watched: VecDeque<(usize, Instant)>,
    latencies: Vec<Duration>,
    buffer: Vec<u8>,
}

/// Lets `count` clients live until the line `end`, and writes the outcome to `out`.
pub fn run<L: Link>(
    connect: impl FnMut() -> L,
    count: usize,
    interval: Duration,
    lines: impl BufRead + Send + 'static,
    mut out: impl Write,
) {
    let mut crowd = Crowd {
        connect,
        count,
        interval,
        clients: Vec::with_capacity(count),
        fresh: VecDeque::new(),
        watched: VecDeque::new(),
        latencies: Vec::new(),
        buffer: Vec::new(),
    };
    let (say, lines_in) = mpsc::channel();
    thread::spawn(move || lines.lines().map_while(Result::ok).try_for_each(|line| say.send(line)));
    let outcome = crowd.live(&lines_in, &mut out).unwrap_or_else(|why| format!("failed {why}"));
    // The line comes first: then the clients go, and the server's side notices that.
    // Nobody reads it if the test has failed.
    let _ = writeln!(out, "{MARK}{outcome}");
}

impl<L: Link, Connect: FnMut() -> L> Crowd<L, Connect> {
    /// Returns the line with the counts.
    fn live(&mut self, lines: &Receiver<String>, out: &mut impl Write) -> Result<String, String> {
        let (mut looked, mut last) = (0, Instant::now());
        let mut owed = 0.0;
        let mut announced = false;
        let pushes = loop {
            let now = Instant::now();
            self.open(now)?;
            if !announced && self.clients.len() == self.count && self.fresh.is_empty() {
                announced = true;
                writeln!(out, "{MARK}ready").map_err(|error| error.to_string())?;
            }
            owed += (now - last).as_secs_f64() / (self.interval / LOOKS).as_secs_f64() * self.count as f64;
            last = now;
            for _ in 0..(owed as usize).min(self.clients.len()) {
                looked = (looked + 1) % self.clients.len();
                self.look(looked, now)?;
            }
            owed = owed.fract();
            self.watch()?;
            match lines.try_recv() {
                Ok(line) => break end(&line).ok_or_else(|| format!("no line to understand: {line}"))?,
                Err(TryRecvError::Disconnected) => return Err("the test has gone".into()),
                Err(TryRecvError::Empty) => {}
            }
            thread::sleep(ROUND);
        };
        self.finish(pushes)?;
        Ok(self.counts())
    }

    /// Opens connections, and carries on with handshakes.
    fn open(&mut self, now: Instant) -> Result<(), String> {
        while self.clients.len() < self.count && self.fresh.len() < AT_ONCE {
            let number = self.clients.len();
            // The first heartbeats are spread over a whole interval, however fast clients connect.
            // The server waits for two intervals.
            let due = now + self.interval.mul_f64(0.5 + (number as f64 * 0.618_034).fract());
            self.clients.push(Client::begin((self.connect)(), due)?);
            self.fresh.push_back(number);
        }
        for _ in 0..self.fresh.len() {
            let Some(number) = self.fresh.pop_front() else { break };
            self.read(number)?;
            if !self.clients[number].is_ready() {
                self.fresh.push_back(number);
            }
        }
        Ok(())
    }

    fn look(&mut self, number: usize, now: Instant) -> Result<(), String> {
        self.read(number)?;
        let client = &mut self.clients[number];
        if !client.is_ready() {
            return Ok(());
        }
        match client.beat(now, self.interval) {
            Ok(true) if number.is_multiple_of(WATCHED) => self.watched.push_back((number, Instant::now())),
            Ok(_) => {}
            Err(why) => {
                // Whether it is one client, or the server is late with all of them.
                let waiting = self.clients.iter().filter(|client| !client.is_answered()).count();
                return Err(named(number)(format!("{why}; {waiting} clients wait for an answer")));
            }
        }
        Ok(())
    }

    /// Looks at the clients whose latency is measured.
    fn watch(&mut self) -> Result<(), String> {
        for _ in 0..self.watched.len() {
            let Some((number, since)) = self.watched.pop_front() else { break };
            self.read(number)?;
            match self.clients[number].is_answered() {
                true => self.latencies.push(since.elapsed()),
                false => self.watched.push_back((number, since)),
            }
        }
        Ok(())
    }

    /// Waits until all clients have received what they must, and checks that nothing more comes.
    fn finish(&mut self, pushes: u64) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        for number in 0..self.count {
            loop {
                self.read(number)?;
                let client = &self.clients[number];
                if client.is_answered() && client.pushes == pushes {
                    break;
                }
                if Instant::now() > until || client.pushes > pushes {
                    let (last, sent) = (client.pushes, client.sent());
                    return Err(named(number)(format!(
                        "the last push is {last} of {pushes}; answered all {sent} heartbeats: {}",
                        client.is_answered()
                    )));
                }
                thread::sleep(ROUND);
            }
        }
        Ok(())
    }

    fn read(&mut self, number: usize) -> Result<(), String> {
        self.clients[number].read(&mut self.buffer).map_err(named(number))
    }

    fn counts(&mut self) -> String {
        self.latencies.sort_unstable();
        let at = |part: f64| {
            let index = (self.latencies.len() as f64 * part) as usize;
            self.latencies
                .get(index.min(self.latencies.len().saturating_sub(1)))
                .map_or(0, Duration::as_micros)
        };
        let heartbeats: u64 = self.clients.iter().map(Client::sent).sum();
        let pushes: u64 = self.clients.iter().map(|client| client.pushes).sum();
        format!("done {heartbeats} {pushes} {} {} {}", at(0.5), at(0.99), at(1.0))
    }
}

/// Returns the number of pushes of the line `end`.
fn end(line: &str) -> Option<u64> {
    line.strip_prefix("end ")?.parse().ok()
}

fn named(number: usize) -> impl Fn(String) -> String {
    move |why| format!("client {number}: {why}")
}
