//! The outbox: messages wait here until the session's machine encodes them.
//!
//! The application's [`Session`](super::Session) and the [`Machine`](super::Machine) each have a
//! handle to the same outbox, and know nothing else about each other. The outbox must not know
//! sessions, tasks or wakers: the sender of a message wakes the connection's task.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Message;
use super::broadcast::{ShareClass, SharedPush, Sharing};
use super::queue::{Full, MessageQueue, Waiting};
use crate::config::Overflow;

/// A handle to one session's outbox. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Outbox(Arc<OutboxState>);

struct OutboxState {
    /// Locked by the connection's own task and by the senders of pushes to this client, and never
    /// by the data path of another connection.
    contents: Mutex<Contents>,
    /// The size of the messages that wait, in bytes. Written under the lock. The connection's task
    /// reads it without the lock, and is woken after each change.
    waiting: AtomicUsize,
    /// Pushes that were dropped and not counted yet. Written under the lock, and read without it.
    overflowed: AtomicU64,
}

struct Contents {
    queue: MessageQueue,
    /// The class of sessions with which this one shares encodings of pushes.
    share: Option<ShareClass>,
    /// Whether the connection has ended. Then no push is accepted.
    closed: bool,
}

impl Outbox {
    /// Creates an outbox that accepts pushes while at most `max_bytes` bytes wait. `overflow` is
    /// the policy for a push that does not fit.
    pub(crate) fn new(max_bytes: usize, overflow: Overflow) -> Self {
        let contents = Contents { queue: MessageQueue::new(max_bytes, overflow), share: None, closed: false };
        Self(Arc::new(OutboxState {
            contents: Mutex::new(contents),
            waiting: AtomicUsize::new(0),
            overflowed: AtomicU64::new(0),
        }))
    }

    // === the sender's side ===

    /// Calls `push` to add messages in one step. Returns `None` without a call if the outbox is
    /// closed.
    pub(crate) fn push_with(
        &self,
        push: impl FnOnce(&mut MessageQueue) -> Result<(), Full>,
    ) -> Option<Result<(), Full>> {
        let mut contents = self.lock();
        if contents.closed {
            return None;
        }
        let pushed = push(&mut contents.queue);
        let overflowed = contents.queue.take_overflowed();
        if overflowed > 0 {
            self.0.overflowed.fetch_add(overflowed, Ordering::Relaxed);
        }
        self.note_waiting(&contents);
        Some(pushed)
    }

    /// Adds a response, which always fits.
    pub(crate) fn respond(&self, message: Message) {
        let mut contents = self.lock();
        contents.queue.respond(message);
        self.note_waiting(&contents);
    }

    /// Sets the class of sessions with which this one shares encodings from now on.
    pub(crate) fn set_share_class(&self, share: Option<ShareClass>) {
        self.lock().share = share;
    }

    /// Calls `show` with the class of sessions with which this one shares encodings, if there is
    /// one.
    pub(crate) fn with_share_class(&self, show: impl FnOnce(&ShareClass)) {
        if let Some(share) = &self.lock().share {
            show(share);
        }
    }

    /// Accepts no push any more. If the application keeps the outbox, the outbox then holds no
    /// codec.
    pub(crate) fn close(&self) {
        let mut contents = self.lock();
        (contents.closed, contents.share) = (true, None);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    // === the machine's side ===

    /// Takes messages out of the outbox into a batch, as long as the next one fits. A push to many
    /// does not fit if the session's class shares an encoding of it.
    pub(crate) fn take_messages<B>(
        &self,
        batch: &mut B,
        fits: impl Fn(&B, &Message) -> bool,
        mut take: impl FnMut(&mut B, Message),
    ) {
        let mut contents = self.lock();
        let Contents { queue, share, .. } = &mut *contents;
        loop {
            let is_next = |waiting: &Waiting| match waiting {
                Waiting::Message(message) => fits(batch, message),
                Waiting::Shared(push) => {
                    push.sharing(share.as_ref()) == Sharing::Apart && fits(batch, &push.message)
                }
            };
            let Some(waiting) = queue.pop_if(is_next) else { break };
            take(batch, waiting.into_message());
        }
        self.note_waiting(&contents);
    }

    /// Takes out the next message if it is a push to many. Also returns how the session encodes the
    /// push.
    pub(crate) fn take_shared(&self) -> Option<(Arc<SharedPush>, Sharing)> {
        let mut contents = self.lock();
        let next = contents.queue.pop_if(|waiting| matches!(waiting, Waiting::Shared(_)));
        let Some(Waiting::Shared(push)) = next else { return None };
        let sharing = push.sharing(contents.share.as_ref());
        self.note_waiting(&contents);
        Some((push, sharing))
    }

    /// Returns how many pushes were dropped since the last call.
    pub(crate) fn take_overflowed(&self) -> u64 {
        match self.0.overflowed.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.0.overflowed.swap(0, Ordering::Relaxed),
        }
    }

    /// Returns the size of the messages that wait, in bytes.
    pub(crate) fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }

    /// Returns how many messages wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().queue.len()
    }

    fn note_waiting(&self, contents: &Contents) {
        self.0.waiting.store(contents.queue.bytes(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        // Nothing that runs under this lock can leave the contents half done.
        self.0.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
