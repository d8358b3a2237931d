//! The server's side of a crowd, which is a thread of this process or another process.

use std::io::{BufReader, Write, pipe, stdin, stdout};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::Duration;

use wireplug_tests::running::Lines;

use super::crowd::{self, MARK};
use super::link::Link;

/// The variable with the settings of the clients in another process.
const SETTINGS: &str = "WIREPLUG_SOAK_CROWD";

/// How long it may take until all clients are established, and until they have counted.
const PATIENCE: Duration = Duration::from_secs(900);

/// What a crowd has counted.
pub struct Outcome {
    pub heartbeats: u64,
    pub pushes: u64,
    /// The latency of heartbeats: p50, p99 and the longest, in microseconds.
    pub latency: [u64; 3],
}

pub struct OtherCrowd {
    say: Box<dyn Write>,
    lines: Lines,
    process: Option<Child>,
}

/// The settings of the clients in another process.
pub struct CrowdSettings {
    pub clients: usize,
    pub interval: Duration,
    pub address: String,
    pub number: usize,
}

impl OtherCrowd {
    /// Starts clients on a thread.
    pub fn thread<L: Link>(
        clients: usize,
        interval: Duration,
        connect: impl FnMut() -> L + Send + 'static,
    ) -> Self {
        let (commands, say) = pipe().expect("there are descriptors");
        let (answers, out) = pipe().expect("there are descriptors");
        thread::spawn(move || crowd::run(connect, clients, interval, BufReader::new(commands), out));
        Self { say: Box::new(say), lines: Lines::of(answers), process: None }
    }

    /// Starts clients in another process, by a test of this binary that calls [`answer`].
    pub fn process(test: &str, clients: usize, interval: Duration, address: &str, number: usize) -> Self {
        let mut process = Command::new(std::env::current_exe().expect("a running program has a path"))
            .args(["--exact", test, "--ignored", "--nocapture"])
            .env(SETTINGS, format!("{clients} {} {address} {number}", interval.as_millis()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a running program can be run");
        let say: ChildStdin = process.stdin.take().expect("it is piped");
        let lines = Lines::of(process.stdout.take().expect("it is piped"));
        Self { say: Box::new(say), lines, process: Some(process) }
    }

    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Waits until all clients are established. Returns what went wrong, if something did.
    pub fn ready(&self) -> Result<(), String> {
        let line = self.lines.find_within(PATIENCE, &[MARK]);
        if line.ends_with("ready") { Ok(()) } else { Err(line) }
    }

    /// Returns what has gone wrong, if something has.
    pub fn check(&self) -> Result<(), String> {
        self.lines.so_far().find(|line| line.contains(MARK)).map_or(Ok(()), Err)
    }

    /// Ends the clients when each has received this many pushes. Returns what they have counted.
    pub fn end(mut self, pushes: u64) -> Result<Outcome, String> {
        writeln!(self.say, "end {pushes}").expect("it listens");
        let line = self.lines.find_within(PATIENCE, &[MARK]);
        let counts = line.split_once("done ").map(|(_, counts)| counts.split(' ').map(str::parse));
        let counts: Option<Vec<u64>> = counts.and_then(|counts| counts.collect::<Result<_, _>>().ok());
        let Some(&[heartbeats, pushes, p50, p99, longest]) = counts.as_deref() else { return Err(line) };
        Ok(Outcome { heartbeats, pushes, latency: [p50, p99, longest] })
    }
}

impl Drop for OtherCrowd {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl CrowdSettings {
    /// Reads the settings of this process.
    pub fn read() -> Self {
        let text = std::env::var(SETTINGS).expect("the soak sets it");
        let words: Vec<_> = text.split(' ').collect();
        let &[clients, interval, address, number] = &words[..] else { panic!("{text}") };
        let number_of = |word: &str| word.parse::<usize>().expect("a number");
        Self {
            clients: number_of(clients),
            interval: Duration::from_millis(number_of(interval) as u64),
            address: address.to_owned(),
            number: number_of(number),
        }
    }
}

/// Lets the clients of this process live, as the process that started it says.
pub fn answer<L: Link>(clients: usize, interval: Duration, connect: impl FnMut() -> L) {
    crowd::run(connect, clients, interval, BufReader::new(stdin()), stdout());
}
