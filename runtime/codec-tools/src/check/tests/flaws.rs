//! Tests that each flaw is found, and that no other property fails.

use super::toy::{Flaw, Toy};
use super::{report, vectors};
use crate::check::report::Outcome;
use crate::check::{Check, Property, Report};
use wireplug_core::vectors::Vectors;

const CASES: u64 = 3000;

fn check(flaw: Flaw) -> Report {
    let vectors = vectors();
    report(&Check::new(b"").vectors(&vectors).cases(CASES), |singly| Toy::new(flaw, singly))
}

#[test]
fn a_codec_without_a_flaw_has_all_properties() {
    let report = check(Flaw::None);
    assert!(report.holds(), "{report}");
    assert_eq!((report.cases, report.unknown), (CASES, 0));
    for finding in report.findings.iter().filter(|finding| finding.property != Property::DecodeStream) {
        let Outcome::Held { times, declined: None } = finding.outcome else { panic!("{report}") };
        assert!(times > CASES / 10, "{report}");
    }
}

#[test]
fn each_flaw_is_found_and_shown_by_the_smallest_session() {
    use Property::{DecodeBatch, EncodeBatch, EncodeShared, Handoff, Robust};
    for (flaw, property, script) in [
        (
            Flaw::OffByOne,
            Robust,
            r#"session
in "h"
  hello ""
answer 200 ""
  established
  reply "h"
  timer 1000
in 6d 01
  # trap: out of bounds
"#,
        ),
        (
            Flaw::Early,
            Robust,
            r#"session
in 6d 00
  # answer breaks the contract: a message before `established`
"#,
        ),
        (
            Flaw::BrokenText,
            Robust,
            r#"session
in "h"
  hello ""
answer 200 80
  established
  # its framing cannot carry what it made: a packet that is not valid UTF-8: packet 68 80
"#,
        ),
        (
            Flaw::ForgottenBatch,
            DecodeBatch,
            r#"session
# 2 packets in one batch:
in ""
  rejected "no such packet"
in "q"
  close 0 "bye"
  # in `decode-batch`:
  #   rejected "no such packet" (1)
  #   rejected "what is q?" (2)
"#,
        ),
        (
            Flaw::ForgottenMessage,
            EncodeBatch,
            r#"session
in "h"
  hello ""
answer 200 ""
  established
  reply "h"
  timer 1000
out notice "" ""
  rejected "no route"
  # in `encode-batch`:
  #   none
"#,
        ),
        (
            Flaw::TornMessage,
            EncodeBatch,
            r#"session
in "h"
  hello ""
answer 200 ""
  established
  reply "h"
  timer 1000
out notice twice ""
  packet "p"
  packet "p"
  # in `encode-batch`:
  #   packet "p"
"#,
        ),
        (
            Flaw::WrongSource,
            EncodeBatch,
            r#"session
in "h"
  hello ""
answer 200 ""
  established
  reply "h"
  timer 1000
# 2 messages in one batch:
out notice a ""
  packet "p"
out notice a ""
  packet "p"
  # in `encode-batch`:
  #   packet "p" (1)
  #   packet "p" (1)
  #   none (2)
"#,
        ),
        (
            Flaw::LoggedBug,
            Robust,
            r#"session
in "c"
  log error "bug: no counts"
  # it says that it is wrong itself: log error "bug: no counts"
"#,
        ),
        (
            Flaw::LossyHandoff,
            Handoff,
            r#"session
in ""
  rejected "no such packet"
handoff
in "c"
  reply 63 02
  # after `save` and `restore`:
  #   reply 63 01
"#,
        ),
        (
            Flaw::HastySave,
            Handoff,
            r#"session
in ""
  rejected "no such packet"
handoff
in "c"
  reply 63 02
  # after `save`, which may not change the session:
  #   reply 63 01
"#,
        ),
        (
            Flaw::TornHandoff,
            Handoff,
            r#"session
in ""
  rejected "no such packet"
in ""
  rejected "no such packet"
in ""
  rejected "no such packet"
handoff
  # trap: out of bounds
"#,
        ),
        (
            Flaw::WrongShare,
            EncodeShared,
            r#"session
in "h"
  hello ""
answer 200 ""
  established
  reply "h"
  timer 1000
out notice "" ""
  rejected "no route"
class
  class 1
share 1 "" ""
  refused "no route"
  # `encode-shared`: none
"#,
        ),
    ] {
        let report = check(flaw);
        let failures: Vec<_> = report.failures().collect();
        assert_eq!(failures.len(), 1, "{flaw:?}: {report}");
        assert_eq!(failures[0].0, property, "{flaw:?}: {report}");
        assert_eq!(failures[0].1.script, script, "{flaw:?}");
        // The script must be valid in a codec's own vectors.
        assert!(Vectors::parse(script).is_ok());
    }
}

