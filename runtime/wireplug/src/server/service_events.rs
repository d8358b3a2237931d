//! The events of sessions for the services that ask for them.
//!
//! Each such service has a feed: a queue, and a task that empties it, with one request in flight.
//! So the service gets the events of this node in one order. A session only puts its events into
//! queues, and waits for nothing. Feeds are known by the names of their services, and outlive
//! reloads: the task sends what waits to the service that has the name then.
//!
//! | file | its job |
//! |---|---|
//! | `event` | an event as a service gets it |
//! | `feed` | the events for one service: its queue, and how they are sent |

#![cfg_attr(not(feature = "http"), allow(dead_code, reason = "only services over HTTP get events"))]

mod event;
mod feed;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::feed::Feed;
#[cfg(feature = "metrics")]
pub(super) use self::feed::FeedStatus;
use crate::config::{ServiceConfig, ServiceEvent};
use crate::session::{Session, SessionEvent, SessionObserver};

/// How long the server tries at its end to send the events that wait. A service that is away must
/// not delay the end for long, and a restart of a service on the same machine takes less.
const LAST_EVENTS: Duration = Duration::from_secs(5);

/// What sends events to one service.
pub(crate) trait EventPost: Send + Sync {
    /// Sends a JSON array of events to the service.
    ///
    /// # Errors
    /// Returns an error unless the service has accepted the events. It may have got them.
    fn post(self: Arc<Self>, events: Bytes) -> BoxFuture<'static, Result<(), NotTaken>>;
}

/// Why a service has not accepted events.
#[derive(Debug)]
pub(crate) struct NotTaken {
    /// The URL at which it happened, if the request got so far.
    pub(crate) url: Option<String>,
    /// What happened, for the log.
    pub(crate) why: String,
}

/// Which events a service gets, and within which limits.
#[derive(Debug)]
pub(super) struct FeedSettings {
    events: Vec<ServiceEvent>,
    /// The attributes of the client that each event has.
    attributes: Vec<String>,
    /// How many events may wait.
    max: usize,
    /// How long events are sent again that the service does not accept.
    retry: Duration,
}

impl FeedSettings {
    pub(super) fn of(config: &ServiceConfig) -> Self {
        Self {
            events: config.events.clone(),
            attributes: config.http.attributes.clone(),
            max: config.http.max_events as usize,
            retry: config.http.events_retry,
        }
    }
}

/// The feeds of all services that ask for events, or have asked for them since the start.
pub(super) struct Feeds {
    /// The name of this server.
    node: Arc<str>,
    all: ArcSwap<Vec<Arc<Feed>>>,
    tasks: TaskTracker,
    /// Cancelled when no more events come.
    end: CancellationToken,
    /// Cancelled when events that still wait are given up.
    given_up: CancellationToken,
}

impl Feeds {
    /// Creates the feeds of the server `node`, for no service yet.
    pub(super) fn new(node: Arc<str>) -> Self {
        Self {
            node,
            all: ArcSwap::default(),
            tasks: TaskTracker::new(),
            end: CancellationToken::new(),
            given_up: CancellationToken::new(),
        }
    }

    /// Sets the services that get events from now on. A service that is missing gets those that
    /// wait for it.
    pub(super) fn set<'a>(
        &self,
        services: impl Iterator<Item = (&'a str, Arc<dyn EventPost>, FeedSettings)>,
    ) {
        let mut all = Vec::clone(&self.all.load());
        let before = all.len();
        let mut stays = vec![false; before];
        for (name, post, settings) in services {
            match all[..before].iter().position(|feed| feed.service() == name) {
                Some(at) => {
                    stays[at] = true;
                    all[at].set(post, settings);
                }
                None => all.push(self.start(Feed::new(name, &self.node, post, settings))),
            }
        }
        all.iter().zip(stays).filter(|(_, stays)| !stays).for_each(|(feed, _)| feed.stop());
        self.all.store(Arc::new(all));
    }

    fn start(&self, feed: Feed) -> Arc<Feed> {
        let feed = Arc::new(feed);
        let (of, end, given_up) = (Arc::clone(&feed), self.end.clone(), self.given_up.clone());
        self.tasks.spawn(async move { given_up.run_until_cancelled(of.run(&end)).await });
        feed
    }

    /// Sends the events that wait, for at most [`LAST_EVENTS`]. No more events may come.
    pub(super) async fn finish(&self) {
        self.end.cancel();
        self.tasks.close();
        if timeout(LAST_EVENTS, self.tasks.wait()).await.is_err() {
            self.all.load().iter().for_each(|feed| feed.log_left());
            self.given_up.cancel();
        }
    }

    /// Returns the state of each feed.
    #[cfg(any(feature = "metrics", test))]
    pub(super) fn status(&self) -> Vec<feed::FeedStatus> {
        self.all.load().iter().map(|feed| feed.status()).collect()
    }
}

impl SessionObserver for Feeds {
    fn event(&self, session: &Session, event: &SessionEvent, _: Option<u64>) {
        self.all.load().iter().for_each(|feed| feed.event(session, event));
    }
}

impl Drop for Feeds {
    fn drop(&mut self) {
        self.given_up.cancel();
    }
}
