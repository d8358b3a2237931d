//! Tests that the components in the binary have all properties.

use crate::check::report::Outcome;
use crate::check::{Check, Property, assert_conforms};
use crate::tests::{POMELO, POMELO_VECTORS, SIO, SIO_VECTORS};
use wireplug_core::vectors::Vectors;

#[test]
fn pomelo_has_all_properties() {
    let vectors = Vectors::parse(POMELO_VECTORS).expect("they are good");
    let report = Check::new(POMELO).vectors(&vectors).cases(300).run(&mut |_| {});
    // The runtime cuts the streams of this codec. Every other property was checked.
    let held = |outcome: &Outcome| matches!(outcome, Outcome::Held { declined: None, .. });
    let others = report.findings.iter().filter(|finding| !held(&finding.outcome));
    let others: Vec<_> = others.map(|finding| finding.property).collect();
    assert_eq!((report.findings.len(), others), (12, vec![Property::DecodeStream]), "{report}");
}

#[test]
fn sio_has_all_properties() {
    let vectors = Vectors::parse(SIO_VECTORS).expect("they are good");
    let report = Check::new(SIO).vectors(&vectors).cases(300).run(&mut |_| {});
    assert!(report.holds(), "{report}");
}

#[test]
fn vectors_count_only_with_their_own_options() {
    let wrong = SIO_VECTORS.replace("request 1 a.b.c", "request 2 a.b.c");
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
fn a_file_that_is_no_component_does_not_conform() {
    assert_conforms(b"no component", "");
}
