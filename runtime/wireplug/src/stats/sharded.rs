//! Counters that threads do not share.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many threads count apart; more share.
const SHARDS: usize = 16;

/// A counter, or several, once for each thread: a cache line that all threads write to would travel
/// between processors with each count.
#[derive(Debug, Default)]
pub(crate) struct Sharded<T>([Shard<T>; SHARDS]);

/// Alone on its cache lines; two, since processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard<T>(T);

thread_local! {
    /// This thread's shard in every counter.
    static MINE: Cell<usize> = Cell::new(NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS);
}

static NEXT: AtomicUsize = AtomicUsize::new(0);

impl<T> Sharded<T> {
    /// The one that this thread counts in.
    pub(crate) fn mine(&self) -> &T {
        &self.0[MINE.get()].0
    }

    /// The sum over all.
    pub(crate) fn sum(&self, count: impl Fn(&T) -> u64) -> u64 {
        self.0.iter().map(|shard| count(&shard.0)).sum()
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
