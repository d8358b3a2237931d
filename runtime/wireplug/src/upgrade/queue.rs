//! What waits to be sent to the other process of an upgrade.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use super::link::Link;

/// A queue before a link. It is not bounded: few sessions move at a time, and commands for them
/// come no faster than the application gives them. A clone is the same queue.
pub(super) struct Queue<Message>(mpsc::UnboundedSender<Waiting<Message>>);

/// The end of a queue at which messages are taken out.
pub(super) struct Queued<Message>(mpsc::UnboundedReceiver<Waiting<Message>>);

enum Waiting<Message> {
    Message(Message, Vec<OwnedFd>),
    /// Somebody who waits until all before it has been sent.
    Flush(oneshot::Sender<()>),
}

impl<Message> Queue<Message> {
    pub(super) fn new() -> (Self, Queued<Message>) {
        let (queue, queued) = mpsc::unbounded_channel();
        (Self(queue), Queued(queued))
    }

    /// Adds a message with its descriptors.
    pub(super) fn put(&self, message: Message, descriptors: Vec<OwnedFd>) {
        // If the other process is gone, so is what it would do. Sessions on their way come back,
        // with all that they got.
        let _ = self.0.send(Waiting::Message(message, descriptors));
    }

    /// Waits until all that was added so far has been sent, or cannot be sent any more.
    pub(super) fn flush(&self) -> BoxFuture<'static, ()> {
        let (done, flushed) = oneshot::channel();
        let _ = self.0.send(Waiting::Flush(done));
        flushed.map(drop).boxed()
    }
}

impl<Message> Clone for Queue<Message> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[cfg(test)]
impl<Message> Queued<Message> {
    /// Takes out the next message, if there is one.
    pub(super) fn next(&mut self) -> Option<Message> {
        match self.0.try_recv().ok()? {
            Waiting::Message(message, _) => Some(message),
            Waiting::Flush(_) => panic!("nobody waits in a test"),
        }
    }
}

impl<Message: Serialize + Send + Sync + 'static> Queued<Message> {
    /// Sends what is in the queue, in a task, until nobody can add more or the other process is
    /// gone.
    pub(super) fn send_to(mut self, link: Arc<Link>) {
        tokio::spawn(async move {
            while let Some(waiting) = self.0.recv().await {
                match waiting {
                    Waiting::Message(message, descriptors) => {
                        if let Err(error) = link.send(&message, &descriptors).await {
                            warn!(%error, "the other process of the upgrade cannot be reached any more");
                            // Then it must not be heard either.
                            return link.shut();
                        }
                    }
                    Waiting::Flush(done) => drop(done.send(())),
                }
            }
        });
    }
}
