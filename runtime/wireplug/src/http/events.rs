//! Sends the events of sessions to a service.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::failure::{Cause, Failure};
use super::path;
use super::service::HttpService;
use crate::server::service_events::{EventPost, NotTaken};

/// No URL has this number.
const NONE: usize = usize::MAX;

/// What a service over HTTP has for its events.
#[derive(Debug)]
pub(super) struct Events {
    are_wanted: bool,
    /// The number of the URL that has not accepted the last events. The next ones go to another
    /// URL, if there is one.
    failed: AtomicUsize,
}

impl Events {
    pub(super) fn new(are_wanted: bool) -> Self {
        Self { are_wanted, failed: AtomicUsize::new(NONE) }
    }

    pub(super) fn are_wanted(&self) -> bool {
        self.are_wanted
    }
}

impl EventPost for HttpService {
    fn post(self: Arc<Self>, events: Bytes) -> BoxFuture<'static, Result<(), NotTaken>> {
        async move {
            let taken = self.post_events(events).await;
            taken.map_err(|Failure { url, why, .. }| NotTaken { url, why })
        }
        .boxed()
    }
}

impl HttpService {
    /// Sends events to one URL. They need no permit, because no others are in flight.
    async fn post_events(&self, events: Bytes) -> Result<(), Failure> {
        let (now, failed) = (Instant::now(), self.events.failed.load(Ordering::Relaxed));
        let attempt = self.targets.least_busy(&[failed], now);
        let attempt = attempt.or_else(|| self.targets.least_busy(&[], now));
        let Some(attempt) = attempt else {
            return Err(Failure::new(Cause::LeftOut, "all URLs have failed, and are left out for a while"));
        };
        let (number, url) = (attempt.number, attempt.url().to_owned());
        let deadline = tokio::time::Instant::now() + self.timeout;
        let answer = self.send(attempt, path::EVENTS, self.headers.of_events(), events, deadline).await;
        let taken = match answer.map(|answer| answer.status()) {
            Ok(status) if status.is_success() => Ok(()),
            Ok(status) => {
                let why = format!("it answered with the status {}", status.as_u16());
                Err(Failure { url: Some(url), ..Failure::new(Cause::Status, why) })
            }
            Err(failure) => Err(failure),
        };
        self.events.failed.store(if taken.is_ok() { NONE } else { number }, Ordering::Relaxed);
        taken
    }
}
