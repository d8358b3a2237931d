//! The one timer of a connection. It waits for the client's deadlines and rates, for the end of the
//! flush interval, for the codec, and for the time at which an idle session sleeps.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::codec_side::CodecSide;
use crate::config::ClientLimits;
use crate::server::deadlines::{Deadlines, Observed, SavedDeadlines};
use crate::server::rate::{Charged, Rate};
use crate::session::CloseReason;
use wireplug_connectors::running_time::{Reading, RunningTime};
use wireplug_connectors::{RateMeter, SavedMeter};

/// How far ahead the timer is set while nothing is due.
const FAR: Duration = Duration::from_secs(24 * 3600);

/// The deadlines, the rates and the timer of one connection.
pub(super) struct ConnectionTimer {
    time: RunningTime,
    deadlines: Deadlines,
    rate: Rate,
    /// Set to the earliest time at which something is due, or to an earlier time.
    timer: Pin<Box<Sleep>>,
    /// The end of the flush interval, at which the gathered messages are due.
    flush_at: Option<Instant>,
    /// Whether gathered messages are due. It stays true until all of them are encoded.
    flush_due: bool,
}

impl ConnectionTimer {
    /// Creates the timer of a connection whose session begins now. The client was accepted at
    /// `accepted`, in running time. `meter` is the connector's meter, if the connector counts.
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

    /// Goes on with the deadlines and rates of a connection from another process.
    pub(super) fn resume(&mut self, deadlines: &SavedDeadlines, rates: &SavedMeter, read: u64) {
        self.deadlines = Deadlines::resume(deadlines, self.time.now());
        self.rate.resume(rates, read);
    }

    /// Returns what another process needs to go on with the deadlines and rates.
    pub(super) fn save(&self) -> (SavedDeadlines, SavedMeter) {
        (self.deadlines.save(self.time.now()), self.rate.save())
    }

    /// Handles everything that is due, and sets the timer for the next time. Returns `Ready` when
    /// the client has missed a deadline.
    pub(super) fn poll(
        &mut self,
        limits: &ClientLimits,
        codec: &mut CodecSide,
        cx: &mut Context<'_>,
    ) -> Poll<CloseReason> {
        while let Some(at) = self.next(limits, codec) {
            // A timer that fires early costs a turn. Moving the timer at each event would cost
            // more.
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
            let failed = codec.sleep_when_idle(running);
            if failed | codec_timer | self.rate.release(now) | codec.resumes(now) || self.flush_due {
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
        let judged = [codec.timer_at(), codec.sleep_at(), limit]
            .into_iter()
            .flatten()
            .min()
            .map(|at| self.time.real(at));
        [judged, self.flush_at, self.rate.until(), codec.held_until()].into_iter().flatten().min()
    }

    /// Waits until the codec may be called. Only for a connection that ends, because nothing else
    /// needs its timer then.
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

    /// Notes what a turn has seen, for the deadlines. `now` is in running time.
    pub(super) fn observe(&mut self, now: Instant, observed: Observed) {
        self.deadlines.observe(now, observed);
    }

    /// Holds the client to other limits from now on. A deadline of the opening that runs already
    /// stays as it is.
    pub(super) fn set_limits(&mut self, limits: &ClientLimits) {
        self.rate.set(&limits.into(), &self.time);
    }

    /// Charges the client's rates for the traffic of a turn. Returns whether the connection must
    /// end.
    pub(super) fn charge(&mut self, seen: Charged) -> bool {
        self.rate.take(seen)
    }

    /// Returns whether the client is over its rates, so that it is not read.
    pub(super) fn holds_client(&self) -> bool {
        self.rate.holds()
    }

    /// Lifts the client's rates, because what the client still sends is discarded.
    pub(super) fn lift_rates(&mut self) {
        self.rate.lift();
    }

    // === messages that gather ===

    /// Returns whether messages must wait for the end of the flush interval. The first message
    /// begins the interval.
    pub(super) fn gathers(&mut self, interval: Duration) -> bool {
        if interval.is_zero() || self.flush_due {
            return false;
        }
        self.flush_at.get_or_insert_with(|| Instant::now() + interval);
        true
    }

    /// Returns whether gathered messages are due and not all encoded yet.
    pub(super) fn is_flush_due(&self) -> bool {
        self.flush_due
    }

    /// Sets whether gathered messages are due.
    pub(super) fn set_flush_due(&mut self, due: bool) {
        self.flush_due = due;
    }
}
