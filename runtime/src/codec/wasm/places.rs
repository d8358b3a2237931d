//! How many sandboxes live outside of the pool at a time.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::codec::{CodecError, Reason};

/// The places of the sandboxes outside of the pool. Cheap to clone; clones share them.
#[derive(Clone, Debug)]
pub(super) struct Places {
    taken: Arc<AtomicUsize>,
    max: usize,
    /// Beyond those: a session that goes on in another sandbox has two for a moment, of one session on each thread.
    spare: usize,
}

/// One place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<AtomicUsize>);

impl Places {
    pub(super) fn new(max: usize) -> Self {
        let spare = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self { taken: Arc::default(), max, spare }
    }

    /// Whether another session may open; else why not.
    pub(super) fn admit(&self) -> Result<(), CodecError> {
        if self.taken.load(Ordering::Relaxed) < self.max { Ok(()) } else { Err(self.full()) }
    }

    pub(super) fn take(&self) -> Result<Place, CodecError> {
        let below = |taken: usize| Some(taken + 1).filter(|taken| *taken <= self.max + self.spare);
        match self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, below) {
            Ok(_) => Ok(Place(Arc::clone(&self.taken))),
            Err(_) => Err(self.full()),
        }
    }

    fn full(&self) -> CodecError {
        let max = self.max;
        CodecError::Exhausted(Reason::new(format!(
            "all {max} places for sandboxes that do not fit the pool are taken; `on-demand-sandboxes` under [server] allows more"
        )))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
