//! Tests of streams that the codec cuts itself, divided in every way.

use super::{replay_on, shown, vectors};
use crate::codec::tests::script::Script;
use crate::vectors::Division;

const STREAM: &str = r#"
session
  reply "0"
stream "reply a\nreply b; reply c\nrep"
  cut "reply a\n"
  reply "a"
  cut "reply b; reply c\n"
  reply "b"
  reply "c"
handoff                               # in the middle of a packet
stream "ly d\n"
  cut "reply d\n"
  reply "d"
stream "hello e\nreply f\nrejected g\nre"
  cut "hello e\n"
  hello "e"
answer 200 ""
  reply "200"
  established
  cut "reply f\n"                     # what came behind the hello
  reply "f"
  cut "rejected g\n"
  rejected "g"
stream "ply h\nrest reply i, fatal j\nxx"
  cut "reply h\n"
  reply "h"
  cut "rest reply i, fatal j\n"
  reply "i"
  fatal "j"

session tcp 127.0.0.1:1 starttls ""
  reply "0"
stream "reply a; start-tls\nthe client's TLS"
  cut "reply a; start-tls\n"
  reply "a"
  start-tls
secured tls-sni host
  reply 'secured [("tls-sni", "host")]'
stream "reply b\n"
  cut "reply b\n"
  reply "b"

session ws                            # whole packets in each message
  reply "0"
stream "reply a\nreply b\n"
  cut "reply a\n"
  reply "a"
  cut "reply b\n"
  reply "b"
"#;

#[test]
fn the_answers_do_not_depend_on_how_a_stream_is_divided() {
    let (vectors, codec) = (vectors(STREAM), Script::framer());
    assert!(vectors.has_streams());
    let pieces = (0..20).map(Division::Pieces);
    for division in [Division::Whole, Division::Bytes].into_iter().chain(pieces) {
        let mismatches: Vec<_> = vectors.replay_divided(&codec, division).collect();
        assert!(mismatches.is_empty(), "{division:?}: {}", shown(&mismatches));
    }
    assert!(!self::vectors("session\nin 01\n").has_streams());
}

#[test]
fn a_codec_whose_answers_depend_on_the_division_is_found() {
    // The codec needs 3 bytes, which is an answer without progress if more than that are there.
    let text = "session\n  reply '0'\nstream 'need 3\\nreply a\\n'\n  cut 'need 3\\n'\n  cut 'reply a\\n'\n  reply 'a'\n";
    let (vectors, codec) = (vectors(text), Script::framer());
    let count = |division| vectors.replay_divided(&codec, division).count();
    assert_eq!((count(Division::Whole), count(Division::Bytes)), (1, 0));
}

#[test]
fn each_line_of_the_answer_to_a_stream_is_compared() {
    for wrong in [
        STREAM.replacen("  cut \"reply a\\n\"\n", "", 1),
        STREAM.replacen("  cut \"reply d\\n\"\n", "  cut \"reply d\"\n", 1),
        STREAM.replacen("  start-tls\n", "", 1),
        STREAM.replacen("  hello \"e\"\n", "  reply \"e\"\n", 1),
        STREAM.replacen("  rejected \"g\"\n", "", 1),
        STREAM.replacen("\"host\")]'", "\"other\")]'", 1),
    ] {
        assert_ne!(wrong, STREAM);
        let mismatches = replay_on(&Script::framer(), &wrong);
        assert_eq!(mismatches.len(), 1, "{}", shown(&mismatches));
        assert_eq!(mismatches[0].fault, None);
    }
}

#[test]
fn the_answers_of_a_stream_are_written_into_the_file() {
    let is_step = |line: &&str| !line.starts_with(' ');
    let steps: String = STREAM.lines().filter(is_step).map(|line| line.to_owned() + "\n").collect();
    let updated = vectors(&steps).updated(&Script::framer());
    let without_comments = |text: &str| {
        let lines =
            text.lines().map(|line| line.split("  # ").next().unwrap_or_default().trim_end().to_owned());
        lines.collect::<Vec<_>>()
    };
    assert_eq!(without_comments(&updated), without_comments(STREAM));
    assert!(replay_on(&Script::framer(), &updated).is_empty());
}

#[test]
fn a_stream_that_fails_names_the_fault() {
    let framer = |steps: &str, fault: &str| {
        let mismatches = replay_on(&Script::framer(), &format!("session{steps}"));
        let faults: Vec<_> = mismatches.iter().map(|mismatch| mismatch.fault.as_deref()).collect();
        assert_eq!(faults, [Some(fault)], "{steps}");
    };
    framer(
        "\n  reply '0'\nin 'reply a'\n",
        "this codec cuts its stream itself: write `stream` in place of `in`",
    );
    framer("\n  reply '0'\nsecured\n", "the codec has not asked for TLS to begin");
    framer(
        "\n  reply '0'\nstream 'start-tls\\n'\n",
        "answer breaks the contract: `start-tls` without a packet before it, or on a connection without the attribute \
         `starttls`",
    );
    framer(
        " tcp 127.0.0.1:1 starttls ''\n  reply '0'\nstream 'start-tls\\n'\n  cut 'start-tls\\n'\n  start-tls\ntick\n",
        "TLS begins: nothing is called before it is up",
    );
    framer(
        "\n  reply '0'\nstream 'need 65537\\n'\n",
        "the client breaks the framing: a packet of 65537 bytes is over the maximum of 65536",
    );
    framer("\n  reply '0'\nstream 'need 0\\n'\n", NO_PROGRESS);
    framer(" ws\n  reply '0'\nstream 'reply a\\nrep'\n", "a message ends inside a packet");
    framer(" banned\n  refused 'no such clients'\nstream 'a'\n", "there is no session: the codec refused it");
}

const NO_PROGRESS: &str = "answer breaks the contract: an answer without progress: no packet, and no need for more bytes than there are";

#[test]
fn a_codec_whose_packets_the_runtime_cuts_has_no_stream() {
    let mismatches = replay_on(&Script::default(), "session\n  reply '0'\nstream 'reply a'\n");
    let fault = "the runtime cuts packets in this session: write `in` in place of `stream`";
    assert_eq!(mismatches[0].fault.as_deref(), Some(fault));
}
