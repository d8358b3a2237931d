//! How many HTTP connections a listener may have.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The room for connections. A reload may change how much there is.
#[derive(Debug)]
pub(super) struct Room {
    taken: AtomicUsize,
    max: AtomicUsize,
}

/// The room of one connection. It is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Taken(Arc<Room>);

impl Room {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { taken: AtomicUsize::new(0), max: AtomicUsize::new(max) })
    }

    /// Replaces the limit. Connections above it stay.
    pub(super) fn set_max(&self, max: usize) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// Takes the room of one more connection, or returns `None` if there is none.
    pub(super) fn take(self: &Arc<Self>) -> Option<Taken> {
        let max = self.max.load(Ordering::Relaxed);
        let below = |taken| (taken < max).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, below).ok()?;
        Some(Taken(Arc::clone(self)))
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_may_change_while_connections_are_open() {
        let room = Room::new(1);
        let first = room.take().expect("there is room");
        assert!(room.take().is_none());
        room.set_max(2);
        let second = room.take().expect("there is more room");
        room.set_max(1);
        drop(first);
        assert!(room.take().is_none(), "the second one has the only room");
        drop(second);
        assert!(room.take().is_some());
    }
}
