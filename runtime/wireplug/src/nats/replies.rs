//! Replies to what a node asks: one subscription for all, and a number for each.
//!
//! Whoever no longer waits is forgotten at once. (The client library keeps a place for each request
//! that is never answered, and sends what it holds of it later.)

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_nats::Message;
use tokio::sync::oneshot;

use super::kept::Kept;

/// Who waits for a reply.
pub(super) struct Replies {
    /// What the subjects of replies begin with.
    inbox: String,
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Message>>>,
}

/// One who waits. Dropped, it waits no more.
pub(super) struct Waiting<'a> {
    replies: &'a Replies,
    number: u64,
    reply: oneshot::Receiver<Message>,
}

impl Replies {
    /// For replies to subjects that begin with `inbox`.
    pub(super) fn new(inbox: String) -> Self {
        Self { inbox, next: AtomicU64::new(0), waiting: Mutex::default() }
    }

    /// Waits for one more reply, at the subject that is returned with it.
    pub(super) fn expect(&self) -> (String, Waiting<'_>) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, reply) = oneshot::channel();
        self.waiting().insert(number, sender);
        (format!("{}.{number}", self.inbox), Waiting { replies: self, number, reply })
    }

    /// Hands replies to those who wait. Never returns. A second reply finds nobody.
    pub(super) async fn run(&self, mut replies: Kept) {
        loop {
            let reply = replies.next().await;
            let number = reply.subject.rsplit('.').next().and_then(|number| number.parse().ok());
            let waiting = number.and_then(|number: u64| self.waiting().remove(&number));
            if let Some(waiting) = waiting {
                // Who has just given up does not mind.
                let _ = waiting.send(reply);
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Message>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting<'_> {
    /// The reply. None: there will be none.
    pub(super) async fn reply(mut self) -> Option<Message> {
        (&mut self.reply).await.ok()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.replies.waiting().remove(&self.number);
    }
}
