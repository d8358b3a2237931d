//! The counters of one listener.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{Sharded, Stats};
use crate::session::{CloseReason, Tally};

/// The counters of one listener. The counters of the data path are updated once in each turn of a
/// connection, and not for each packet.
#[derive(Debug)]
pub(crate) struct ListenerCounters {
    url: Box<str>,
    codec: Box<str>,
    accepted: AtomicU64,
    /// Connections that were ready for their first packet, by transport.
    opened: Mutex<BTreeMap<&'static str, u64>>,
    closes: Mutex<BTreeMap<&'static str, u64>>,
    traffic: Sharded<Traffic>,
}

/// Bytes that passed through a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bytes {
    pub(crate) read: u64,
    pub(crate) written: u64,
}

/// The counters of the data path.
#[derive(Debug, Default)]
struct Traffic {
    packets_in: AtomicU64,
    packets_out: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
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

impl ListenerCounters {
    pub(super) fn new(url: &str, codec: &str) -> Self {
        Self {
            url: url.into(),
            codec: codec.into(),
            accepted: AtomicU64::new(0),
            opened: Mutex::default(),
            closes: Mutex::default(),
            traffic: Sharded::default(),
        }
    }

    pub(super) fn is_of(&self, url: &str, codec: &str) -> bool {
        *self.url == *url && *self.codec == *codec
    }

    /// Returns the URL of the listener and the name of its codec.
    #[cfg(feature = "metrics")]
    pub(crate) fn names(&self) -> [&str; 2] {
        [&self.url, &self.codec]
    }

    pub(crate) fn accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection that is ready for its first packet.
    pub(crate) fn opened(&self, transport: &'static str) {
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner).entry(transport).or_default() += 1;
    }

    pub(crate) fn closed(&self, reason: &CloseReason) {
        *self.closes.lock().unwrap_or_else(PoisonError::into_inner).entry(reason.cause()).or_default() += 1;
    }

    pub(crate) fn add(&self, tally: Tally, bytes: Bytes) {
        let traffic = self.traffic.mine();
        let add = |counter: &AtomicU64, count: u64| {
            if count > 0 {
                counter.fetch_add(count, Ordering::Relaxed);
            }
        };
        add(&traffic.packets_in, tally.packets_in);
        add(&traffic.packets_out, tally.packets_out);
        add(&traffic.bytes_in, bytes.read);
        add(&traffic.bytes_out, bytes.written);
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

    /// Returns the counts. The responses of the application are not among them.
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
            bytes_in: sum(|traffic| &traffic.bytes_in),
            bytes_out: sum(|traffic| &traffic.bytes_out),
            messages_in: sum(|traffic| &traffic.messages_in),
            messages_out: sum(|traffic| &traffic.messages_out),
            responses: BTreeMap::new(),
            drops: drops.into_iter().filter(|&(_, count)| count > 0).collect(),
        }
    }

    /// Returns how many connections were ready for their first packet, by transport.
    #[cfg(feature = "metrics")]
    pub(crate) fn transports(&self) -> BTreeMap<&'static str, u64> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
