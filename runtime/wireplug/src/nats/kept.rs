//! A subscription that is made again when it is no longer in effect.

use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::debug;

use super::health::{Reach, Subscription};
use super::link::Link;

/// How long a subscription waits for room in the client library's queue. There may be no room while
/// the server does not read.
const PATIENCE: Duration = Duration::from_millis(500);

/// A subscription on the current client.
pub(super) struct Kept {
    link: Link,
    which: Subscription,
    reach: watch::Receiver<Reach>,
    /// `None` while the subscription must be made again.
    subscriber: Option<Subscriber>,
    /// The number of the client that the subscription is on.
    generation: u64,
}

impl Kept {
    /// Subscribes. NATS does not have to be reachable yet.
    pub(super) async fn subscribe(link: &Link, which: Subscription) -> Self {
        let (link, reach) = (link.clone(), link.reach());
        let mut kept = Self { link, which, reach, subscriber: None, generation: 0 };
        kept.make().await;
        kept
    }

    /// Waits for the next message. Cancel safe.
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
                    // The client of the subscription has ended.
                    None => {
                        self.subscriber = None;
                        self.link.unheld(self.which, "the client of NATS has ended");
                        self.link.renew(self.generation).await;
                    }
                },
                _ = self.reach.changed() => {}
                () = sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => {
                    // The old subscription is given up first, so that no message comes twice.
                    self.subscriber = None;
                }
            }
        }
    }

    /// Makes the subscription. If that fails, the next call tries again.
    async fn make(&mut self) {
        let (generation, client) = self.link.client();
        let subject = self.link.subject(self.which);
        // This is noted first, because the server may answer at once.
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
