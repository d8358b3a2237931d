//! Tests that memory that is kept for each packet is found, and memory that is kept once is not.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::toy::{Flaw, MEMORY, Toy};
use super::{MAX_PACKET, vectors};
use crate::check::case::Case;
use crate::check::report::Outcome;
use crate::check::steady::Long;

/// A sandbox grows by whole pages.
const PAGE: usize = 64 << 10;

fn outcome(flaw: Flaw) -> Outcome {
    let toy = Toy::new(flaw, None);
    let kept = Arc::clone(&toy.kept);
    let memory = || (16 * PAGE + kept.load(Ordering::Relaxed)).next_multiple_of(PAGE);
    let long = Long {
        codec: &toy,
        max_packet: MAX_PACKET,
        memory: &memory,
        limit: 16 * PAGE + MEMORY,
        options: "{}",
        deadline: None,
    };
    long.outcome(&Case::of(&vectors()))
}

#[test]
fn memory_that_stops_growing_is_steady() {
    for flaw in [Flaw::None, Flaw::KeepingSome] {
        let outcome = outcome(flaw);
        // The hello, the request, the two pushes, the response, the count and the tick; then a
        // packet and a push for longer.
        let Outcome::Held { times: 9, declined: None } = outcome else { panic!("{outcome}") };
    }
}

#[test]
fn slow_growth_is_a_warning_that_says_how_long_a_session_lasts() {
    let outcome = outcome(Flaw::Keeping);
    let Outcome::Warned { warning, .. } = &outcome else { panic!("{outcome}") };
    assert_eq!(
        warning.what,
        "memory grows by some 1008 bytes with each of many packets: a session ends after some 15000"
    );
    let step = warning.script.lines().rfind(|line| !line.starts_with(' ')).expect("there is a step");
    assert!(step.starts_with("in "), "{}", warning.script);
    assert!(warning.script.ends_with("  # and so again and again\n"), "{}", warning.script);
}

#[test]
fn a_session_that_ends_soon_is_a_failure() {
    let outcome_of_hoarding = outcome(Flaw::Hoarding);
    let Outcome::Failed(failure) = &outcome_of_hoarding else { panic!("{outcome_of_hoarding}") };
    assert!(failure.what.ends_with("a session ends after some 1500"), "{outcome_of_hoarding}");

    let outcome = outcome(Flaw::Thousandth);
    let Outcome::Failed(failure) = &outcome else { panic!("{outcome}") };
    assert!(failure.what.starts_with("a session ends after 9"), "{outcome}");
    assert!(failure.what.ends_with(" packets: trap: out of bounds"), "{outcome}");
}
