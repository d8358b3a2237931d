//! Records a session as test vectors while it goes on.

use std::sync::Arc;

use super::Trace;
use wireplug_core::vectors::{Recorder, Vectors};

/// The largest recording, in bytes, so that `wireplug codec test` reads it.
const MAX: usize = Vectors::MAX - (64 << 10);

/// A recording of one session, which is delivered as it grows.
pub(crate) struct Recording {
    pub(super) trace: Arc<Trace>,
    pub(super) recorder: Recorder,
    delivered: usize,
}

impl Recording {
    pub(crate) fn new(trace: Arc<Trace>, recorder: Recorder) -> Self {
        Self { trace, recorder, delivered: 0 }
    }

    /// Delivers the steps that are finished. A recording without one of its steps would not replay,
    /// so it ends where the reader is too slow.
    pub(super) fn deliver(&mut self) {
        if self.trace.has_ended() {
            return;
        }
        let lines = self.recorder.take();
        self.delivered += lines.len();
        let is_delivered = lines.is_empty() || self.trace.deliver_lines(lines);
        if !is_delivered || self.delivered > MAX || self.recorder.is_over() {
            self.trace.ended.cancel();
        }
    }
}
