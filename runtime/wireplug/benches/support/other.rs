//! A server in a process of its own, so that its memory and its CPU time can be measured alone. It
//! is started from the binary of the benchmark, with `--serve KIND`, says its address in a line,
//! and answers each line of its standard input with a line.

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

use super::{Transport, connect};

/// Clients that connect at the same time.
pub const AT_ONCE: usize = 32;

/// A server in another process, and a runtime of this process for its clients.
pub struct Other {
    process: Child,
    say: ChildStdin,
    hear: BufReader<ChildStdout>,
    pub address: SocketAddr,
    pub clients: Runtime,
}

impl Other {
    pub fn start(kind: &str) -> Self {
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
        Self { process, say, hear, address, clients: clients.expect("threads are to be had") }
    }

    /// Connects `count` clients.
    pub fn connect(&mut self, count: usize, transport: Transport, greeted: bool) -> Vec<TcpStream> {
        let address = self.address;
        let connecting =
            stream::iter(0..count).map(|_| connect(transport, address, greeted)).buffer_unordered(AT_ONCE);
        let streams = self.clients.block_on(connecting.collect());
        self.ask("ready");
        streams
    }

    /// Sends a line to the other process, and returns the line that it answers.
    pub fn ask(&mut self, what: &str) -> String {
        writeln!(self.say, "{what}").expect("it listens");
        self.line()
    }

    /// Returns the next line of the other process, or of another one that it has started.
    pub fn line(&mut self) -> String {
        line(&mut self.hear)
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits until this many sessions sleep.
    pub fn until_asleep(&mut self, sessions: usize) {
        while self.ask("asleep").parse::<usize>().expect("a number") < sessions {
            thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn cpu_time(&self) -> Duration {
        let tasks = format!("/proc/{}/task", self.process.id());
        let of_thread = |task: fs::DirEntry| {
            let stat = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            let nanos = stat.split_once(' ').and_then(|(nanos, _)| nanos.parse().ok());
            nanos.map_or(Duration::ZERO, Duration::from_nanos)
        };
        fs::read_dir(tasks).expect("it is at work").flatten().map(of_thread).sum()
    }

    pub fn memory(&self) -> Memory {
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
pub struct Memory {
    pub all: usize,
    /// The parts of the linear memories that differ from the module's.
    pub guests: usize,
    /// The kernel's page tables, which belong to no process's resident memory.
    pub page_tables: usize,
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

/// Says the address of a server, and answers the lines of the standard input.
pub fn answer(address: &str, answers: impl Fn(&str) -> String) {
    println!("{address}");
    for asked in std::io::stdin().lines() {
        println!("{}", answers(&asked.expect("it says something")));
    }
}
