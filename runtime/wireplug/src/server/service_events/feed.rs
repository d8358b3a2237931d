//! The events for one service: a queue, and the task that sends them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::event::{self, Event};
use super::{EventPost, FeedSettings, NotTaken};
use crate::codec::Reason;
use crate::session::{Session, SessionEvent};
use wireplug_base::LogLimit;
use wireplug_base::units::duration_text;

/// The most events in one request. They take about 15 KiB, and 65 KiB if the attributes of each
/// take 1 KiB. Several frameworks refuse bodies of more than 100 KiB.
const MAX_BATCH: usize = 50;

/// How long the task waits before it sends events again for the first time. The time doubles with
/// each failure.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// The longest wait before events are sent again, so that a service that is back soon gets them.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How often the log has one line of a kind about a service that does not accept events.
const LOG_EVERY: Duration = Duration::from_secs(30);

/// The events for one service.
pub(super) struct Feed {
    service: String,
    /// The name of this server.
    node: Arc<str>,
    state: Mutex<FeedState>,
    /// Notified when an event is queued.
    queued: Notify,
    log: Limits,
}

struct FeedState {
    post: Arc<dyn EventPost>,
    settings: FeedSettings,
    queue: VecDeque<Event>,
    /// How many events the task has taken out of the queue, and the service has not accepted yet.
    in_flight: usize,
    /// The number of the last event. Those that are dropped have numbers too, so that the service
    /// sees gaps.
    last: u64,
    dropped: Dropped,
}

/// How many events were dropped since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dropped {
    /// There was no room in the queue.
    pub(crate) full: u64,
    /// The service has not accepted them in time.
    pub(crate) refused: u64,
}

/// The state of a feed, for the metrics.
#[cfg(any(feature = "metrics", test))]
#[derive(Debug)]
pub(crate) struct FeedStatus {
    pub(crate) service: String,
    /// How many events the service has not got yet.
    pub(crate) queued: usize,
    pub(crate) dropped: Dropped,
}

/// The limits of the log lines of one feed.
struct Limits {
    again: LogLimit,
    full: LogLimit,
    refused: LogLimit,
}

impl Feed {
    pub(super) fn new(
        service: &str,
        node: &Arc<str>,
        post: Arc<dyn EventPost>,
        settings: FeedSettings,
    ) -> Self {
        let state = FeedState {
            post,
            settings,
            queue: VecDeque::new(),
            in_flight: 0,
            last: 0,
            dropped: Dropped::default(),
        };
        let [again, full, refused] = std::array::from_fn(|_| LogLimit::every(LOG_EVERY, 1));
        Self {
            service: service.to_owned(),
            node: Arc::clone(node),
            state: Mutex::new(state),
            queued: Notify::new(),
            log: Limits { again, full, refused },
        }
    }

    pub(super) fn service(&self) -> &str {
        &self.service
    }

    /// Sets where events are sent from now on, also those that wait, and which ones are queued.
    pub(super) fn set(&self, post: Arc<dyn EventPost>, settings: FeedSettings) {
        let mut state = self.state();
        (state.post, state.settings) = (post, settings);
    }

    /// Queues no more events. Those that wait are sent.
    pub(super) fn stop(&self) {
        self.state().settings.events.clear();
    }

    /// Queues an event, if the service asks for it. If there is no room, the event is dropped, and
    /// not an older one: the task may be sending the oldest ones.
    pub(super) fn event(&self, session: &Session, event: &SessionEvent) {
        let mut state = self.state();
        let FeedState { settings, queue, in_flight, last, dropped, .. } = &mut *state;
        if !event::is_wanted(&settings.events, event) {
            return;
        }
        *last += 1;
        if queue.len() + *in_flight < settings.max {
            queue.push_back(Event::new(*last, session, event, &settings.attributes));
            drop(state);
            self.queued.notify_one();
        } else {
            dropped.full += 1;
            let (dropped, max_events) = (dropped.full, settings.max);
            drop(state);
            self.log.full.log(|_| {
                let service = &*self.service;
                warn!(
                    service,
                    dropped,
                    max_events,
                    "events for a service are dropped, because `http.max-events` wait for it"
                );
            });
        }
    }

    /// Sends the events, in order, until `end` is cancelled and none is left.
    pub(super) async fn run(&self, end: &CancellationToken) {
        while let Some(batch) = self.next(end).await {
            let is_taken = self.deliver(&batch, end).await;
            let mut state = self.state();
            state.in_flight = 0;
            if !is_taken {
                state.dropped.refused += batch.len() as u64;
            }
        }
    }

    /// Waits for the next events, and takes them out of the queue.
    async fn next(&self, end: &CancellationToken) -> Option<Vec<Event>> {
        loop {
            {
                let mut state = self.state();
                let count = state.queue.len().min(MAX_BATCH);
                if count > 0 {
                    state.in_flight = count;
                    return Some(state.queue.drain(..count).collect());
                }
                // A burst must not hold its memory for ever.
                state.queue = VecDeque::new();
            }
            if end.is_cancelled() {
                return None;
            }
            tokio::select! {
                () = self.queued.notified() => {}
                () = end.cancelled() => {}
            }
        }
    }

    /// Sends events until the service accepts them, with growing waits. Returns false if it has not
    /// accepted them in time. At the end of the server, the waits begin again with the shortest.
    async fn deliver(&self, batch: &[Event], end: &CancellationToken) -> bool {
        let (events, begun) = (Bytes::from(event::to_json(batch, &self.node)), Instant::now());
        let mut wait = FIRST_WAIT;
        loop {
            // A reload may have changed both.
            let (post, retry) = {
                let state = self.state();
                (Arc::clone(&state.post), state.settings.retry)
            };
            let Err(NotTaken { url, why }) = post.post(events.clone()).await else { return true };
            let (service, url, why) = (&*self.service, url.as_deref(), Reason::new(why));
            let Some(left) = retry.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) else {
                self.log.refused.log(|left_out| {
                    let (events, after) = (batch.len(), duration_text(retry));
                    warn!(service, url, %why, events, left_out, "a service has not accepted events for {after}: they are dropped");
                });
                return false;
            };
            self.log.again.log(|left_out| {
                let events = batch.len();
                warn!(service, url, %why, events, left_out, "a service has not accepted events: they are sent again");
            });
            tokio::select! {
                () = sleep(wait.min(left)) => wait = (wait * 2).min(LONGEST_WAIT),
                () = end.cancelled(), if !end.is_cancelled() => wait = FIRST_WAIT,
            }
        }
    }

    /// Writes a log line about events that the server gives up at its end, if there are some.
    pub(super) fn log_left(&self) {
        let state = self.state();
        let events = state.queue.len() + state.in_flight;
        if events > 0 {
            let service = &*self.service;
            warn!(service, events, "the server ends before a service has accepted these events");
        }
    }

    #[cfg(any(feature = "metrics", test))]
    pub(super) fn status(&self) -> FeedStatus {
        let FeedState { queue, in_flight, dropped, .. } = &*self.state();
        FeedStatus { service: self.service.clone(), queued: queue.len() + in_flight, dropped: *dropped }
    }

    fn state(&self) -> MutexGuard<'_, FeedState> {
        // Nothing that runs under the lock can leave the state half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