#[test]
fn answers_and_log_lines_that_depend_on_other_sessions_are_found() {
    for flaw in [Flaw::Counting, Flaw::CountingInLog] {
        let report = check(flaw);
        let is_found = report.failures().any(|(property, _)| property == Property::Deterministic);
        assert!(is_found, "{flaw:?}: {report}");
    }
}

#[test]
fn a_batch_that_goes_on_behind_a_hello_breaks_the_contract() {
    let report = check(Flaw::RushedBatch);
    let failures: Vec<_> = report.failures().collect();
    let [(Property::Robust, failure), (Property::DecodeBatch, _)] = failures[..] else { panic!("{report}") };
    let violation =
        "answer breaks the contract: an event after `hello`, which must be the last event of a call";
    assert_eq!(failure.what, violation);
    assert!(failure.script.starts_with("session\n# 2 packets in one batch:\nin \"h\"\n"), "{report}");
}

#[test]
fn a_codec_that_remembers_pushes_to_many_is_found() {
    let report = check(Flaw::LastShare);
    let failures: Vec<_> = report.failures().collect();
    let [(Property::Stateless, failure)] = failures[..] else { panic!("{report}") };
    assert!(failure.script.starts_with("session\nin \"h\"\n"), "{report}");
    assert!(failure.script.contains("\nclass\n  class 1\nshare 1 "), "{report}");
    let last = "  # `encode-shared` after another push in the same instance: packet \"p{}\"\n";
    assert!(failure.script.ends_with(last), "{report}");
    assert!(Vectors::parse(&failure.script).is_ok());
}

#[test]
fn a_call_fails_only_if_it_always_takes_too_long() {
    let report = check(Flaw::Loop);
    let failures: Vec<_> = report.failures().collect();
    assert!(matches!(failures[..], [(Property::Robust, _)]), "{report}");
    assert!(failures[0].1.script.ends_with("# deadline: more than 10 ms of CPU time\n"), "{report}");

    let report = check(Flaw::SlowAtTimes);
    assert!(report.holds() && report.unknown > 0, "{report}");

    let report = check(Flaw::Expensive);
    let warnings: Vec<_> = report.warnings().collect();
    let [(Property::Robust, warning)] = warnings[..] else { panic!("{report}") };
    assert!(report.holds(), "{report}");
    assert!(warning.script.starts_with("# Such a session ends on this machine."), "{report}");
}

#[test]
fn a_random_seed_with_which_a_session_fails_is_reported() {
    let report = check(Flaw::Unlucky);
    let failures: Vec<_> = report.failures().collect();
    assert!(matches!(failures[..], [(Property::Robust, _)]), "{report}");
    let lines: Vec<_> = failures[0].1.script.lines().collect();
    let ["session", seed, "  # trap: out of bounds"] = lines[..] else { panic!("{report}") };
    assert!(seed.starts_with("# Its random seed, which is zeros in vectors: "), "{report}");
}

#[test]
fn a_failure_that_does_not_occur_again_is_reported_as_it_was_found() {
    let report = check(Flaw::FiftiethShare);
    let failures: Vec<_> = report.failures().collect();
    assert!(matches!(failures[..], [(Property::EncodeShared, _)]), "{report}");
    let script = &failures[0].1.script;
    assert!(
        script.starts_with("# Alone this case does not fail: ") && script.contains("\nsession"),
        "{report}"
    );
    assert!(script.ends_with("  # `encode-shared`: none\n"), "{report}");

    let report = check(Flaw::ThirdOpening);
    let opening =
        |script: &str| script.contains("session\n  # ") && script.ends_with("trap: out of bounds\n");
    assert!(report.failures().any(|(_, failure)| opening(&failure.script)), "{report}");
}

#[test]
fn a_codec_that_refuses_each_handoff_is_reported() {
    let report = check(Flaw::Declining).to_string();
    assert!(report.contains("handoff        not checked: the codec declined in all "), "{report}");
    assert!(report.contains("cases, first: refused \"not now\"\n"), "{report}");
}

#[test]
fn without_vectors_the_report_names_what_no_case_reached() {
    let check = Check::new(b"").cases(20);
    let report = report(&check, |singly| Toy::new(Flaw::None, singly)).to_string();
    assert!(
        report.contains("encode-batch   not checked: no case came to it: give vectors that do\n"),
        "{report}"
    );
}
