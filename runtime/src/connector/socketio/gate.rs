//! What holds a client back while what it said is not read. The library reads without end, so its connections are
//! stopped from below, and its requests from above.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

/// What a message takes up beside its bytes. Counted, so that empty ones cannot wait without bound.
const MESSAGE: usize = 64;

/// The gates of all clients, by the session's id.
#[derive(Clone)]
pub(super) struct Gates {
    open: Arc<Mutex<HashMap<String, Arc<Gate>>>>,
    max: usize,
}

/// What of a client waits to be read, in bytes.
pub(super) struct Gate {
    id: String,
    gates: Gates,
    waits: AtomicUsize,
    /// The session is over: its WebSocket connection is to end.
    over: AtomicBool,
    /// The WebSocket connection that waits to be read.
    stream: AtomicWaker,
    /// The requests that wait to be read.
    requests: Notify,
    /// The session has a WebSocket connection, which has not ended.
    connected: AtomicBool,
    /// Who waits for that end.
    left: AtomicWaker,
}

impl Gates {
    /// For messages of at most `max` bytes.
    pub(super) fn new(max: usize) -> Self {
        Self { open: Arc::default(), max }
    }

    /// A gate for a new session.
    pub(super) fn open(&self, id: String) -> Arc<Gate> {
        let gate = Arc::new(Gate {
            id: id.clone(),
            gates: self.clone(),
            waits: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            stream: AtomicWaker::new(),
            requests: Notify::new(),
            connected: AtomicBool::new(false),
            left: AtomicWaker::new(),
        });
        self.lock().insert(id, Arc::clone(&gate));
        gate
    }

    /// The gate of a session.
    pub(super) fn of(&self, id: &str) -> Option<Arc<Gate>> {
        self.lock().get(id).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Gate>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gate {
    /// Counts a message that waits to be read. False: there are so many that the client cannot have been held back.
    pub(super) fn enter(&self, length: usize) -> bool {
        let before = self.waits.fetch_add(length + MESSAGE, Ordering::AcqRel);
        // What the library has read already when the gate shuts: a payload, or its read buffer.
        before <= 8 * self.gates.max + (256 << 10)
    }

    /// Takes note that a message was read.
    pub(super) fn leave(&self, length: usize) {
        let before = self.waits.fetch_sub(length + MESSAGE, Ordering::AcqRel);
        if self.shuts(before) && !self.is_shut() {
            self.stream.wake();
            self.requests.notify_waiters();
        }
    }

    /// Ends the session's WebSocket connection, and lets no request wait.
    pub(super) fn end(&self) {
        let mut gates = self.gates.lock();
        // The client may have joined again on the same session.
        if gates.get(&self.id).is_some_and(|gate| std::ptr::eq(&**gate, self)) {
            gates.remove(&self.id);
        }
        drop(gates);
        self.over.store(true, Ordering::Release);
        self.stream.wake();
        self.requests.notify_waiters();
    }

    /// Ready when the connection may be read: whether it is to end.
    pub(super) fn poll_open(&self, cx: &mut Context<'_>) -> Poll<bool> {
        // Registered first, so that nobody opens it unheard.
        self.stream.register(cx.waker());
        match (self.over.load(Ordering::Acquire), self.is_shut()) {
            (true, _) => Poll::Ready(true),
            (false, true) => Poll::Pending,
            (false, false) => Poll::Ready(false),
        }
    }

    /// Takes note that the session is on a WebSocket connection, or that this has ended.
    pub(super) fn set_connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Release);
        self.left.wake();
    }

    /// Ready when the session has no WebSocket connection.
    pub(super) fn poll_left(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.left.register(cx.waker());
        if self.connected.load(Ordering::Acquire) { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Waits until a request may be read.
    pub(super) async fn open(&self) {
        loop {
            let opened = self.requests.notified();
            if self.over.load(Ordering::Acquire) || !self.is_shut() {
                return;
            }
            opened.await;
        }
    }

    fn is_shut(&self) -> bool {
        self.shuts(self.waits.load(Ordering::Acquire))
    }

    fn shuts(&self, waits: usize) -> bool {
        waits > self.gates.max
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use futures_util::task::noop_waker_ref;

    use super::*;

    #[test]
    fn it_shuts_above_one_message_and_opens_below() {
        let gates = Gates::new(100);
        let gate = gates.open("a".to_owned());
        let mut cx = Context::from_waker(noop_waker_ref());
        assert!(gate.enter(30) && gate.poll_open(&mut cx).is_ready());
        assert!(gate.enter(30) && gate.poll_open(&mut cx).is_pending());
        assert!(gate.open().now_or_never().is_none());
        gate.leave(30);
        assert!(gate.poll_open(&mut cx) == Poll::Ready(false) && gate.open().now_or_never().is_some());
        // Who is not held back is thrown out.
        assert!((0..20_000).any(|_| !gate.enter(0)));
    }

    #[test]
    fn a_session_that_is_over_is_forgotten_and_holds_nobody() {
        let gates = Gates::new(0);
        let gate = gates.open("a".to_owned());
        gate.enter(1);
        assert!(gates.of("a").is_some() && gates.of("b").is_none());
        gate.end();
        assert!(gates.of("a").is_none() && gate.open().now_or_never().is_some());
        assert_eq!(gate.poll_open(&mut Context::from_waker(noop_waker_ref())), Poll::Ready(true));
        // Another has come in its place.
        let next = gates.open("a".to_owned());
        gate.end();
        assert!(gates.of("a").is_some_and(|gate| Arc::ptr_eq(&gate, &next)));
    }
}
