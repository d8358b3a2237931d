//! A subscription that is made again when it does not hold any more.

use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::debug;

use super::health::{Reach, Subscription};
use super::link::Link;

/// How long a subscription waits for a place in what is to be written. There is none while the
/// server does not read.
const PATIENCE: Duration = Duration::from_millis(500);

/// A subscription, on whichever client there is.
pub(super) struct Kept {
    link: Link,
    which: Subscription,
    reach: watch::Receiver<Reach>,
    /// None: it is being made again.
    subscriber: Option<Subscriber>,
    /// Of the client that it is on.
    generation: u64,
}

impl Kept {
    /// Subscribes. NATS need not be there yet.
    pub(super) async fn subscribe(link: &Link, which: Subscription) -> Self {
        let (link, reach) = (link.clone(), link.reach());
        let mut kept = Self { link, which, reach, subscriber: None, generation: 0 };
        kept.make().await;
        kept
    }

    /// The next message. Cancel safe.
    pub(super) async fn next(&mut self) -> Message {
        loop {
            let again = self.reach.borrow_and_update().again(self.which);
            let Some(subscriber) = &mut self.subscriber else {
                self.make().await;
                continue;
            };
            tokio::select! {
                biased;
                message = subscriber.next() => match message {
                    Some(message) => return message,
                    // Its client has ended.
                    None => {
                        self.subscriber = None;
                        self.link.unheld(self.which, "the client of NATS has ended");
                        self.link.renew(self.generation).await;
                    }
                },
                _ = self.reach.changed() => {}
                () = sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => {
                    // First it gives the old one up: a message must not come twice.
                    self.subscriber = None;
                }
            }
        }
    }

    /// Makes it, or leaves that to the next call.
    async fn make(&mut self) {
        let (generation, client) = self.link.client();
        let subject = self.link.subject(self.which);
        // What the server answers may come at once.
        self.link.made_again(self.which);
        match timeout(PATIENCE, client.subscribe(subject)).await {
            Ok(Ok(subscriber)) => {
                debug!(which = %self.which, "subscribed");
                (self.subscriber, self.generation) = (Some(subscriber), generation);
            }
            Ok(Err(_)) => self.link.renew(generation).await,
            Err(_) => self.link.unheld(self.which, "the server of NATS does not read"),
        }
    }
}
