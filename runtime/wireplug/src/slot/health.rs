//! The health of a generation: its recent faults, and whether it may open sessions.

use std::collections::VecDeque;
use std::time::Instant;

use crate::config::FaultLimits;

/// The faults of one generation within the window, and its circuit breaker.
#[derive(Debug)]
pub(super) struct Health {
    /// The times of the latest faults, the oldest first. No more are kept than the limit `rollback`
    /// counts.
    faults: VecDeque<Instant>,
    /// The times of the faults that count towards `suspend`, in the same way.
    suspending: VecDeque<Instant>,
    breaker: Breaker,
}

/// How many faults there were within the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FaultCount {
    /// All faults. They count towards a rollback.
    pub(super) all: usize,
    /// The faults that count towards a suspension: all except those of single addresses beyond
    /// their share.
    pub(super) suspending: usize,
}

/// Whether sessions may open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Breaker {
    Closed,
    /// No session may open until this time.
    Open(Instant),
    /// Sessions may open again since this time, as a test. A tenth of the limit of faults opens the
    /// breaker again.
    HalfOpen(Instant),
}

impl Health {
    pub(super) fn new() -> Self {
        Self { faults: VecDeque::new(), suspending: VecDeque::new(), breaker: Breaker::Closed }
    }

    /// Counts a fault, and returns how many faults there were in the window. `of_address` is the
    /// number of faults of the client's address, including this one, or `None` if the fault is not
    /// counted by address.
    pub(super) fn fault(
        &mut self,
        now: Instant,
        of_address: Option<u32>,
        limits: &FaultLimits,
    ) -> FaultCount {
        let is_half_open = matches!(self.breaker, Breaker::HalfOpen(_));
        // Fewer faults open the breaker again than opened it at first. So the share of one address
        // is smaller too; otherwise one address alone could keep the breaker open for ever.
        let part = |limit: u32| if is_half_open { (limit / 10).max(1) } else { limit };
        let counts = of_address.is_none_or(|count| count <= part(limits.per_address));
        remember(&mut self.faults, now, true, limits.rollback, limits);
        remember(&mut self.suspending, now, counts, limits.suspend, limits);
        let (all, suspending) = (self.faults.len(), self.suspending.len());
        if is_half_open && suspending >= part(limits.suspend) as usize {
            self.open(now, limits);
        }
        FaultCount { all, suspending }
    }

    fn open(&mut self, now: Instant, limits: &FaultLimits) {
        self.breaker = Breaker::Open(now + limits.window);
        self.faults.clear();
        self.suspending.clear();
    }

    /// Lets no session open for the length of the window. Returns false, and changes nothing, if
    /// the breaker is not closed.
    pub(super) fn suspend(&mut self, now: Instant, limits: &FaultLimits) -> bool {
        let was_closed = self.breaker == Breaker::Closed;
        if was_closed {
            self.open(now, limits);
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

/// Adds a fault if it counts. Forgets the faults before the window, and the oldest ones beyond the
/// limit.
fn remember(faults: &mut VecDeque<Instant>, now: Instant, counts: bool, limit: u32, limits: &FaultLimits) {
    if counts {
        faults.push_back(now);
    }
    let most = limit.max(1) as usize;
    while faults.len() > most || faults.front().is_some_and(|at| now - *at > limits.window) {
        faults.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMITS: FaultLimits =
        FaultLimits { rollback: 3, suspend: 5, per_address: 2, window: Duration::from_secs(10) };

    /// Counts a fault that is not counted by address, and returns how many there were.
    fn fault(health: &mut Health, now: Instant, limits: &FaultLimits) -> usize {
        let FaultCount { all, suspending } = health.fault(now, None, limits);
        assert_eq!(all, suspending.min(limits.rollback as usize));
        suspending
    }

    fn seconds(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn only_faults_within_the_window_count() {
        let (mut health, start) = (Health::new(), Instant::now());
        assert_eq!(fault(&mut health, start, &LIMITS), 1);
        assert_eq!(fault(&mut health, seconds(start, 10), &LIMITS), 2);
        assert_eq!(fault(&mut health, seconds(start, 11), &LIMITS), 2);
        assert_eq!(fault(&mut health, seconds(start, 30), &LIMITS), 1);
    }

    #[test]
    fn no_more_faults_are_remembered_than_a_limit_asks_for() {
        let (mut health, start) = (Health::new(), Instant::now());
        for _ in 0..100 {
            fault(&mut health, start, &LIMITS);
        }
        assert_eq!((health.faults.len(), health.suspending.len()), (3, 5));
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
        fault(&mut health, seconds(start, 11), &LIMITS);
        assert!(!health.admits(seconds(start, 20), &LIMITS));
        assert!(health.admits(seconds(start, 21), &LIMITS));
        // A whole window without a fault: all is well again.
        assert!(health.admits(seconds(start, 32), &LIMITS));
        assert_eq!(fault(&mut health, seconds(start, 33), &LIMITS), 1);
        assert!(health.admits(seconds(start, 33), &LIMITS));
    }

    #[test]
    fn one_fault_does_not_open_a_breaker_again_whose_limit_is_high() {
        let limits = FaultLimits { suspend: 30, ..LIMITS };
        let (mut health, start) = (Health::new(), Instant::now());
        assert!(health.suspend(start, &limits));
        assert!(health.admits(seconds(start, 10), &limits));
        for _ in 0..2 {
            fault(&mut health, seconds(start, 11), &limits);
        }
        assert!(health.admits(seconds(start, 11), &limits));
        fault(&mut health, seconds(start, 11), &limits);
        assert!(!health.admits(seconds(start, 12), &limits));
    }

    /// The faults of one address do not suspend the codec. But a version that fails for one address
    /// may still be bad: behind a load balancer that hides addresses, all clients have the same
    /// address.
    #[test]
    fn what_an_address_has_beyond_its_share_counts_for_a_rollback_only() {
        let (mut health, start) = (Health::new(), Instant::now());
        let counts: Vec<_> = (1..=5)
            .map(|count| health.fault(start, Some(count), &LIMITS))
            .map(|FaultCount { all, suspending }| (all, suspending))
            .collect();
        assert_eq!(counts, [(1, 1), (2, 2), (3, 2), (3, 2), (3, 2)]);
        assert_eq!(health.fault(start, Some(1), &LIMITS).suspending, 3, "of another address");
    }

    #[test]
    fn one_address_alone_cannot_keep_a_breaker_open() {
        let limits = FaultLimits { suspend: 100, per_address: 20, ..LIMITS };
        let (mut health, start) = (Health::new(), Instant::now());
        assert!(health.suspend(start, &limits));
        assert!(health.admits(seconds(start, 10), &limits));
        for count in 1..=1000 {
            health.fault(seconds(start, 11), Some(count), &limits);
        }
        assert!(health.admits(seconds(start, 11), &limits));
        // Five addresses can, as at first.
        for _ in 0..4 {
            health.fault(seconds(start, 11), Some(1), &limits);
            assert!(health.admits(seconds(start, 11), &limits));
            health.fault(seconds(start, 11), Some(2), &limits);
        }
        assert!(!health.admits(seconds(start, 11), &limits));
    }
}
