//! A circuit breaker: leaves a URL out for a while after several requests in a row have failed
//! there. After that, one request tries the URL.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The circuit of one URL. Requests go to the URL while the circuit is closed.
#[derive(Debug)]
pub(super) struct Circuit {
    /// How many failures in a row open the circuit. 0: no number does.
    limit: u32,
    /// How long the circuit is open.
    time: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant, is_probed: bool },
}

/// A request that may go to the URL. Its end must be reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// The circuit was closed.
    Ordinary,
    /// The circuit is open, and this request finds out whether the URL works again.
    Probe,
}

impl Circuit {
    pub(super) fn new(limit: u32, time: Duration) -> Self {
        Self { limit, time, state: Mutex::new(State::Closed { failures: 0 }) }
    }

    /// Returns whether requests go to the URL.
    #[cfg(any(feature = "metrics", test))]
    pub(super) fn is_closed(&self) -> bool {
        matches!(*self.state(), State::Closed { .. })
    }

    /// Lets a request go to the URL, or returns `None`.
    pub(super) fn admit(&self, now: Instant) -> Option<Pass> {
        match &mut *self.state() {
            State::Closed { .. } => Some(Pass::Ordinary),
            State::Open { until, is_probed } if !*is_probed && now >= *until => {
                *is_probed = true;
                Some(Pass::Probe)
            }
            State::Open { .. } => None,
        }
    }

    /// Notes that a request has succeeded. Returns whether this closes the circuit.
    pub(super) fn succeeded(&self, pass: Pass) -> bool {
        let mut state = self.state();
        let is_open = matches!(*state, State::Open { .. });
        // A request from before the circuit opened says nothing about the URL now.
        if !is_open || pass == Pass::Probe {
            *state = State::Closed { failures: 0 };
        }
        is_open && pass == Pass::Probe
    }

    /// Notes that a request has failed. Returns whether this opens the circuit.
    pub(super) fn failed(&self, pass: Pass, now: Instant) -> bool {
        let mut state = self.state();
        let until = now + self.time;
        match &mut *state {
            State::Closed { failures } => {
                *failures = failures.saturating_add(1);
                let opens = self.limit > 0 && *failures >= self.limit;
                if opens {
                    *state = State::Open { until, is_probed: false };
                }
                opens
            }
            State::Open { .. } => {
                if pass == Pass::Probe {
                    *state = State::Open { until, is_probed: false };
                }
                false
            }
        }
    }

    /// Notes that a request has ended without a result, because its client has gone.
    pub(super) fn given_up(&self, pass: Pass) {
        if let (State::Open { is_probed, .. }, Pass::Probe) = (&mut *self.state(), pass) {
            *is_probed = false;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_secs(5);

    /// Returns a circuit that opened at this time.
    fn open(now: Instant) -> Circuit {
        let circuit = Circuit::new(3, TIME);
        assert!(!circuit.failed(Pass::Ordinary, now) && !circuit.failed(Pass::Ordinary, now));
        assert!(circuit.failed(Pass::Ordinary, now));
        circuit
    }

    #[test]
    fn only_failures_in_a_row_open_it() {
        let (circuit, now) = (Circuit::new(3, TIME), Instant::now());
        for _ in 0..10 {
            assert!(!circuit.failed(Pass::Ordinary, now) && !circuit.failed(Pass::Ordinary, now));
            assert!(!circuit.succeeded(Pass::Ordinary));
        }
        assert_eq!(circuit.admit(now), Some(Pass::Ordinary));
        let never = Circuit::new(0, TIME);
        assert!((0..10_000).all(|_| !never.failed(Pass::Ordinary, now)) && never.is_closed());
    }

    #[test]
    fn one_request_tries_the_url_when_the_time_is_over() {
        let now = Instant::now();
        let circuit = open(now);
        assert!(!circuit.is_closed());
        assert_eq!(circuit.admit(now + TIME / 2), None);
        let later = now + TIME;
        assert_eq!(circuit.admit(later), Some(Pass::Probe));
        assert_eq!(circuit.admit(later), None, "one is enough");
        assert!(circuit.succeeded(Pass::Probe));
        assert_eq!(circuit.admit(later), Some(Pass::Ordinary));
        assert!(!circuit.failed(Pass::Ordinary, later), "it counts from the beginning");
    }

    #[test]
    fn a_probe_that_fails_opens_it_for_the_whole_time_again() {
        let now = Instant::now();
        let circuit = open(now);
        let later = now + TIME;
        assert_eq!(circuit.admit(later), Some(Pass::Probe));
        assert!(!circuit.failed(Pass::Probe, later), "it was open before");
        assert_eq!(circuit.admit(later + TIME / 2), None);
        assert_eq!(circuit.admit(later + TIME), Some(Pass::Probe));
        circuit.given_up(Pass::Probe);
        assert_eq!(circuit.admit(later + TIME), Some(Pass::Probe), "nothing was found out");
    }

    #[test]
    fn requests_from_before_it_opened_change_nothing() {
        let now = Instant::now();
        let circuit = open(now);
        assert!(!circuit.succeeded(Pass::Ordinary));
        assert!(!circuit.failed(Pass::Ordinary, now + TIME / 2));
        circuit.given_up(Pass::Ordinary);
        assert_eq!(circuit.admit(now + TIME / 2), None);
        assert_eq!(circuit.admit(now + TIME), Some(Pass::Probe));
    }
}
