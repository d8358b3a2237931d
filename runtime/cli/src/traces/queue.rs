//! Bounds the spans that wait for the receiver, and counts those that are left out.
//!
//! The library's processor batches spans on a thread of its own. It reports lost spans only when it
//! ends, so the count is here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};
use tracing::warn;
use wireplug_base::LogLimit;

/// The most spans that wait, the default of OpenTelemetry. They take about 2 MiB.
pub(super) const SIZE: usize = 2048;

/// How often the log says that spans are left out.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// The spans that wait. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Queue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    size: usize,
    /// The spans that wait or are being sent.
    waiting: AtomicUsize,
    /// The spans that were left out since the start.
    left_out: AtomicU64,
    limit: LogLimit,
}

impl Queue {
    pub(super) fn new(size: usize) -> Self {
        let limit = LogLimit::every(LINE_EVERY, 1);
        Self(Arc::new(Shared { size, waiting: AtomicUsize::new(0), left_out: AtomicU64::new(0), limit }))
    }

    pub(super) fn size(&self) -> usize {
        self.0.size
    }

    /// Returns whether there is room for a span, which waits from now on.
    fn enter(&self) -> bool {
        let enters = |waiting| (waiting < self.0.size).then_some(waiting + 1);
        let entered = self.0.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enters).is_ok();
        if !entered {
            self.leave_out(1, &"too many spans wait for the receiver");
        }
        entered
    }

    /// Notes that spans do not wait any more.
    fn leave(&self, count: usize) {
        self.0.waiting.fetch_sub(count, Ordering::Relaxed);
    }

    fn leave_out(&self, count: usize, why: &dyn std::fmt::Display) {
        let left_out = self.0.left_out.fetch_add(count as u64, Ordering::Relaxed) + count as u64;
        if self.0.limit.admit().is_some() {
            warn!(left_out, %why, "spans of traces are left out");
        }
    }
}

/// A processor that takes no more spans than the queue has room for.
#[derive(Debug)]
pub(super) struct Bounded<P> {
    inner: P,
    queue: Queue,
}

impl<P> Bounded<P> {
    pub(super) fn new(inner: P, queue: Queue) -> Self {
        Self { inner, queue }
    }
}

impl<P: SpanProcessor> SpanProcessor for Bounded<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.queue.enter() {
            self.inner.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// An exporter that counts the spans which it has sent, or has failed to send.
#[derive(Debug)]
pub(super) struct Counted<E> {
    inner: E,
    queue: Queue,
}

impl<E> Counted<E> {
    pub(super) fn new(inner: E, queue: Queue) -> Self {
        Self { inner, queue }
    }
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let exported = self.inner.export(batch).await;
        self.queue.leave(count);
        if let Err(error) = &exported {
            self.queue.leave_out(count, error);
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_spans_wait_than_there_is_room_for() {
        let queue = Queue::new(3);
        let entered = |count| (0..count).filter(|_| queue.enter()).count();
        assert_eq!(entered(5), 3);
        assert_eq!(queue.0.left_out.load(Ordering::Relaxed), 2);
        queue.leave(2);
        assert_eq!(entered(5), 2);
        assert_eq!(queue.0.left_out.load(Ordering::Relaxed), 5);
    }
}
