//! Tests of steps with the right answer, and of all ways in which an answer can be wrong.

use super::{replay, vectors};
use crate::codec::Abilities;
use crate::codec::tests::script::Script;
use crate::vectors::Mismatch;

const GOOD: &str = r#"
session                               # opens, and ticks
  reply "0"
in "hello a; rejected b; reply c"
  hello 'a'
  rejected "b"                        # written another way, and yet the same
  reply 63
answer 403 " no"
  reply "403 no"
  established
at 1500
in "message 7 a.b.c body; message - a.b.c; wake 5"
  message 7 a.b.c "body"
  message - a.b.c ""
  wake 5
at 1505
tick
  reply "1505"
out 7 "a route" 404 "x"
  packet "Some(7) a route 404 at 1505: x"
out - on 200 "formless"
  none
out - on 200 "refuse"
  rejected "not this"
in "packets"
  reply 03
handoff
in "packets"
  reply 04
class
  class 4
share 4 on "x"
  packet "4 on x"
share 4 on "formless"
  none
share 4 on "refuse"
  refused "not this"
in "close done; reply never"
  close "done"
out 1 on 200 "x"
  packet "Some(1) on 200 at 1505: x"
out 1 on 200 "die"
  fatal "cannot go on"

session ws "[::1]:9" path "/a b"
  reply "0"
in "established; set 0"
  established
class
  class -
in "peer"
  reply 'Peer { transport: "ws", address: "[::1]:9", entropy: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], attributes: [("path", "/a b")] }'
in "set 12"
handoff
  refused "in the middle of it"
in "set 13"
handoff
  refused "an unlucky state"
in "packets"
  reply 0e
farewell "all"
  packet "bye all"

session
  reply "0"
farewell "silent"
  none

session banned
  refused "no such clients"
"#;

#[test]
fn a_codec_that_answers_as_it_should_has_no_mismatch() {
    let mismatches = replay(GOOD);
    assert!(mismatches.is_empty(), "{}", shown(&mismatches));
}

#[test]
fn each_answer_is_looked_at() {
    for (step, answers) in [
        ("in 'reply a'", &["reply 'b'"][..]),
        ("in 'reply a'", &[]),
        ("in 'reply a; reply b'", &["reply 'a'"]),
        ("in 'reply a; reply b'", &["reply 'b'", "reply 'a'"]),
        ("in 'wake 5'", &["wake 6"]),
        ("in 'rejected a'", &["reply 'a'"]),
        ("in 'fatal a'", &["close 'a'"]),
        ("in 'established; message 7 r b'", &["established", "message - r 'b'"]),
        ("in 'established; message 7 r b'", &["established", "message 7 s 'b'"]),
        ("out 7 on 200 'x'", &[]),
        ("out 7 on 200 'x'", &["none"]),
        ("out 7 on 200 'refuse'", &["rejected 'why'"]),
        ("farewell 'silent'", &["packet 'bye silent'"]),
        ("handoff", &["refused 'no'"]),
        ("class", &["class 2"]),
        ("share 1 on 'formless'", &["packet ''"]),
    ] {
        let answers: String = answers.iter().map(|answer| format!("  {answer}\n")).collect();
        // No message is encoded before the session is established, and a session is established
        // only once.
        let before = if step.starts_with("in") { "" } else { "in 'established'\n  established\n" };
        let mismatches = replay(&format!("session\n  reply '0'\n{before}{step}\n{answers}"));
        assert_eq!(mismatches.len(), 1, "{step}: {mismatches:?}");
        let Mismatch { line, step: shown, fault, .. } = &mismatches[0];
        assert_eq!((*line, &**shown, fault), (3 + before.lines().count(), step, &None));
    }
}

