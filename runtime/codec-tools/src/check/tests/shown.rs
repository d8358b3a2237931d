//! Tests that a long failure is cut in the text for people, and nowhere else.

use crate::check::report::{Failure, Finding, Outcome, Report};
use crate::check::{Check, Property};

#[test]
fn long_lines_and_repeated_steps_are_cut() {
    let script =
        format!("session\n{}in '{}'\n  # trap\n", "in 00\n  reply 01\n".repeat(300), "x".repeat(5000));
    let failure = Failure { what: "trap".to_owned(), script: script.clone(), case: Some(7) };
    let finding = Finding { property: Property::Robust, outcome: Outcome::Failed(failure) };
    let report = Report { findings: vec![finding], ..Check::new(b"").report() };
    let shown = report.to_string();
    assert_eq!(shown.matches("in 00\n  reply 01\n").count(), 8, "{shown}");
    assert!(shown.contains("\n# … and the same 292 times more: `--json` writes all out\nin 'xxx"), "{shown}");
    assert!(shown.ends_with("xxx # … and 3005 bytes more: `--json` writes all out\n  # trap"), "{shown}");
    let (_, failure) = report.failures().next().expect("there is one");
    assert_eq!(failure.script, script);
}
