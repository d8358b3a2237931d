//! Tests that the components in the binary have all properties.

use crate::check::report::Outcome;
use crate::check::{Check, Property, assert_conforms};
use crate::tests::{POMELO, POMELO_VECTORS, SIO, SIO_VECTORS};
use wireplug_core::vectors::Vectors;

#[test]
fn pomelo() {
    let vectors = Vectors::parse(POMELO_VECTORS).expect("they are good");
    let report = Check::new(POMELO).vectors(&vectors).cases(300).run(&mut |_| {});
    // This codec has all abilities, so every property was checked.
    let held = |outcome: &Outcome| matches!(outcome, Outcome::Held { declined: None, .. });
    assert!(report.findings.iter().all(|finding| held(&finding.outcome)), "{report}");
    assert_eq!(report.findings.len(), 11);
}

#[test]
fn sio() {
    let vectors = Vectors::parse(SIO_VECTORS).expect("they are good");
    let report = Check::new(SIO).vectors(&vectors).cases(300).run(&mut |_| {});
    assert!(report.holds(), "{report}");
}

#[test]
fn vectors_are_of_their_own_options_only() {
    let wrong = SIO_VECTORS.replace("message 1 a.b.c", "message 2 a.b.c");
    let vectors = Vectors::parse(wrong).expect("they are well-formed");
    let report = Check::new(SIO).vectors(&vectors).cases(1).run(&mut |_| {});
    let failures: Vec<_> = report.failures().map(|(property, failure)| (property, &*failure.what)).collect();
    assert_eq!(failures, [(Property::Vectors, "1 of 27 steps are not answered as they should be")]);

    let report = Check::new(SIO).vectors(&vectors).options("{}").cases(1).run(&mut |_| {});
    assert!(report.holds(), "{report}");
    let report = Check::new(SIO).options("{\"no\": 1}").cases(1).run(&mut |_| {});
    assert!(report.to_string().contains("it refuses its options"), "{report}");
}

#[test]
#[should_panic(expected = "the codec does not load")]
fn what_is_no_component_does_not_conform() {
    assert_conforms(b"no component", "");
}