#[test]
fn a_step_that_fails_names_the_fault_and_ends_its_session_alone() {
    for (steps, fault) in [
        ("in 'trap'", "trap: scripted"),
        ("in 'reply a; wrong'", "answer breaks the contract: a packet index is out of order or out of range"),
        ("in 'message 1 r b'", "answer breaks the contract: a message before `established`"),
        (
            "in 'established; established'",
            "answer breaks the contract: an `established` event that was not due",
        ),
        ("in 'established'\n  established\nout - on 200 'trap'", "trap: scripted"),
        (
            "in 'established'\n  established\nout - on 200 'twice'",
            "answer breaks the contract: packets and refusals do not fit the messages",
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
fn what_the_runtime_never_asks_is_a_fault() {
    for (steps, fault) in [
        (
            "in 'close a'\n  close 'a'\nin 'reply a'",
            "the codec has ended the session: only responses may follow",
        ),
        ("in 'fatal a'\n  fatal 'a'\ntick", "the codec has ended the session"),
        (
            "in 'established; close a'\n  established\n  close 'a'\nout - on 200 'x'",
            "the codec has ended the session: only responses may follow",
        ),
        ("farewell 'silent'\n  none\nout - on 200 'x'", "the session is over"),
        (
            "in 'established'\n  established\nout - on 200 'die'\n  fatal 'cannot go on'\nout - on 200 'x'",
            "the session is over",
        ),
        ("out - on 200 'x'", "the session is not established"),
        ("class", "the session is not established"),
        ("answer 200 ''", "there is no hello to answer"),
        (
            "in 'hello a'\n  hello 'a'\nanswer 200 ''\n  reply '200'\n  established\nanswer 200 ''",
            "there is no hello to answer",
        ),
        ("tick", "the codec has not asked to be called later"),
        ("in 'wake 5'\n  wake 5\nat 4\ntick", "the codec's timer is not due before 5 ms"),
        (
            "in 'wake 5'\n  wake 5\nat 5\ntick\n  reply '5'\ntick",
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
fn what_a_codec_cannot_do_is_said_by_its_interface() {
    let codec = Script { abilities: Abilities::default(), ..Script::default() };
    for (step, fault) in [
        ("tick", "this codec does not export `clock`"),
        ("answer 200 ''", "this codec does not export `handshake`"),
        ("farewell 'x'", "this codec does not export `farewell`"),
        ("handoff", "this codec does not export `handoff`"),
        ("class", "this codec does not export `broadcast`"),
        ("share 1 on 'x'", "this codec does not export `broadcast`"),
        (
            "in 'hello a'",
            "answer breaks the contract: a hello event from a codec that does not export the interface it needs",
        ),
        (
            "in 'wake 5'",
            "answer breaks the contract: a wake event from a codec that does not export the interface it needs",
        ),
    ] {
        let vectors = vectors(&format!("session\n{step}\n"));
        let faults: Vec<_> = vectors.replay(&codec).map(|mismatch| mismatch.fault).collect();
        assert_eq!(faults, [Some(fault.to_owned())], "{step}");
    }
}

#[test]
fn a_mismatch_is_shown_as_a_difference() {
    let text = "session\n  reply '0'\nin 'reply a; reply b; reply c'  # why\n  reply 'a'\n  reply 'x'\n  reply 'c'\n";
    assert_eq!(
        shown(&replay(text)),
        "line 3: in 'reply a; reply b; reply c'  # why\n    reply \"a\"\n-   reply \"x\"\n+   reply \"b\"\n    reply \"c\""
    );
    assert_eq!(
        shown(&replay(&text.replace("reply b", "wrong"))),
        "line 3: in 'reply a; wrong; reply c'  # why\n    reply \"a\"\n-   reply \"x\"\n-   reply \"c\"\n!   answer breaks the \
         contract: a packet index is out of order or out of range; the rest of this session is skipped"
    );
}

fn shown(mismatches: &[Mismatch]) -> String {
    mismatches.iter().map(Mismatch::to_string).collect::<Vec<_>>().join("\n")
}
