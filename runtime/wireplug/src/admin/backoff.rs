//! Delays after refused tokens, for each address.
//!
//! An address whose tokens were refused several times must wait, longer each time. Other addresses
//! do not have to wait.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::peer::Source;

/// How many refused tokens cause no delay, because people mistype.
const FREE: u32 = 3;

/// The first delay; each refused token after it doubles the delay.
const FIRST_DELAY: Duration = Duration::from_secs(1);

/// The longest delay. At one try a minute, nobody can guess a token of 16 characters.
const MAX_DELAY: Duration = Duration::from_secs(60);

/// How long an address is remembered after its last refused token.
const MEMORY: Duration = Duration::from_secs(600);

/// The most addresses that are remembered. If there are more, the address whose last refused token
/// is the oldest is forgotten.
const MAX_ADDRESSES: usize = 1024;

/// Counts refused tokens by address.
#[derive(Default)]
pub(super) struct Backoff(Mutex<HashMap<Source, Failures>>);

struct Failures {
    count: u32,
    last: Instant,
    /// The time until which the address must wait.
    until: Instant,
}

impl Backoff {
    /// Returns how long an address must still wait, if it must.
    pub(super) fn remaining(&self, source: Source, now: Instant) -> Option<Duration> {
        let failures = self.lock();
        let remaining = failures.get(&source)?.until.saturating_duration_since(now);
        (!remaining.is_zero()).then_some(remaining)
    }

    /// Notes that a token of an address was refused.
    pub(super) fn failed(&self, source: Source, now: Instant) {
        let mut failures = self.lock();
        if !failures.contains_key(&source) && failures.len() >= MAX_ADDRESSES {
            failures.retain(|_, failures| now.saturating_duration_since(failures.last) < MEMORY);
            let oldest = failures.iter().min_by_key(|(_, failures)| failures.last).map(|(source, _)| *source);
            if let Some(oldest) = oldest.filter(|_| failures.len() >= MAX_ADDRESSES) {
                failures.remove(&oldest);
            }
        }
        let entry = failures.entry(source).or_insert(Failures { count: 0, last: now, until: now });
        if now.saturating_duration_since(entry.last) >= MEMORY {
            entry.count = 0;
        }
        entry.count = entry.count.saturating_add(1);
        entry.last = now;
        if let Some(doublings) = entry.count.checked_sub(FREE + 1) {
            // Sixteen doublings are far beyond the longest delay.
            entry.until = now + (FIRST_DELAY * (1 << doublings.min(16))).min(MAX_DELAY);
        }
    }

    /// Notes that a token of an address was right, and forgets the refused tokens of the address.
    pub(super) fn succeeded(&self, source: Source) {
        self.lock().remove(&source);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Source, Failures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn source(number: u32) -> Source {
        Source::of(IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number)))
    }

    #[test]
    fn delays_double_up_to_a_minute_and_end_with_a_right_token() {
        let (backoff, now) = (Backoff::default(), Instant::now());
        let mut delays = Vec::new();
        for _ in 0..12 {
            backoff.failed(source(1), now);
            delays.push(backoff.remaining(source(1), now).unwrap_or_default().as_secs());
        }
        assert_eq!(delays, [0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(backoff.remaining(source(2), now), None, "another address does not wait");
        assert_eq!(backoff.remaining(source(1), now + MAX_DELAY), None);
        backoff.succeeded(source(1));
        assert_eq!(backoff.remaining(source(1), now), None);
    }

    #[test]
    fn an_address_is_forgotten_after_a_while() {
        let (backoff, now) = (Backoff::default(), Instant::now());
        (0..20).for_each(|_| backoff.failed(source(1), now));
        backoff.failed(source(1), now + MEMORY);
        assert_eq!(backoff.remaining(source(1), now + MEMORY), None);
    }

    #[test]
    fn memory_is_bounded() {
        let (backoff, now) = (Backoff::default(), Instant::now());
        for number in 0..3 * MAX_ADDRESSES as u32 {
            backoff.failed(source(number), now + Duration::from_millis(number.into()));
        }
        assert_eq!(backoff.lock().len(), MAX_ADDRESSES);
        assert!(!backoff.lock().contains_key(&source(0)), "the oldest is forgotten");
    }
}
