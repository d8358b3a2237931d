//! The turns of a connection: what they cost, and whether its codec may be called.

use std::future::Future as _;
use std::task::{Context, Poll};

use super::Connection;

impl Connection {
    /// Does some work as one turn, and charges what the codec's calls in it took.
    pub(super) fn in_turn<R>(
        &mut self,
        cx: &mut Context<'_>,
        work: impl FnOnce(&mut Self, &mut Context<'_>) -> R,
    ) -> R {
        self.budget.begin_turn();
        let done = work(self, cx);
        let spent = self.machine.take_cpu_time(self.budget.measures());
        if let Err(error) = self.budget.end_turn(spent) {
            self.machine.fail(error);
            cx.waker().wake_by_ref();
        }
        done
    }

    /// Hands the application's words on hellos to the codec, if that may be called.
    pub(super) fn answer_hellos(&mut self) {
        while !self.answers.is_empty() && self.budget.may_call() {
            let (status, body) = self.answers.pop_front().unwrap_or_default();
            self.machine.answer(status, &body, self.clock.now_ms());
        }
    }

    /// Calls the codec if its timer is due and it may be called. False: its timer is not due. Where it may not be
    /// called, the next turn has session time stand still, and the timer with it.
    pub(super) fn on_codec_time(&mut self) -> bool {
        let now_ms = self.clock.now_ms();
        let is_due = self.machine.deadline().is_some_and(|at| at <= now_ms);
        if is_due && self.budget.may_call() {
            self.machine.on_time(now_ms);
        }
        is_due
    }

    /// Ready when the codec may be called. For a connection that ends: its timer is for nothing else any more.
    pub(super) fn poll_may_call(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.budget.may_call() {
            let Some(until) = self.budget.held_until() else { return Poll::Ready(()) };
            self.timer.as_mut().reset(until);
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }
}
