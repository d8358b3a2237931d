//! The wait of a reader whose client is over its rates.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Sleep, sleep_until};

use super::meter::{Pace, RateMeter, over_rate};

/// A timer that exists only while the client is over its rates, since most clients never are.
#[derive(Debug, Default)]
pub(super) struct RateWait(Option<Pin<Box<Sleep>>>);

impl RateWait {
    /// Waits until the client may be read.
    ///
    /// # Errors
    /// Returns an error of kind [`io::ErrorKind::QuotaExceeded`] if the client was over its rates
    /// and its connection must end for that.
    pub(super) fn poll(&mut self, meter: &RateMeter, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match meter.pace() {
                Pace::Within => break,
                Pace::Over => return Poll::Ready(Err(over_rate())),
                Pace::Wait(until) => {
                    let wait = self.0.get_or_insert_with(|| Box::pin(sleep_until(until)));
                    if wait.deadline() != until {
                        wait.as_mut().reset(until);
                    }
                    ready!(wait.as_mut().poll(cx));
                }
            }
        }
        self.0 = None;
        Poll::Ready(Ok(()))
    }
}
