//! How sound a generation is: its faults of late, and whether it may open sessions.

use std::collections::VecDeque;
use std::time::Instant;

use crate::config::FaultLimits;

/// The faults of one generation within the window, and its circuit breaker.
#[derive(Debug)]
pub(super) struct Health {
    /// When the latest faults were, the oldest first: no more of them than a limit can ask for.
    faults: VecDeque<Instant>,
    breaker: Breaker,
}

/// Whether sessions are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Breaker {
    Closed,
    /// None, until then.
    Open(Instant),
    /// They are, to see whether all is well; a tenth of the limit opens the breaker again. Since then.
    HalfOpen(Instant),
}

impl Health {
    pub(super) fn new() -> Self {
        Self { faults: VecDeque::new(), breaker: Breaker::Closed }
    }

    /// Takes a fault, and returns how many there were in the window.
    pub(super) fn fault(&mut self, now: Instant, limits: &FaultLimits) -> usize {
        let most = limits.rollback.max(limits.suspend).max(1) as usize;
        self.faults.push_back(now);
        while self.faults.len() > most || self.faults.front().is_some_and(|at| now - *at > limits.window) {
            self.faults.pop_front();
        }
        // Fewer than it took at first; but one alone, which anybody may provoke, keeps nobody out.
        let again = (limits.suspend as usize / 10).max(1);
        if matches!(self.breaker, Breaker::HalfOpen(_)) && self.faults.len() >= again {
            self.breaker = Breaker::Open(now + limits.window);
            self.faults.clear();
            return again;
        }
        self.faults.len()
    }

    /// Opens no session any more for the length of the window. False: it is so already.
    pub(super) fn suspend(&mut self, now: Instant, limits: &FaultLimits) -> bool {
        let was_closed = self.breaker == Breaker::Closed;
        if was_closed {
            self.breaker = Breaker::Open(now + limits.window);
            self.faults.clear();
        }
        was_closed
    }

    /// Whether a session may open.
    pub(super) fn admits(&mut self, now: Instant, limits: &FaultLimits) -> bool {
        self.breaker = match self.breaker {
            Breaker::Open(until) if now < until => return false,
            Breaker::Open(_) => Breaker::HalfOpen(now),
            Breaker::HalfOpen(since) if now - since > limits.window => Breaker::Closed,
            same => same,
        };
        true
    }

    /// Whether no session may open at this time.
    pub(super) fn is_suspended(&self, now: Instant) -> bool {
        matches!(self.breaker, Breaker::Open(until) if now < until)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMITS: FaultLimits = FaultLimits { rollback: 3, suspend: 5, window: Duration::from_secs(10) };

    fn seconds(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn only_faults_within_the_window_count() {
        let (mut health, start) = (Health::new(), Instant::now());
        assert_eq!(health.fault(start, &LIMITS), 1);
        assert_eq!(health.fault(seconds(start, 10), &LIMITS), 2);
        assert_eq!(health.fault(seconds(start, 11), &LIMITS), 2);
        assert_eq!(health.fault(seconds(start, 30), &LIMITS), 1);
    }

    #[test]
    fn no_more_faults_are_remembered_than_a_limit_asks_for() {
        let (mut health, start) = (Health::new(), Instant::now());
        for _ in 0..100 {
            health.fault(start, &LIMITS);
        }
        assert_eq!(health.faults.len(), 5);
    }

    #[test]
    fn a_breaker_opens_for_a_window_then_tries_and_opens_again_at_a_tenth_of_the_faults() {
        let (mut health, start) = (Health::new(), Instant::now());
        assert!(health.admits(start, &LIMITS));
        assert!(health.suspend(start, &LIMITS));
        assert!(!health.suspend(start, &LIMITS), "it is suspended already");
        assert!(!health.admits(seconds(start, 9), &LIMITS));
        assert!(health.is_suspended(seconds(start, 9)));
        assert!(health.admits(seconds(start, 10), &LIMITS));
        health.fault(seconds(start, 11), &LIMITS);
        assert!(!health.admits(seconds(start, 20), &LIMITS));
        assert!(health.admits(seconds(start, 21), &LIMITS));
        // A whole window without a fault: all is well again.
        assert!(health.admits(seconds(start, 32), &LIMITS));
        assert_eq!(health.fault(seconds(start, 33), &LIMITS), 1);
        assert!(health.admits(seconds(start, 33), &LIMITS));
    }

    #[test]
    fn one_fault_does_not_open_a_breaker_again_whose_limit_is_high() {
        let limits = FaultLimits { suspend: 30, ..LIMITS };
        let (mut health, start) = (Health::new(), Instant::now());
        assert!(health.suspend(start, &limits));
        assert!(health.admits(seconds(start, 10), &limits));
        for _ in 0..2 {
            health.fault(seconds(start, 11), &limits);
        }
        assert!(health.admits(seconds(start, 11), &limits));
        health.fault(seconds(start, 11), &limits);
        assert!(!health.admits(seconds(start, 12), &limits));
    }
}
