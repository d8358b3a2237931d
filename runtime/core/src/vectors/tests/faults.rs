//! Tests of steps that fail, and of calls that the runtime would never make.

use super::{replay, shown, vectors};
use crate::codec::Abilities;
use crate::codec::tests::script::Script;

#[test]
fn a_step_that_fails_names_the_fault_and_ends_its_session_alone() {
    for (steps, fault) in [
        ("in 'trap'", "trap: scripted"),
        ("in 'reply a; wrong'", "answer breaks the contract: a packet index is out of order or out of range"),
        ("in 'request 1 r b'", "answer breaks the contract: a message before `established`"),
        (
            "in 'established; established'",
            "answer breaks the contract: an `established` event that was not due",
        ),
        (
            "in 'hello a; reply b'",
            "answer breaks the contract: an event after `hello`, which must be the last event of a call",
        ),
        (
            "in 'established; response 1 200 b'",
            "answer breaks the contract: a response from a codec whose `client-requests` is 0",
        ),
        (
            "in 'close 1006 a'",
            "answer breaks the contract: a close code is not 0, 1000 to 1003, 1007 to 1014 or 3000 to 4999",
        ),
        (
            "farewell kicked 'do established'",
            "answer breaks the contract: a `established` event in a farewell: only `reply`, `log` and `close` are allowed",
        ),
        ("farewell kicked 'do trap'", "trap: scripted"),
        ("in 'established'\n  established\nout notice on 'trap'", "trap: scripted"),
        (
            "in 'established'\n  established\nout notice on 'unsourced'",
            "answer breaks the contract: the sources of packets are out of order or out of range, or not one for each packet",
        ),
        ("share 1 on 'trap'", "trap: scripted"),
        ("in 'set 99'\nhandoff", "trap: scripted"),
    ] {
        let mismatches = replay(&format!(
            "session\n  reply '0'\n{steps}\nin 'reply skipped'\nsession\nsession trap\nin 'skipped'\n"
        ));
        let faults: Vec<_> = mismatches.iter().map(|mismatch| mismatch.fault.as_deref()).collect();
        assert_eq!(faults, [Some(fault), None, Some("trap: scripted")], "{steps}");
        assert_eq!(mismatches[1].actual, ["reply \"0\""]);
    }
}

#[test]
fn a_call_that_the_runtime_never_makes_is_a_fault() {
    for (steps, fault) in [
        (
            "in 'close 0 a'\n  close 0 'a'\nin 'reply a'",
            "the codec has ended the session: only responses may follow",
        ),
        ("in 'fatal a'\n  fatal 'a'\ntick", "the codec has ended the session"),
        (
            "in 'established; close 0 a'\n  established\n  close 0 'a'\nout notice on 'x'",
            "the codec has ended the session: only responses may follow",
        ),
        ("farewell kicked 'silent'\nout response 1 on 200 'x'", "the session is over"),
        (
            "farewell kicked 'do close 0 a'\n  close 0 'a'\nfarewell kicked 'again'",
            "the session is over: nothing may follow",
        ),
        (
            "in 'established'\n  established\nout notice on 'die'\n  fatal 'cannot go on'\nout notice on 'x'",
            "the session is over",
        ),
        ("in 'established'\n  established\nout request 1 on 'x'", "`client-requests` of this codec is 0"),
        ("out notice on 'x'", "the session is not established"),
        ("class", "the session is not established"),
        ("answer 200 ''", "there is no hello to answer"),
        (
            "in 'hello a'\n  hello 'a'\nin 'reply b'",
            "a hello waits for its answer: nothing is decoded before",
        ),
        (
            "in 'hello a'\n  hello 'a'\nanswer 200 ''\n  reply '200'\n  established\nanswer 200 ''",
            "there is no hello to answer",
        ),
        ("tick", "the codec has not asked to be called later"),
        ("in 'timer 5'\n  timer 5\nat 4\ntick", "the codec's timer is not due before 5 ms"),
        (
            "in 'timer 5'\n  timer 5\nat 5\ntick\n  reply '5'\ntick",
            "the codec has not asked to be called later",
        ),
        ("session banned\n  refused 'no such clients'\ntick", "there is no session: the codec refused it"),
    ] {
        let mismatches = replay(&format!("session\n  reply '0'\n{steps}\nin 'reply skipped'\n"));
        assert_eq!(mismatches.len(), 1, "{steps}: {}", shown(&mismatches));
        let reported = mismatches[0].fault.as_deref().unwrap_or_default();
        assert!(reported.starts_with(fault), "{steps}: {reported}");
    }
}

#[test]
fn a_call_of_an_interface_that_the_codec_does_not_export_names_the_interface() {
    let codec = Script { abilities: Abilities::default(), ..Script::default() };
    for (step, fault) in [
        ("tick", "this codec does not export `clock`"),
        ("secured", "this codec does not export `tls-upgrade`"),
        ("answer 200 ''", "this codec does not export `handshake`"),
        ("abandon 7", "this codec does not export `requests`"),
        ("farewell kicked 'x'", "this codec does not export `farewell`"),
        ("handoff", "this codec does not export `handoff`"),
        ("class", "this codec does not export `broadcast`"),
        ("share 1 on 'x'", "this codec does not export `broadcast`"),
        (
            "in 'hello a'",
            "answer breaks the contract: a hello event from a codec that does not export the interface it needs",
        ),
        (
            "in 'timer 5'",
            "answer breaks the contract: a timer event from a codec that does not export the interface it needs",
        ),
    ] {
        let vectors = vectors(&format!("session\n{step}\n"));
        let faults: Vec<_> = vectors.replay(&codec).map(|mismatch| mismatch.fault).collect();
        assert_eq!(faults, [Some(fault.to_owned())], "{step}");
    }
}

#[test]
fn a_codec_that_reports_a_bug_of_its_own_is_at_fault() {
    for (step, answer) in [
        ("in 'rejected bug: a'", "rejected 'bug: a'"),
        ("in 'fatal bug: a'", "fatal 'bug: a'"),
        ("in 'close 0 bug: a'", "close 0 'bug: a'"),
        ("in 'log error bug: a'", "log error 'bug: a'"),
        ("farewell kicked 'do log error bug: a'", "log error 'bug: a'"),
    ] {
        let mismatches = replay(&format!("session\n  reply '0'\n{step}\n  {answer}\n"));
        let faults: Vec<_> = mismatches.iter().map(|mismatch| mismatch.fault.as_deref()).collect();
        assert_eq!(faults, [Some("the codec says that it is wrong itself")], "{step}");
    }
    assert!(replay("session\n  reply '0'\nin 'reply bug: a'\n  reply 'bug: a'\n").is_empty());
}
