//! The pings by which a server keeps a quiet WebSocket open, and finds clients that are gone.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, Sleep, sleep};

/// How many pings in a row may be followed by nothing. Pings count as traffic, so `idle-timeout`
/// does not end a client that is gone.
const MAX_UNANSWERED: u32 = 2;

/// The pings to a client.
pub(super) struct Ping {
    interval: Duration,
    timer: Pin<Box<Sleep>>,
    /// How many bytes had been read at the last ping. `None` before the first one.
    read: Option<u64>,
    /// How many pings in a row were followed by nothing.
    unanswered: u32,
}

/// The state of the pings to a client on its way to another process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SavedPing {
    /// The time until the next ping.
    left: Duration,
    read: Option<u64>,
    unanswered: u32,
}

impl Ping {
    /// Returns `None` if the interval is zero.
    pub(super) fn new(interval: Duration) -> Option<Self> {
        let timer = || Box::pin(sleep(interval));
        (!interval.is_zero()).then(|| Self { interval, timer: timer(), read: None, unanswered: 0 })
    }

    /// Continues with the pings of another process at the interval of this one.
    pub(super) fn resume(interval: Duration, saved: Option<SavedPing>) -> Option<Self> {
        let mut ping = Self::new(interval)?;
        if let Some(SavedPing { left, read, unanswered }) = saved {
            ping.timer.as_mut().reset(Instant::now() + left.min(interval));
            (ping.read, ping.unanswered) = (read, unanswered);
        }
        Some(ping)
    }

    /// Returns the state for another process.
    pub(super) fn saved(&self) -> SavedPing {
        let left = self.timer.deadline().saturating_duration_since(Instant::now());
        SavedPing { left, read: self.read, unanswered: self.unanswered }
    }

    /// Returns whether the interval is over. `read` is how many bytes have been read so far.
    ///
    /// # Errors
    /// Returns an error if nothing came after several pings.
    pub(super) fn poll(&mut self, read: u64, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut is_over = false;
        while self.timer.as_mut().poll(cx).is_ready() {
            is_over = true;
            self.timer.as_mut().reset(Instant::now() + self.interval);
        }
        if is_over {
            self.unanswered = if self.read == Some(read) { self.unanswered + 1 } else { 0 };
            self.read = Some(read);
        }
        if self.unanswered > MAX_UNANSWERED {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the client answers no ping"));
        }
        Ok(is_over)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use super::*;
    use crate::handover::{from_state, to_state};

    /// Waits until the interval is over.
    async fn due(ping: &mut Ping) -> io::Result<()> {
        poll_fn(|cx| match ping.poll(0, cx) {
            Ok(false) => Poll::Pending,
            Ok(true) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error)),
        })
        .await
    }

    /// A client that is gone is found as soon as without the hand-overs.
    #[tokio::test(start_paused = true)]
    async fn unanswered_pings_and_the_time_since_the_last_move_along() {
        let interval = Duration::from_secs(10);
        let start = Instant::now();
        let mut ping = Ping::new(interval).expect("it is not zero");
        for nth in 0..2 + MAX_UNANSWERED {
            tokio::time::sleep(Duration::from_secs(4)).await;
            let saved = from_state(&to_state(&ping.saved()).expect("it is written")).expect("it is read");
            ping = Ping::resume(interval, Some(saved)).expect("it is not zero");
            // The last one finds that the client is gone.
            assert_eq!(due(&mut ping).await.is_err(), nth == 1 + MAX_UNANSWERED, "{nth}");
        }
        assert_eq!(start.elapsed(), interval * (2 + MAX_UNANSWERED));
        assert!(Ping::resume(Duration::ZERO, Some(ping.saved())).is_none(), "this process sends none");
    }
}
