//! The times at which requests are due at a fixed rate.

use std::time::{Duration, Instant};

/// The times of one connection's requests. Of the requests of all connections, these are the
/// `index`-th and each `of`-th one after it.
#[derive(Clone)]
pub(super) struct Schedule {
    base: Instant,
    /// The requests a second of all connections together.
    per_second: f64,
    index: u64,
    of: u64,
    next: u64,
}

impl Schedule {
    pub(super) fn new(base: Instant, per_second: f64, index: u64, of: u64) -> Self {
        Self { base, per_second, index, of, next: 0 }
    }

    /// Returns when a request is due.
    pub(super) fn at(&self, number: u64) -> Instant {
        self.base + Duration::from_secs_f64((number * self.of + self.index) as f64 / self.per_second)
    }

    /// Returns the number of the first request that is not due before this time.
    pub(super) fn first_from(&self, time: Instant) -> u64 {
        let passed = time.saturating_duration_since(self.base).as_secs_f64() * self.per_second;
        // Floating point gives only a number near the right one. The search from there on compares
        // the times themselves.
        let mut number = ((passed - self.index as f64) / self.of as f64) as u64;
        number = number.saturating_sub(1);
        while self.at(number) < time {
            number += 1;
        }
        number
    }

    /// Skips the requests that are due before this time.
    pub(super) fn skip_to(&mut self, time: Instant) {
        self.next = self.first_from(time);
    }

    /// Takes the next request if it is due, and returns the time at which it was due.
    pub(super) fn due(&mut self, now: Instant) -> Option<Instant> {
        let at = self.at(self.next);
        (at <= now).then(|| {
            self.next += 1;
            at
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_share_a_rate_evenly() {
        let base = Instant::now();
        let mut all: Vec<_> = (0..3)
            .flat_map(|index| {
                let schedule = Schedule::new(base, 1000.0, index, 3);
                (0..10).map(move |number| schedule.at(number))
            })
            .collect();
        all.sort();
        let even: Vec<_> = (0..30).map(|number| base + Duration::from_millis(number)).collect();
        assert_eq!(all, even);
    }

    #[test]
    fn finds_where_a_time_falls() {
        let base = Instant::now();
        for per_second in [0.5, 3.0, 1e4, 12_345.678, 1e9] {
            let mut schedule = Schedule::new(base, per_second, 2, 7);
            for number in [0, 1, 2, 3, 1_000, 1_000_000_007] {
                let at = schedule.at(number);
                let found = schedule.first_from(at);
                assert!(found <= number && schedule.at(found) == at, "{number} at {per_second}: {found}");
                assert!(schedule.at(schedule.first_from(at + Duration::from_nanos(1))) > at);
                schedule.skip_to(at);
                assert_eq!(schedule.due(at - Duration::from_nanos(1)), None);
                assert_eq!(schedule.due(at), Some(at));
            }
        }
    }
}
