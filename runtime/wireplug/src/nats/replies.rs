//! Receives the replies to a node's requests. One subscription is for all replies, and each request
//! has a number.
//!
//! A request whose caller no longer waits is forgotten at once. (The client library has requests of
//! its own, but it keeps an entry for each request that is never answered, and sends late what it
//! has kept.)

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_nats::Message;
use tokio::sync::oneshot;

use super::kept::Kept;

/// The callers that wait for replies.
pub(super) struct Replies {
    /// The prefix of the subjects of replies.
    inbox: String,
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Message>>>,
}

/// A caller that waits for a reply. Dropping this value ends the wait.
pub(super) struct Waiting {
    replies: Arc<Replies>,
    number: u64,
    reply: oneshot::Receiver<Message>,
}

impl Replies {
    /// Creates a table without callers. The subjects of replies begin with `inbox`.
    pub(super) fn new(inbox: String) -> Self {
        Self { inbox, next: AtomicU64::new(0), waiting: Mutex::default() }
    }

    /// Begins to wait for one more reply. Returns the subject to which the reply is to be sent, and
    /// the wait.
    pub(super) fn expect(self: &Arc<Self>) -> (String, Waiting) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, reply) = oneshot::channel();
        self.waiting().insert(number, sender);
        (format!("{}.{number}", self.inbox), Waiting { replies: Arc::clone(self), number, reply })
    }

    /// Passes each reply to the caller that waits for it. Never returns. A second reply to a
    /// request is dropped.
    pub(super) async fn run(&self, mut replies: Kept) {
        loop {
            let reply = replies.next().await;
            let number = reply.subject.rsplit('.').next().and_then(|number| number.parse().ok());
            let waiting = number.and_then(|number: u64| self.waiting().remove(&number));
            if let Some(waiting) = waiting {
                // The send fails only if the caller has just given up.
                let _ = waiting.send(reply);
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Message>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Waits for the reply. Returns `None` if there will be no reply.
    pub(super) async fn reply(mut self) -> Option<Message> {
        (&mut self.reply).await.ok()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.replies.waiting().remove(&self.number);
    }
}
