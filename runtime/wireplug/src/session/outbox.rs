//! The outbox: where messages wait between whoever sends them and the session's machine.
//!
//! The application's [`Session`](super::Session) and the [`Machine`](super::Machine) each have a
//! handle of the same outbox, and know nothing else of each other. The outbox must not know
//! sessions, tasks or wakers: whoever sends wakes the connection's task.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Message;
use super::broadcast::{ShareClass, SharedPush, Sharing};
use super::queue::{Full, MessageQueue, Waiting};
use crate::config::Overflow;

/// A handle of one session's outbox. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Outbox(Arc<OutboxState>);

struct OutboxState {
    /// Locked by the connection's own task and by whoever pushes to this client: never by the data
    /// path of another connection.
    contents: Mutex<Contents>,
    /// What waits, in bytes; 0 if nothing does. Written under the lock. The connection's task reads
    /// it without the lock, and is woken after each change.
    waiting: AtomicUsize,
    /// Pushes that were dropped and not counted yet. Written under the lock, and read without it.
    overflowed: AtomicU64,
}

struct Contents {
    queue: MessageQueue,
    /// The sessions with which this one shares encodings of pushes.
    share: Option<ShareClass>,
    /// The connection has ended: no push is taken any more.
    closed: bool,
}

impl Outbox {
    /// An outbox whose pushes have so many bytes of room, and this policy where that is not enough.
    pub(crate) fn new(max_bytes: usize, overflow: Overflow) -> Self {
        let contents = Contents { queue: MessageQueue::new(max_bytes, overflow), share: None, closed: false };
        Self(Arc::new(OutboxState {
            contents: Mutex::new(contents),
            waiting: AtomicUsize::new(0),
            overflowed: AtomicU64::new(0),
        }))
    }

    // === the sender's side ===

    /// Adds what `push` pushes, in one step. None: the outbox is closed, and takes nothing.
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

    /// Sets with which sessions this one shares encodings from now on.
    pub(crate) fn set_share_class(&self, share: Option<ShareClass>) {
        self.lock().share = share;
    }

    /// Shows with which sessions this one shares encodings, if it does.
    pub(crate) fn with_share_class(&self, show: impl FnOnce(&ShareClass)) {
        if let Some(share) = &self.lock().share {
            show(share);
        }
    }

    /// Takes no push any more. An outbox that the application keeps keeps no codec.
    pub(crate) fn close(&self) {
        let mut contents = self.lock();
        (contents.closed, contents.share) = (true, None);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    // === the machine's side ===

    /// Takes messages out of the outbox into a batch, as long as the next one fits. A push to many
    /// that the session's class shares an encoding of does not fit.
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

    /// Takes the push to many that is next in the outbox, and what to do with it.
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

    /// What waits, in bytes.
    pub(crate) fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }

    /// How many messages wait.
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
