//! Many sessions that are idle but for a heartbeat, pushes to their groups, and swaps of the codec.
//! Nothing may be lost, and no connection may end.
//!
//! The clients count on their side: each heartbeat must be answered, and each push must come once
//! and in order (`client`). A thread or a process has many clients (`crowd`), because a task for
//! each would cost more than the session that it tests.

mod client;
mod crowd;
mod figures;
mod link;
mod remote;

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;
use tracing_subscriber::filter::LevelFilter;
use wireplug::config::LiveSessions::Handoff;
use wireplug::config::{CodecLimits, ServerConfig};
use wireplug::session::Message;
use wireplug::{App, CodecSource, RunningServer, Server};
use wireplug_connectors::memory;
use wireplug_tests::counted::Counted;
use wireplug_tests::versions::pomelo;
use wireplug_tests::{process, soak_sessions, soak_time};

use self::figures::{Figures, Memory, SleepCounts};
use self::remote::{CrowdSettings, OtherCrowd};

/// The push to a group. Its body is `[GROUP,NUMBER]`.
const ON_GROUP: &str = "onGroup";

/// The number of groups. A session is in the group of its number's last digit.
const GROUPS: u64 = 10;

/// The time between two pushes, which go to the groups in turn.
const BETWEEN_PUSHES: Duration = Duration::from_secs(2);

/// The usual number of sessions over `memory://`, and over TCP. Each end of a TCP connection takes
/// a file descriptor, and 20,000 for a process is a usual hard limit.
const OVER_MEMORY: usize = 100_000;
const OVER_TCP: usize = 15_000;

/// The processes that have the clients over TCP.
const PROCESSES: usize = 2;

/// The interval of heartbeats: 30 s, or less in a soak that is shorter than two of them, so that
/// each client sends some.
fn interval() -> Duration {
    Duration::from_secs(30).min(soak_time() / 4)
}

/// The time after which a session sleeps. Heartbeats come thirty times as seldom, so that each of
/// them finds its session asleep.
fn sleep_after() -> Duration {
    interval() / 30
}

#[test]
#[ignore = "a soak: `cargo xtask soak idle` runs it"]
fn over_memory() {
    let sessions = soak_sessions(OVER_MEMORY);
    let held = Held::start("memory://idle", sessions);
    let runtime = held.threads.runtime.handle().clone();
    let connect = move || runtime.block_on(memory::connect("idle")).expect("it listens");
    held.soak("memory", vec![OtherCrowd::thread(sessions, interval(), connect)]);
}

#[test]
#[ignore = "a soak: `cargo xtask soak idle` runs it"]
fn over_tcp() {
    let sessions = soak_sessions(OVER_TCP).min(OVER_TCP);
    let held = Held::start("tcp://127.0.0.1:0", sessions);
    let address = held.server.urls()[0].trim_start_matches("tcp://").to_owned();
    let crowd = |n| {
        let clients = (sessions + n) / PROCESSES;
        OtherCrowd::process(&test("clients_of_another_process"), clients, interval(), &address, n)
    };
    let crowds = (0..PROCESSES).map(crowd).collect();
    held.soak("tcp", crowds);
}

/// Is started by [`over_tcp`].
#[test]
#[ignore = "a part of a soak: the soak `idle` runs it"]
fn clients_of_another_process() {
    let CrowdSettings { clients, interval, address, number } = CrowdSettings::read();
    let address: SocketAddr = address.parse().expect("a numeric address");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // Each process has an address of its own, and with it all ports.
    let source = Ipv4Addr::new(127, 0, 1, u8::try_from(number).expect("few processes") + 1);
    let connect = || -> TcpStream {
        let socket = TcpSocket::new_v4().expect("there are descriptors");
        socket.bind((source, 0).into()).expect("an address of this machine");
        let stream = runtime.block_on(socket.connect(address)).expect("it listens");
        stream.into_std().expect("it is open")
    };
    remote::answer(clients, interval, connect);
}

/// A server whose sessions are held.
struct Held {
    threads: Counted,
    server: RunningServer,
    sessions: usize,
    before: Memory,
}

impl Held {
    fn start(url: &str, sessions: usize) -> Self {
        // A connection that ends causes a line at this level.
        tracing_subscriber::fmt().with_max_level(LevelFilter::INFO).with_ansi(false).init();
        let threads = Counted::start();
        let app = App::new().push_route(ON_GROUP).on_opened(|session| {
            session.join(&group(session.id().0 % GROUPS)).expect("a name, and it is open");
        });
        // Awake sandboxes are counted with all the memory that they could write to.
        let limits =
            CodecLimits { total_memory: 16 << 30, sleep_after: sleep_after(), ..CodecLimits::default() };
        let max_connections = u32::try_from(sessions).expect("no machine holds more");
        let config = ServerConfig { max_connections, ..ServerConfig::default() };
        let server = Server::new(app).config(config).listen(url, source(1).limits(limits));
        let server = threads.runtime.block_on(server.start()).expect("it starts");
        let before = Memory::now();
        Self { threads, server, sessions, before }
    }

