//! The counts of a server.

mod sharded;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

pub(crate) use self::sharded::Sharded;
use crate::session::{CloseReason, Tally};

/// The counts of a server since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections that are open.
    pub connections_open: u64,
    /// Connections that were accepted.
    pub connections_accepted: u64,
    /// Connections that ended, by cause; the causes are those of [`CloseReason::cause`].
    pub closes: BTreeMap<&'static str, u64>,
    /// Whole packets from clients.
    pub packets_in: u64,
    /// Packets to clients.
    pub packets_out: u64,
    /// Messages to the application.
    pub messages_in: u64,
    /// Messages from the application that became packets.
    pub messages_out: u64,
    /// Packets and messages that were lost, by cause:
    /// - `rejected`: packets that the codec dropped.
    /// - `refused`: messages that could not be encoded or framed.
    /// - `overflow`: pushes that did not fit into an outbox.
    /// - `late`: responses from clients to requests on which the application had given up.
    /// - `unknown`: responses from clients that answer no request.
    /// - `unsent`: messages that waited when their connection ended.
    /// - `datagrams`: datagrams that were too long, came faster than they were read, or could not
    ///   be sent.
    /// - `unverified`: datagrams that were not sent to a client whose address is not verified,
    ///   because more than three times what came from it would have been sent.
    /// - `turned-away`: datagrams that would have opened a session, but a limit of their listener
    ///   was reached, or they were too long.
    pub drops: BTreeMap<&'static str, u64>,
}

impl Stats {
    /// Returns how many connections ended because their codec failed, by cause.
    pub fn faults(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.closes
            .iter()
            .filter(|(cause, _)| cause.starts_with("codec-"))
            .map(|(&cause, &count)| (cause, count))
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "connections: {} open, {} accepted", self.connections_open, self.connections_accepted)?;
        writeln!(f, "packets:     {} in, {} out", self.packets_in, self.packets_out)?;
        writeln!(f, "messages:    {} in, {} out", self.messages_in, self.messages_out)?;
        writeln!(f, "drops:       {}", by_cause(&self.drops))?;
        writeln!(f, "closes:      {}", by_cause(&self.closes))?;
        write!(f, "faults:      {}", by_cause(&self.faults().collect()))
    }
}

fn by_cause(counts: &BTreeMap<&'static str, u64>) -> String {
    let counts: Vec<_> = counts.iter().map(|(cause, count)| format!("{count} {cause}")).collect();
    if counts.is_empty() { "none".into() } else { counts.join(", ") }
}

/// The counters behind [`Stats`]. The counters of the data path are updated once in each turn of a
/// connection, and not for each packet.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    accepted: AtomicU64,
    traffic: Sharded<Traffic>,
    closes: Mutex<BTreeMap<&'static str, u64>>,
}

/// The counters of the data path.
#[derive(Debug, Default)]
struct Traffic {
    packets_in: AtomicU64,
    packets_out: AtomicU64,
    messages_in: AtomicU64,
    messages_out: AtomicU64,
    rejected: AtomicU64,
    refused: AtomicU64,
    overflowed: AtomicU64,
    lost: AtomicU64,
    unverified: AtomicU64,
    turned_away: AtomicU64,
    late: AtomicU64,
    unknown: AtomicU64,
    unsent: AtomicU64,
}

impl Counters {
    pub(crate) fn accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn closed(&self, reason: &CloseReason) {
        *self.closes.lock().unwrap_or_else(PoisonError::into_inner).entry(reason.cause()).or_default() += 1;
    }

    pub(crate) fn add(&self, tally: Tally) {
        let traffic = self.traffic.mine();
        let add = |counter: &AtomicU64, count: u64| {
            if count > 0 {
                counter.fetch_add(count, Ordering::Relaxed);
            }
        };
        add(&traffic.packets_in, tally.packets_in);
        add(&traffic.packets_out, tally.packets_out);
        add(&traffic.messages_in, tally.messages_in);
        add(&traffic.messages_out, tally.messages_out);
        add(&traffic.rejected, tally.rejected);
        add(&traffic.refused, tally.refused);
        add(&traffic.overflowed, tally.overflowed);
        add(&traffic.lost, tally.lost.messages);
        add(&traffic.unverified, tally.lost.unverified);
        add(&traffic.turned_away, tally.lost.turned_away);
        add(&traffic.late, tally.late);
        add(&traffic.unknown, tally.unknown);
        add(&traffic.unsent, tally.unsent);
    }

    pub(crate) fn snapshot(&self) -> Stats {
        let sum = |counter: fn(&Traffic) -> &AtomicU64| {
            self.traffic.sum(|traffic| counter(traffic).load(Ordering::Relaxed))
        };
        let closes = self.closes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let accepted = self.accepted.load(Ordering::Relaxed);
        let drops = [
            ("rejected", sum(|traffic| &traffic.rejected)),
            ("refused", sum(|traffic| &traffic.refused)),
            ("overflow", sum(|traffic| &traffic.overflowed)),
            ("late", sum(|traffic| &traffic.late)),
            ("unknown", sum(|traffic| &traffic.unknown)),
            ("unsent", sum(|traffic| &traffic.unsent)),
            ("datagrams", sum(|traffic| &traffic.lost)),
            ("unverified", sum(|traffic| &traffic.unverified)),
            ("turned-away", sum(|traffic| &traffic.turned_away)),
        ];
        Stats {
            connections_open: accepted.saturating_sub(closes.values().sum()),
            connections_accepted: accepted,
            closes,
            packets_in: sum(|traffic| &traffic.packets_in),
            packets_out: sum(|traffic| &traffic.packets_out),
            messages_in: sum(|traffic| &traffic.messages_in),
            messages_out: sum(|traffic| &traffic.messages_out),
            drops: drops.into_iter().filter(|&(_, count)| count > 0).collect(),
        }
    }
}
