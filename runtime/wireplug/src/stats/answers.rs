//! How the application answers requests, by server type.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use foldhash::fast::FixedState;

use super::{Histogram, Sharded};

/// The counts of one server type.
#[derive(Clone, Debug, Default)]
pub(crate) struct OfServerType {
    /// Responses by status.
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// The times from a request to its response. Only some requests are timed.
    pub(crate) latency: Histogram,
}

/// How the application answers requests. The caller bounds the number of server types.
///
/// Each thread has a table of its own behind a lock that nobody else takes, except for a moment to
/// read the counts.
#[derive(Debug, Default)]
pub(crate) struct Answers(Sharded<Mutex<Table>>);

type Table = HashMap<Arc<str>, OfServerType, FixedState>;

impl Answers {
    /// Counts responses with a status.
    pub(crate) fn count(&self, server_type: &str, status: u16, responses: u64) {
        self.of(server_type, |counts| *counts.statuses.entry(status).or_default() += responses);
    }

    /// Adds how long a request took.
    pub(crate) fn time(&self, server_type: &str, took: Duration) {
        self.of(server_type, |counts| counts.latency.record(took));
    }

    fn of(&self, server_type: &str, change: impl FnOnce(&mut OfServerType)) {
        let mut table = self.0.mine().lock().unwrap_or_else(PoisonError::into_inner);
        match table.get_mut(server_type) {
            Some(counts) => change(counts),
            None => change(table.entry(server_type.into()).or_default()),
        }
    }

    /// Returns the counts of all server types.
    pub(crate) fn snapshot(&self) -> BTreeMap<Arc<str>, OfServerType> {
        let mut all = BTreeMap::<Arc<str>, OfServerType>::new();
        for shard in self.0.all() {
            for (server_type, counts) in &*shard.lock().unwrap_or_else(PoisonError::into_inner) {
                let sum = all.entry(Arc::clone(server_type)).or_default();
                sum.latency.add(&counts.latency);
                for (status, count) in &counts.statuses {
                    *sum.statuses.entry(*status).or_default() += count;
                }
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_all_threads_add_up() {
        let answers = Answers::default();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    answers.count("chat", 200, 5);
                    answers.count("chat", 404, 1);
                    answers.time("room", Duration::from_millis(1));
                });
            }
        });
        let all = answers.snapshot();
        assert_eq!(all["chat"].statuses, BTreeMap::from([(200, 15), (404, 3)]));
        assert_eq!((all["chat"].latency.count(), all["room"].latency.count()), (0, 3));
    }
}