    /// Holds the sessions of all crowds for the time of the soak.
    fn soak(self, transport: &'static str, crowds: Vec<OtherCrowd>) {
        let begun = Instant::now();
        for crowd in &crowds {
            self.expect(crowd.ready());
        }
        // The server has yet to read the acknowledgements of the last of them.
        let members = |n| self.server.sessions().group(&group(n)).len();
        while (0..GROUPS).map(members).sum::<usize>() < self.sessions {
            std::thread::sleep(Duration::from_millis(1));
        }
        let connected = begun.elapsed();
        let (begun, before) = (Instant::now(), Clocks::now(&self.threads, &crowds));
        let mut sleep = SleepCounts::default();
        sleep.update(&self.server);
        let slept = sleep.clone();
        let rounds = self.pushes(begun, &crowds, &mut sleep);
        let seconds = begun.elapsed();
        let after = Clocks::now(&self.threads, &crowds);
        let mut figures = Figures::new(transport, self.sessions, connected, seconds);
        figures.memory(&self.before, &Memory::now());
        sleep.update(&self.server);
        figures.sleep(&slept, &sleep);
        figures.budget(&self.server.slots()[0].status().cpu);
        let stats = self.server.stats();
        let outcomes = crowds.into_iter().map(|crowd| self.expect(crowd.end(rounds)));
        let outcomes: Vec<_> = outcomes.collect();
        figures.cpu(after.server - before.server, after.clients - before.clients);
        figures.print(rounds, &outcomes);
        assert_eq!(stats.connections_open, self.sessions as u64, "{stats}");
        assert_eq!((&stats.closes, &stats.drops), (&[].into(), &[].into()), "{stats}");
        assert_eq!(stats.connections_accepted, self.sessions as u64, "nobody came again: {stats}");
    }

    /// Pushes to the groups in turn until the end, and swaps the codec meanwhile. Returns the
    /// number of pushes to each group.
    fn pushes(&self, begun: Instant, crowds: &[OtherCrowd], sleep: &mut SleepCounts) -> u64 {
        let end = soak_time();
        let mut swaps = [(end / 3, 2), (end * 2 / 3, 3)].into_iter().peekable();
        let mut swapping: Option<JoinHandle<()>> = None;
        let mut next = Instant::now();
        for round in 1.. {
            for group in 0..GROUPS {
                let pushed = self.push(group, round);
                // A crowd that has ended took its clients with it, and says why.
                crowds.iter().for_each(|crowd| self.expect(crowd.check()));
                self.expect(pushed);
                if swapping.as_ref().is_none_or(JoinHandle::is_finished) {
                    self.join(swapping.take());
                    let due = swaps.next_if(|(at, _)| begun.elapsed() >= *at);
                    swapping = due.map(|(_, version)| self.swap(version));
                }
                sleep.update(&self.server);
                next = (next + BETWEEN_PUSHES.min(end / 40)).max(Instant::now());
                std::thread::sleep(next - Instant::now());
            }
            if begun.elapsed() >= end && swaps.peek().is_none() {
                self.join(swapping);
                return round;
            }
        }
        unreachable!("numbers do not end")
    }

    /// Panics with the state of the server if something has gone wrong.
    fn expect<T>(&self, outcome: Result<T, String>) -> T {
        outcome.unwrap_or_else(|why| {
            let status = self.server.slots()[0].status();
            panic!("{why}\n{}\n{:?}\n{:?}", self.server.stats(), status.cpu, status.generations)
        })
    }

    fn join(&self, swapping: Option<JoinHandle<()>>) {
        if let Some(swapping) = swapping {
            self.threads.runtime.block_on(swapping).expect("all sessions moved");
        }
    }

    fn push(&self, group: u64, number: u64) -> Result<(), String> {
        let message = Message::push(ON_GROUP, format!("[{group},{number}]"));
        let _inside = self.threads.runtime.enter();
        let taken = self.server.sessions().group(&self::group(group)).send(&message);
        let members = self.sessions / GROUPS as usize;
        match taken == members || taken == members + 1 {
            true => Ok(()),
            false => Err(format!("{taken} of some {members} took push {number} to group {group}")),
        }
    }

    /// Begins to swap the codec for another version. Pushes and heartbeats go on.
    fn swap(&self, version: u64) -> JoinHandle<()> {
        let slot = self.server.slots()[0].clone();
        self.threads.runtime.spawn(async move {
            let report = slot.swap(&source(version), Some(Handoff)).await.expect("a good codec");
            assert_eq!((report.staying, report.rolled_back), (0, false), "{report:?}");
            println!(
                "swap to version {version}: {} sessions in {} ms, the longest move {} us",
                report.moved, report.took_ms, report.longest_move_us
            );
        })
    }
}

/// The CPU time of the server, and of the clients.
struct Clocks {
    server: Duration,
    clients: Duration,
}

impl Clocks {
    fn now(threads: &Counted, crowds: &[OtherCrowd]) -> Self {
        let server = threads.cpu_time();
        let others: Vec<_> = crowds.iter().filter_map(OtherCrowd::process_id).collect();
        let clients = match &others[..] {
            [] => process::cpu_time_of(std::process::id()).saturating_sub(server),
            others => others.iter().copied().map(process::cpu_time_of).sum(),
        };
        Self { server, clients }
    }
}

/// Returns the name of a test of this file, as the test harness knows it.
fn test(name: &str) -> String {
    let (_, module) = module_path!().split_once("::").expect("a crate and a module");
    format!("{module}::{name}")
}

fn group(number: u64) -> String {
    format!("group-{number}")
}

/// Returns a version of the Pomelo codec. Routes are text, so that clients need no dictionary.
fn source(version: u64) -> CodecSource {
    let options = json!({ "heartbeat": interval().as_secs_f64(), "dictionary": false });
    CodecSource::bytes("pomelo", pomelo(version), options)
}
