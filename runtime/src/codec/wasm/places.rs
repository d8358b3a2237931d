//! How many sandboxes live outside of the pool at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::codec::{CodecError, Reason};

/// The places of the sandboxes outside of the pool. Cheap to clone; clones share them.
#[derive(Clone, Debug)]
pub(super) struct Places {
    taken: Arc<AtomicUsize>,
    max: usize,
}

/// One place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<AtomicUsize>);

impl Places {
    pub(super) fn new(max: usize) -> Self {
        Self { taken: Arc::default(), max }
    }

    pub(super) fn take(&self) -> Result<Place, CodecError> {
        let below = |taken: usize| Some(taken + 1).filter(|taken| *taken <= self.max);
        match self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, below) {
            Ok(_) => Ok(Place(Arc::clone(&self.taken))),
            Err(_) => {
                let max = self.max;
                Err(CodecError::Exhausted(Reason::new(format!(
                    "all {max} places for sandboxes that do not fit the pool are taken; `on-demand-sandboxes` under [server] allows more"
                ))))
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
