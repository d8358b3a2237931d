//! The wait of a session that sleeps until it can wake.

use std::time::Duration;

use tokio::time::Instant;

use crate::server::awake::Queued;

/// How long a session waits before it tries again to wake, if its codec has no memory left, or if
/// the large pool has no place for it. Nobody tells the session when that changes. The time is
/// short for a client, and long enough that many sessions that wait cost little.
const RETRY: Duration = Duration::from_millis(100);

/// How often a session that waits for its turn to wake asks others to sleep, in case that those who
/// were asked declined. It is woken when its turn comes.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How long a session may wait until it can wake. Then it ends: its client takes it for dead by
/// now.
pub(super) const WAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// The wait of a session until it can wake, if it waits. All times are real times.
#[derive(Debug, Default)]
pub(super) struct WakeWait(Option<Box<Wait>>);

#[derive(Debug)]
struct Wait {
    since: Instant,
    /// Until when the session does not try again. `None` if it may try in this turn.
    until: Option<Instant>,
    /// The session's place in the queue, if it waits for others to sleep.
    queued: Option<Queued>,
}

impl WakeWait {
    /// Returns whether the session waits, so that the codec cannot be called.
    pub(super) fn holds(&mut self) -> bool {
        let Some(wait) = &mut self.0 else { return false };
        let tries = wait.until.is_none_or(|until| until <= Instant::now())
            || wait.queued.as_ref().is_some_and(Queued::is_granted);
        if tries {
            wait.until = None;
        }
        !tries
    }

    /// Returns the time until which the session waits.
    pub(super) fn until(&self) -> Option<Instant> {
        self.0.as_ref()?.until
    }

    /// Returns whether the session, which waited, may try again at `now`.
    pub(super) fn resumes(&mut self, now: Instant) -> bool {
        match &mut self.0 {
            Some(wait) if wait.until.is_some_and(|until| until <= now) => {
                wait.until = None;
                true
            }
            _ => false,
        }
    }

    /// Lets the session wait: for its turn if it is `queued`, and otherwise for a moment. Returns
    /// false if it has waited for too long.
    pub(super) fn wait(&mut self, queued: Option<Queued>) -> bool {
        let now = Instant::now();
        let wait = self.0.get_or_insert_with(|| Box::new(Wait { since: now, until: None, queued: None }));
        let time = if queued.is_some() { ASK_AGAIN } else { RETRY };
        (wait.until, wait.queued) = (Some(now + time), queued);
        now - wait.since < WAKE_TIMEOUT
    }

    /// Takes out the session's place in the queue.
    pub(super) fn take_queued(&mut self) -> Option<Queued> {
        self.0.as_mut()?.queued.take()
    }

    /// Ends a turn. A session that could have tried to wake in this turn, and did not, has no
    /// reason to wake any more: its place in the queue is for others.
    pub(super) fn end_turn(&mut self) {
        if self.0.as_ref().is_some_and(|wait| wait.until.is_none()) {
            self.0 = None;
        }
    }

    /// Ends the wait, because the session is awake.
    pub(super) fn end(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::time::advance;

    use super::*;
    use crate::server::awake::AwakeLimit;

    #[tokio::test(start_paused = true)]
    async fn a_session_tries_again_and_gives_up_in_the_end() {
        let (mut wait, begun) = (WakeWait::default(), Instant::now());
        assert!(!wait.holds());
        while wait.wait(None) {
            assert!(wait.holds());
            wait.end_turn();
            assert_eq!(wait.until(), Some(Instant::now() + RETRY));
            advance(RETRY).await;
            assert!(wait.resumes(Instant::now()) && !wait.holds());
        }
        assert_eq!(begun.elapsed(), WAKE_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_whose_turn_has_come_waits_no_more() {
        let limit = AwakeLimit::new(1, Instant::now());
        let place = limit.take().expect("it is free");
        let mut wait = WakeWait::default();
        assert!(wait.wait(Some(limit.queue(Waker::noop(), Instant::now()))));
        assert!(wait.holds());
        wait.end_turn();
        drop(place);
        assert!(!wait.holds());
        assert!(wait.take_queued().and_then(|queued| queued.take()).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_need_not_wake_any_more_leaves_the_queue() {
        let limit = AwakeLimit::new(1, Instant::now());
        let place = limit.take().expect("it is free");
        let mut wait = WakeWait::default();
        assert!(wait.wait(Some(limit.queue(Waker::noop(), Instant::now()))));
        drop(place);
        assert!(!wait.holds(), "it may try in this turn");
        wait.end_turn();
        assert!(limit.take().is_some(), "its place is for others");
        // The time of the next wait begins anew.
        advance(2 * WAKE_TIMEOUT).await;
        assert!(wait.wait(None));
    }
}
