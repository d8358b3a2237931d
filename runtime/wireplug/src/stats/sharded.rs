//! Counters that threads do not share.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of shards. If there are more threads, some of them share a shard.
const SHARDS: usize = 16;

/// One or more counters, with a copy for each thread. A cache line to which all threads write would
/// move between processors with each count.
#[derive(Debug, Default)]
pub(crate) struct Sharded<T>([Shard<T>; SHARDS]);

/// A shard, alone on its two cache lines. Processors fetch cache lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard<T>(T);

thread_local! {
    /// This thread's shard in every counter.
    static MINE: Cell<usize> = Cell::new(NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS);
}

static NEXT: AtomicUsize = AtomicUsize::new(0);

impl<T> Sharded<T> {
    /// Returns the shard in which this thread counts.
    pub(crate) fn mine(&self) -> &T {
        &self.0[MINE.get()].0
    }

    /// Returns the sum over all shards.
    pub(crate) fn sum(&self, count: impl Fn(&T) -> u64) -> u64 {
        self.all().map(count).sum()
    }

    /// Returns all shards.
    pub(crate) fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|shard| &shard.0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::thread;

    use super::*;

    #[test]
    fn what_threads_count_adds_up() {
        let counter: Sharded<AtomicU64> = Sharded::default();
        thread::scope(|scope| {
            for _ in 0..2 * SHARDS {
                scope.spawn(|| {
                    for _ in 0..100 {
                        counter.mine().fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(counter.sum(|count| count.load(Ordering::Relaxed)), 200 * SHARDS as u64);
    }
}
