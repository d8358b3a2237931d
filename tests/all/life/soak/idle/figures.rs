//! What a soak of idle sessions prints.

use std::collections::BTreeMap;
use std::time::Duration;

use wireplug::RunningServer;
use wireplug::codec::CpuStatus;
use wireplug_tests::figures::report;
use wireplug_tests::process;

use super::remote::Outcome;

/// The name of the count of sessions that sleep now.
const ASLEEP: &str = "asleep";

/// The memory of this process, in bytes.
pub struct Memory {
    proportional: usize,
    page_tables: usize,
    reserved: usize,
}

impl Memory {
    pub fn now() -> Self {
        Self {
            proportional: process::proportional(),
            page_tables: process::page_tables(),
            reserved: process::reserved(),
        }
    }
}

/// The counts of sleeping sessions, by generation. A generation that the server holds no more keeps
/// its last counts.
#[derive(Clone, Default)]
pub struct SleepCounts(BTreeMap<u64, BTreeMap<String, u64>>);

impl SleepCounts {
    /// Counts again.
    pub fn update(&mut self, server: &RunningServer) {
        // Sessions that sleep now belong to a generation that is held.
        for counts in self.0.values_mut() {
            counts.remove(ASLEEP);
        }
        for generation in server.slots()[0].status().generations {
            let sleep = serde_json::to_value(&generation.sleep).expect("a status");
            let counts = sleep.as_object().expect("names and counts").iter();
            let counts = counts.filter_map(|(name, count)| Some((name.clone(), count.as_u64()?)));
            self.0.insert(generation.number, counts.collect());
        }
    }

    fn asleep(&self) -> u64 {
        self.0.values().filter_map(|counts| counts.get(ASLEEP)).sum()
    }

    /// Returns the counts of what has happened, of all generations.
    fn totals(&self) -> BTreeMap<String, u64> {
        let mut totals = BTreeMap::new();
        for (name, count) in self.0.values().flatten() {
            if name.starts_with("slept-") || name.starts_with("woken-") || name == "refused" {
                *totals.entry(name.clone()).or_default() += count;
            }
        }
        totals
    }
}

/// The figures of one run.
pub struct Figures {
    transport: &'static str,
    sessions: usize,
    connected: Duration,
    held: Duration,
    lines: Vec<(String, String)>,
}

impl Figures {
    pub fn new(transport: &'static str, sessions: usize, connected: Duration, held: Duration) -> Self {
        Self { transport, sessions, connected, held, lines: Vec::new() }
    }

    /// Adds the memory that the sessions take.
    pub fn memory(&mut self, before: &Memory, after: &Memory) {
        let sessions = self.sessions as f64;
        let each =
            |part: fn(&Memory) -> usize| part(after).saturating_sub(part(before)) as f64 / 1024.0 / sessions;
        let both = if self.transport == "memory" { ", with its client" } else { "" };
        self.add(
            format!("memory of a session, KiB (Pss{both})"),
            "kib",
            each(|memory| memory.proportional),
            1,
        );
        self.add("page tables of a session, KiB", "page-table-kib", each(|memory| memory.page_tables), 2);
        self.add("page tables, MiB", "page-tables-mib", after.page_tables as f64 / f64::from(1 << 20), 0);
        let added = after.reserved.saturating_sub(before.reserved) as f64 / f64::from(1 << 30);
        self.add("virtual memory, TiB", "virtual-tib", after.reserved as f64 / 1024_f64.powi(4), 1);
        self.add("of which the sessions have added, GiB", "virtual-added-gib", added, 1);
    }

    /// Adds how many sessions sleep, and what happened between two counts.
    pub fn sleep(&mut self, before: &SleepCounts, after: &SleepCounts) {
        let asleep = after.asleep();
        self.add("asleep at the end", "asleep", asleep as f64, 0);
        self.add("awake at the end", "awake", (self.sessions as u64).saturating_sub(asleep) as f64, 0);
        let (before, after) = (before.totals(), after.totals());
        let mut wakes = 0;
        for (name, total) in after {
            let count = total - before.get(&name).copied().unwrap_or(0);
            if name.starts_with("woken-") {
                wakes += count;
            }
            if count > 0 {
                self.lines.push((name.replace('-', " "), count.to_string()));
            }
        }
        self.add("wakes a second", "wakes", wakes as f64 / self.held.as_secs_f64(), 0);
    }

    /// Adds how often sessions had to wait because the codec was over its budget of CPU time.
    pub fn budget(&mut self, cpu: &CpuStatus) {
        let turns = format!("{} turns, {} ms in all", cpu.delayed, cpu.delayed_ms);
        self.lines.push(("waits for the codec's budget (total-cpu)".into(), turns));
    }

    /// Adds the CPU time of both sides while the sessions were held.
    pub fn cpu(&mut self, server: Duration, clients: Duration) {
        let held = self.held.as_secs_f64();
        let share = |time: Duration| 100.0 * time.as_secs_f64() / held;
        self.add("the server's CPU, % of one processor", "cpu", share(server), 0);
        self.add("the clients' CPU, % of one processor", "clients-cpu", share(clients), 0);
    }

    /// Prints all figures, with what the clients counted.
    pub fn print(mut self, rounds: u64, outcomes: &[Outcome]) {
        let sum = |count: fn(&Outcome) -> u64| outcomes.iter().map(count).sum::<u64>() as f64;
        let most =
            |n: usize| outcomes.iter().map(|outcome| outcome.latency[n]).max().unwrap_or(0) as f64 / 1e3;
        self.add("heartbeats, all answered", "heartbeats", sum(|outcome| outcome.heartbeats), 0);
        self.add("pushes received, each once and in order", "pushes", sum(|outcome| outcome.pushes), 0);
        self.add("a heartbeat's latency, p50, ms", "heartbeat-p50-ms", most(0), 1);
        self.add("p99, ms", "heartbeat-p99-ms", most(1), 1);
        self.add("the longest, ms", "heartbeat-longest-ms", most(2), 0);
        report(&format!("idle-{}-sessions", self.transport), self.sessions as f64);
        println!(
            "\n| {} sessions over {}, held for {:.0} s | |",
            self.sessions,
            self.transport,
            self.held.as_secs_f64()
        );
        println!("|---|---:|");
        println!("| connected in, s | {:.0} |", self.connected.as_secs_f64());
        println!("| pushes to each of {} groups | {rounds} |", super::GROUPS);
        for (what, value) in &self.lines {
            println!("| {what} | {value} |");
        }
        println!();
    }

    fn add(&mut self, what: impl Into<String>, name: &str, value: f64, digits: usize) {
        report(&format!("idle-{}-{name}", self.transport), value);
        self.lines.push((what.into(), format!("{value:.digits$}")));
    }
}
