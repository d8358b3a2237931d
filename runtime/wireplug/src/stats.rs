//! The counts of a server.

mod answers;
mod histogram;
mod listener;
mod sampling;
mod sharded;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use self::answers::Answers;
pub(crate) use self::histogram::Histogram;
pub(crate) use self::listener::{Bytes, ListenerCounters};
pub(crate) use self::sampling::Sampling;
pub(crate) use self::sharded::Sharded;

/// The counts of a server since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections that are open.
    pub connections_open: u64,
    /// Connections that were accepted.
    pub connections_accepted: u64,
    /// Connections that ended, by cause. The causes are those of
    /// [`CloseReason::cause`](crate::session::CloseReason::cause).
    pub closes: BTreeMap<&'static str, u64>,
    /// Whole packets from clients.
    pub packets_in: u64,
    /// Packets to clients.
    pub packets_out: u64,
    /// Bytes that were read from clients, inside of TLS. Over WebSocket and UDP, without the heads
    /// of frames and datagrams.
    pub bytes_in: u64,
    /// Bytes that were written to clients, measured in the same way.
    pub bytes_out: u64,
    /// Messages to the application.
    pub messages_in: u64,
    /// Messages from the application that became packets.
    pub messages_out: u64,
    /// Responses of the application, by status.
    pub responses: BTreeMap<u16, u64>,
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

    /// Adds the counts of a listener.
    fn add(&mut self, other: Self) {
        self.connections_open += other.connections_open;
        self.connections_accepted += other.connections_accepted;
        self.packets_in += other.packets_in;
        self.packets_out += other.packets_out;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.messages_in += other.messages_in;
        self.messages_out += other.messages_out;
        for (sums, counts) in [(&mut self.closes, other.closes), (&mut self.drops, other.drops)] {
            counts.into_iter().for_each(|(cause, count)| *sums.entry(cause).or_default() += count);
        }
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

/// The counters behind [`Stats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// The counters of each listener that the server has or had. Operators choose them, so there
    /// are not many.
    listeners: Mutex<Vec<Arc<ListenerCounters>>>,
    /// How the application answers requests.
    pub(crate) answers: Answers,
}

impl Counters {
    /// Returns the counters of a listener with this URL and codec. A listener that was removed and
    /// comes back goes on with the same ones.
    pub(crate) fn listener(&self, url: &str, codec: &str) -> Arc<ListenerCounters> {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = listeners.iter().find(|known| known.is_of(url, codec)) {
            return Arc::clone(known);
        }
        let new = Arc::new(ListenerCounters::new(url, codec));
        listeners.push(Arc::clone(&new));
        new
    }

    /// Returns the counters of all listeners.
    pub(crate) fn listeners(&self) -> Vec<Arc<ListenerCounters>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn snapshot(&self) -> Stats {
        let mut stats = Stats::default();
        self.listeners().iter().for_each(|listener| stats.add(listener.snapshot()));
        for counts in self.answers.snapshot().into_values() {
            for (status, count) in counts.statuses {
                *stats.responses.entry(status).or_default() += count;
            }
        }
        stats
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{CloseReason, Tally};

    #[test]
    fn a_server_counts_what_its_listeners_count() {
        let counters = Counters::default();
        let one = counters.listener("tcp://127.0.0.1:1", "chat");
        let other = counters.listener("ws://127.0.0.1:2", "chat");
        for listener in [&one, &other] {
            listener.accepted();
            listener.add(Tally { packets_in: 2, overflowed: 1, ..Tally::default() }, Bytes::default());
        }
        one.add(Tally::default(), Bytes { read: 10, written: 20 });
        other.closed(&CloseReason::ClientClosed);
        counters.answers.count("chat", 200, 3);
        let stats = counters.snapshot();
        assert_eq!((stats.connections_open, stats.connections_accepted), (1, 2));
        assert_eq!((stats.packets_in, stats.bytes_in, stats.bytes_out), (4, 10, 20));
        assert_eq!(stats.drops, BTreeMap::from([("overflow", 2)]));
        assert_eq!(stats.closes, BTreeMap::from([("client-closed", 1)]));
        assert_eq!(stats.responses, BTreeMap::from([(200, 3)]));
    }

    #[test]
    fn a_listener_that_comes_back_goes_on_with_its_counts() {
        let counters = Counters::default();
        counters.listener("tcp://127.0.0.1:1", "chat").accepted();
        counters.listener("tcp://127.0.0.1:1", "chat").accepted();
        counters.listener("tcp://127.0.0.1:1", "game").accepted();
        assert_eq!(counters.listeners().len(), 2);
        assert_eq!(counters.snapshot().connections_accepted, 3);
    }
}
