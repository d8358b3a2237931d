//! Tests of steps with the right answer, and of all ways in which an answer can be wrong.

use super::{replay, replay_on, shown};
use crate::codec::tests::script::Script;
use crate::vectors::Mismatch;

const GOOD: &str = r#"
session                               # opens, and ticks
  reply "0"
in "address-verified; log warn careful; rejected b; reply c; timer 7; hello a"
  address-verified
  log warn "careful"
  rejected "b"
  reply 63                            # written another way, and yet the same
  timer 7
  hello 'a'
answer 403 " no"
  reply "403 no"
  established
at 1500
in "request 7 a.b.c body; notice a.b.c; timer 5"
  request 7 a.b.c "body"
  notice a.b.c ""
  timer 5
at 1505
tick
  reply "1505"
in "unix"                             # every session opens at the same moment
  reply "946684801505"
out response 7 "a route" 404 "x"
  packet "response 7 a route 404 at 1505: x"
out notice on "x|y"                   # several packets
  packet "notice 0 on 200 at 1505: x"
  packet "notice 0 on 200 at 1505: y"
out notice on "formless"
  none
out notice on "refuse"
  rejected "not this"
abandon 7
  reply "abandoned 7"
in "packets"
  reply 04
handoff
in "packets"
  reply 05
class
  class 5
share 4 on "x|y"
  packet "4 on x"
  packet "4 on y"
share 4 on "formless"
  none
share 4 on "refuse"
  refused "not this"
in "close 4000 done; reply never"
  close 4000 "done"
out response 1 on 200 "x"
  packet "response 1 on 200 at 1505: x"
out response 1 on 200 "die"
  fatal "cannot go on"

session ws "[::1]:9" path "/a b"
  reply "0"
in "established; set 0"
  established
class
  class -
in "peer"
  reply 'Peer { carrier: Messages, transport: "ws", address: "[::1]:9", dialed: false, max_packet: 65536, random_seed: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], attributes: [("path", "/a b")] }'
in "set 12"
handoff
  refused "in the middle of it"
in "set 13"
handoff
  refused "an unlucky state"
in "packets"
  reply 0e
farewell kicked "all"
  reply "bye kicked all"

session udp
  reply "0"
farewell shutdown "silent"

session
  reply "0"
farewell displaced "do reply a; log error b; reply c; close 0 d"
  reply "a"
  log error "b"
  reply "c"
  close 0 "d"

session banned
  refused "no such clients"
"#;

#[test]
fn a_codec_that_answers_as_it_should_has_no_mismatch() {
    let mismatches = replay(GOOD);
    assert!(mismatches.is_empty(), "{}", shown(&mismatches));
}

#[test]
fn requests_to_the_client_and_its_responses_are_replayed() {
    let text = r#"
session
  reply "0"
in "established; response 1 599 a; response 2 100"
  established
  response 1 599 "a"
  response 2 100 ""
out request 1 ask "x|y"
  packet "request 1 ask 200 at 0: x"
  packet "request 1 ask 200 at 0: y"
out request 2 ask "refuse"
  rejected "not this"
out request 3 ask "formless"
  rejected "the protocol has no form for this request"
"#;
    let mismatches = replay_on(&Script::with_client_requests(), text);
    assert!(mismatches.is_empty(), "{}", shown(&mismatches));
}

#[test]
fn each_answer_is_compared() {
    for (step, answers) in [
        ("in 'reply a'", &["reply 'b'"][..]),
        ("in 'reply a'", &[]),
        ("in 'reply a; reply b'", &["reply 'a'"]),
        ("in 'reply a; reply b'", &["reply 'b'", "reply 'a'"]),
        ("in 'timer 5'", &["timer 6"]),
        ("in 'address-verified'", &[]),
        ("in 'log warn a'", &["log info 'a'"]),
        ("in 'log warn a'", &["log warn 'b'"]),
        ("in 'rejected a'", &["reply 'a'"]),
        ("in 'close 1000 a'", &["close 1001 'a'"]),
        ("in 'close 0 a'", &["close 0 'b'"]),
        ("in 'fatal a'", &["close 0 'a'"]),
        ("in 'established; request 7 r b'", &["established", "notice r 'b'"]),
        ("in 'established; request 7 r b'", &["established", "request 8 r 'b'"]),
        ("in 'established; request 7 r b'", &["established", "request 7 s 'b'"]),
        ("in 'established; request 7 r b'", &["established", "request 7 r 'c'"]),
        ("out response 7 on 200 'x'", &[]),
        ("out response 7 on 200 'x'", &["none"]),
        ("out response 7 on 200 'refuse'", &["rejected 'why'"]),
        ("out notice on 'x|y'", &["packet 'notice 0 on 200 at 0: x'"]),
        ("out notice on 'formless'", &["packet ''"]),
        ("abandon 7", &["reply 'abandoned 8'"]),
        ("farewell kicked 'a'", &["reply 'bye displaced a'"]),
        ("farewell kicked 'silent'", &["reply 'bye kicked silent'"]),
        ("farewell kicked 'do log info a; close 4000 b'", &["log info 'a'", "close 4001 'b'"]),
        ("handoff", &["refused 'no'"]),
        ("class", &["class 2"]),
        ("share 1 on 'formless'", &["packet ''"]),
        ("share 1 on 'x|y'", &["packet '1 on x'"]),
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
