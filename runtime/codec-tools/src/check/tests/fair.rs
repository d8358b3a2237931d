//! Tests that a codec gets only allowed calls, and that a seed always gives the same cases.

use super::strict::Strict;
use super::toy::{Flaw, Toy};
use super::{report, vectors};
use crate::check::Check;

#[test]
fn no_case_makes_a_call_that_the_runtime_never_makes() {
    let vectors = vectors();
    let strict = |singly| Strict(Toy::new(Flaw::None, singly));
    for check in [Check::new(b"").vectors(&vectors), Check::new(b"").seed(2)] {
        let report = report(&check.cases(3000), strict);
        assert!(report.holds(), "{report}");
    }
}

#[test]
fn a_seed_and_a_number_determine_a_case() {
    let vectors = vectors();
    let run = |check: Check<'_>| {
        report(&check.vectors(&vectors).seed(7), |singly| Toy::new(Flaw::LossyHandoff, singly))
    };
    let first = run(Check::new(b"").cases(2000));
    assert_eq!(run(Check::new(b"").cases(2000)).to_string(), first.to_string());

    let (_, failure) = first.failures().next().expect("it is lossy");
    let case = failure.case.expect("it was found in a case");
    let alone = run(Check::new(b"").only(case));
    let (_, again) = alone.failures().next().expect("the same case shows it");
    assert_eq!((alone.cases, &again.script, again.case), (1, &failure.script, Some(case)));
}
