//! The time of a connection: the client's deadlines and rates, the messages that gather for an
//! interval, and the one timer that waits for all of them.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::codec_side::CodecSide;
use crate::config::ClientLimits;
use crate::server::deadlines::{Deadlines, Observed};
use crate::server::rate::{Rate, Seen};
use crate::session::CloseReason;
use wireplug_connectors::RateMeter;
use wireplug_connectors::running_time::{Reading, RunningTime};

/// Where the timer is set while nothing is due.
const FAR: Duration = Duration::from_secs(24 * 3600);

/// The time of one connection.
pub(super) struct ConnectionTimer {
    time: RunningTime,
    deadlines: Deadlines,
    rate: Rate,
    /// Set to the earliest deadline, or before it.
    timer: Pin<Box<Sleep>>,
    /// When the messages are due that gather for an interval.
    flush_at: Option<Instant>,
    /// They are due now, until all of them are encoded.
    flush_due: bool,
}

impl ConnectionTimer {
    /// The time of a connection whose session begins now. The client was accepted at `accepted`, in
    /// running time. `meter` is the connector's, if it counts.
    pub(super) fn new(
        limits: &ClientLimits,
        accepted: Instant,
        wants_first_byte: bool,
        meter: Option<RateMeter>,
        time: RunningTime,
    ) -> Self {
        Self {
            deadlines: Deadlines::new(limits, accepted, time.now(), wants_first_byte),
            rate: Rate::new(&limits.into(), meter, &time),
            timer: Box::pin(sleep_until(Instant::now() + FAR)),
            flush_at: None,
            flush_due: false,
            time,
        }
    }

    /// Does what is due, and sets the timer to what comes next. Ready when the client missed a
    /// deadline.
    pub(super) fn poll(
        &mut self,
        limits: &ClientLimits,
        codec: &mut CodecSide,
        cx: &mut Context<'_>,
    ) -> Poll<CloseReason> {
        while let Some(at) = self.next(limits, codec) {
            // A timer that fires early costs a turn. To move it each time something happened would
            // cost more.
            if at < self.timer.deadline() || self.timer.is_elapsed() {
                self.timer.as_mut().reset(at);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let Reading { real: now, running, stands_still, .. } = self.time.read();
            let missed = self.deadlines.next(limits).filter(|(at, _)| *at <= running && !stands_still);
            if let Some((_, reason)) = missed {
                return Poll::Ready(reason);
            }
            if self.flush_at.is_some_and(|at| at <= now) {
                (self.flush_at, self.flush_due) = (None, true);
            }
            let codec_timer = !stands_still && codec.on_timer();
            if codec_timer | self.rate.release(now) | codec.resumes(now) || self.flush_due {
                // There is something to write or to read: the next turn does it.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        Poll::Pending
    }

    /// Returns the earliest time at which something is due.
    fn next(&self, limits: &ClientLimits, codec: &CodecSide) -> Option<Instant> {
        let limit = self.deadlines.next(limits).map(|(at, _)| at);
        let judged = [codec.timer_at(), limit].into_iter().flatten().min().map(|at| self.time.real(at));
        [judged, self.flush_at, self.rate.until(), codec.held_until()].into_iter().flatten().min()
    }

    /// Ready when the codec may be called. For a connection that ends: its timer is set for nothing
    /// else any more.
    pub(super) fn poll_may_call(&mut self, codec: &mut CodecSide, cx: &mut Context<'_>) -> Poll<()> {
        while !codec.may_call() {
            let Some(until) = codec.held_until() else { return Poll::Ready(()) };
            self.timer.as_mut().reset(until);
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    // === what the client is held to ===

    /// Notes what a turn has seen, for the deadlines.
    pub(super) fn observe(&mut self, observed: Observed) {
        self.deadlines.observe(self.time.now(), observed);
    }

    /// Charges the client's rates for what a turn has seen. Returns whether the connection is to
    /// end.
    pub(super) fn charge(&mut self, seen: Seen) -> bool {
        self.rate.take(seen)
    }

    /// Whether the client is over its rates, so that nothing is read from it.
    pub(super) fn holds_client(&self) -> bool {
        self.rate.holds()
    }

    /// Lifts the client's rates: what it still sends is thrown away.
    pub(super) fn lift_rates(&mut self) {
        self.rate.lift();
    }

    // === messages that gather ===

    /// Whether messages gather for an interval that is not over. The first of them begins it.
    pub(super) fn gathers(&mut self, interval: Duration) -> bool {
        if interval.is_zero() || self.flush_due {
            return false;
        }
        self.flush_at.get_or_insert_with(|| Instant::now() + interval);
        true
    }

    /// Whether messages are due, and not all of them are encoded.
    pub(super) fn is_flush_due(&self) -> bool {
        self.flush_due
    }

    /// Sets whether messages are due.
    pub(super) fn set_flush_due(&mut self, due: bool) {
        self.flush_due = due;
    }
}
