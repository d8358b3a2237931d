//! The URLs of a service, and which of them a request goes to.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use sha2::{Digest as _, Sha256};

use super::circuit::{Circuit, Pass};
use crate::config::HttpConfig;

/// The URLs of a service.
#[derive(Debug)]
pub(super) struct Targets {
    all: Vec<Target>,
    /// Where the next search begins, so that equal URLs take turns.
    turn: AtomicUsize,
}

/// One URL of a service.
#[derive(Debug)]
struct Target {
    /// The URL without a slash at its end.
    url: String,
    in_flight: AtomicUsize,
    circuit: Circuit,
}

/// A request that goes to a URL. While it exists, the request is counted as one in flight there.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    target: &'a Target,
    /// Which of the URLs it is.
    pub(super) number: usize,
    /// `None` once the end was reported.
    pass: Option<Pass>,
}

impl Targets {
    pub(super) fn new(urls: &[String], config: &HttpConfig) -> Self {
        let target = |url: &String| Target {
            url: url.trim_end_matches('/').to_owned(),
            in_flight: AtomicUsize::new(0),
            circuit: Circuit::new(config.circuit_failures, config.circuit_time),
        };
        Self { all: urls.iter().map(target).collect(), turn: AtomicUsize::new(0) }
    }

    /// Begins a request at the URL with the fewest requests in flight, without those in `tried` and
    /// those whose circuit is open. Returns `None` if no URL is left.
    pub(super) fn least_busy(&self, tried: &[usize], now: Instant) -> Option<Attempt<'_>> {
        let (count, turn) = (self.all.len(), self.turn.fetch_add(1, Ordering::Relaxed));
        let mut numbers: Vec<usize> = (0..count)
            .map(|number| turn.wrapping_add(number) % count)
            .filter(|number| !tried.contains(number))
            .collect();
        numbers.sort_by_key(|number| self.all[*number].in_flight.load(Ordering::Relaxed));
        numbers.into_iter().find_map(|number| self.begin(number, now))
    }

    /// Begins a request at the URL that this value of a setting selects. It is the same one on each
    /// server. If a URL is added, only values that now select this URL change. Returns `None` if
    /// the circuit of the URL is open.
    pub(super) fn selected(&self, value: &str, now: Instant) -> Option<Attempt<'_>> {
        let weight = |number: &usize| {
            let hash =
                Sha256::new().chain_update(value).chain_update([0]).chain_update(&self.all[*number].url);
            hash.finalize()
        };
        self.begin((0..self.all.len()).max_by_key(weight)?, now)
    }

    /// Returns each URL, with whether requests go there.
    #[cfg(feature = "metrics")]
    pub(super) fn status(&self) -> Vec<(String, bool)> {
        self.all.iter().map(|target| (target.url.clone(), target.circuit.is_closed())).collect()
    }

    fn begin(&self, number: usize, now: Instant) -> Option<Attempt<'_>> {
        let target = &self.all[number];
        let pass = target.circuit.admit(now)?;
        target.in_flight.fetch_add(1, Ordering::Relaxed);
        Some(Attempt { target, number, pass: Some(pass) })
    }
}

impl Attempt<'_> {
    /// Returns the URL, without a slash at its end.
    pub(super) fn url(&self) -> &str {
        &self.target.url
    }

    /// Notes that the URL has answered. Returns whether this ends the time for which the URL was
    /// left out.
    pub(super) fn succeeded(mut self) -> bool {
        self.pass.take().is_some_and(|pass| self.target.circuit.succeeded(pass))
    }

    /// Notes that the URL has failed. Returns whether the URL is left out from now on.
    pub(super) fn failed(mut self) -> bool {
        self.pass.take().is_some_and(|pass| self.target.circuit.failed(pass, Instant::now()))
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.target.in_flight.fetch_sub(1, Ordering::Relaxed);
        if let Some(pass) = self.pass.take() {
            self.target.circuit.given_up(pass);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(urls: &[&str]) -> Targets {
        let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
        Targets::new(&urls, &HttpConfig { circuit_failures: 1, ..HttpConfig::default() })
    }

    #[test]
    fn the_url_with_the_fewest_requests_gets_the_next_one() {
        let (targets, now) = (targets(&["http://a/", "http://b", "http://c"]), Instant::now());
        let first: Vec<_> = (0..6).map_while(|_| targets.least_busy(&[], now)).collect();
        let mut urls: Vec<_> = first.iter().map(Attempt::url).collect();
        urls.sort_unstable();
        assert_eq!(urls, ["http://a", "http://a", "http://b", "http://b", "http://c", "http://c"]);
        let of_b: Vec<_> = first.into_iter().filter(|attempt| attempt.url() != "http://b").collect();
        assert_eq!(targets.least_busy(&[], now).map(|attempt| attempt.number), Some(1));
        assert_eq!(targets.least_busy(&[1], now).map(|attempt| attempt.number == 1), Some(false));
        drop(of_b);
        assert!(targets.least_busy(&[0, 1, 2], now).is_none());
    }

    #[test]
    fn a_url_that_fails_is_left_out() {
        let (targets, now) = (targets(&["http://a", "http://b"]), Instant::now());
        let attempt = targets.least_busy(&[1], now).expect("it is there");
        assert!(attempt.failed());
        for _ in 0..4 {
            assert_eq!(targets.least_busy(&[], now).map(|attempt| attempt.number), Some(1));
        }
    }

    #[test]
    fn a_value_selects_one_url_and_few_values_change_with_the_list() {
        let (few, more) =
            (targets(&["http://a", "http://b"]), targets(&["http://c", "http://a", "http://b"]));
        let now = Instant::now();
        let url =
            |targets: &Targets, value: &str| targets.selected(value, now).expect("one").url().to_owned();
        let (mut counts, mut moved) = ([0; 2], 0);
        for number in 0..300 {
            let value = format!("room-{number}");
            let (before, after) = (url(&few, &value), url(&more, &value));
            assert_eq!(before, url(&few, &value));
            counts[usize::from(before == "http://b")] += 1;
            assert!(after == before || after == "http://c");
            moved += usize::from(after != before);
        }
        assert!(counts.iter().all(|count| *count > 100), "{counts:?}");
        assert!((50..150).contains(&moved), "{moved}");
        // Another server, and another version, selects the same.
        assert_eq!(url(&few, "room-1"), "http://b");
    }
}
