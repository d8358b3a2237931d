//! Tests that the errors in a file are reported line by line.

use proptest::prelude::*;

use crate::vectors::{BadLine, Vectors};

fn wrong(text: &str) -> Vec<BadLine> {
    Vectors::parse(text).expect_err("the text is wrong").lines
}

/// Checks that only the last line of each text is wrong, with a problem that contains these words.
fn assert_last_line_is_wrong(cases: &[(&str, &str)]) {
    for (text, problem) in cases {
        let bad = wrong(text);
        assert_eq!((bad.len(), bad[0].line), (1, text.lines().count()), "{text:?}: {bad:?}");
        assert!(bad[0].problem.contains(problem), "{text:?}: {bad:?}");
    }
}

#[test]
fn options_are_those_of_the_file() {
    let options = |text: &str| Vectors::parse(text).unwrap().options().to_owned();
    assert_eq!(options("# nothing\n"), "{}");
    assert_eq!(options("options {\"a\": [1, \"# }\"]}   # why\nsession\n"), "{\"a\":[1,\"# }\"]}");
}

#[test]
fn a_wrong_line_is_reported_with_what_is_allowed() {
    assert_last_line_is_wrong(&[
        (
            "nonsense",
            "\"nonsense\" is no step: there are options, seed, clock, max-packet, state, session, at, in, stream, secured, answer, abandon, tick, out, \
             farewell, handoff, class and share",
        ),
        ("\"in\"", "a line begins with a bare word"),
        ("in 01", "no session is open: write `session` before it"),
        ("at 5", "no session is open: write `session` before it"),
        ("session\nat 5\nat 4", "time never goes back, and it is 5 already"),
        ("session\nat x", "the time in milliseconds is a whole number in its range, and not \"x\""),
        ("session\nat 1 2 3", "\"3\" is too much"),
        ("session tcp a b", "the value of the attribute \"b\" is missing"),
        ("  reply 01", "there is no step above"),
        ("session\nat 1\n  reply 01", "there is no step above"),
        ("options", "options are a JSON object in one line"),
        ("options [1]", "options are a JSON object in one line"),
        ("options {\"a\": 1", "options are a JSON object in one line"),
        ("options {} {}", "\"{}\" is too much"),
        ("options {}\noptions {}", "once, before the first session"),
        ("session\noptions {}", "once, before the first session"),
    ]);
}

#[test]
fn a_wrong_step_is_reported_with_what_is_allowed() {
    assert_last_line_is_wrong(&[
        ("session\nin", "bytes are missing"),
        ("session\nstream", "bytes are missing"),
        ("session\nsecured tls-sni", "the value of the attribute \"tls-sni\" is missing"),
        ("session\nsecured \"\\xff\" x", "must be UTF-8"),
        ("session\nanswer x ''", "the status is a whole number in its range, and not \"x\""),
        ("session\nabandon", "the id is missing"),
        ("session\nabandon -1", "the id is a whole number in its range, and not \"-1\""),
        ("session\ntick 'x'", "\"x\" is too much"),
        ("session\nshare 1", "the route is missing"),
        ("session\nfarewell", "the cause is missing"),
        ("session\nfarewell 'bye'", "the cause is kicked, displaced, replaced or shutdown, and not \"bye\""),
        ("session\nfarewell kicked", "bytes are missing"),
        ("session\nfarewell kicked ff", "a reason must be UTF-8"),
    ]);
}

#[test]
fn a_wrong_message_to_the_client_is_reported_with_what_is_allowed() {
    assert_last_line_is_wrong(&[
        ("session\nout", "the role is missing"),
        ("session\nout push on ''", "the role is notice, request or response, and not \"push\""),
        ("session\nout - on 200 ''", "the role is notice, request or response, and not \"-\""),
        ("session\nout notice", "the route is missing"),
        ("session\nout notice on", "bytes are missing"),
        // A notice has no id, and only a response has a status.
        ("session\nout notice 7 on ''", "\"on\" is neither hex"),
        ("session\nout request 7 on 200 ''", "\"200\" is neither hex"),
        ("session\nout request on ''", "the id is a whole number in its range, and not \"on\""),
        ("session\nout request 18446744073709551616 on ''", "the id is a whole number in its range"),
        ("session\nout response 7 on", "the status is missing"),
        ("session\nout response 7 on 99 ''", "the status is 100 to 599, and not \"99\""),
        ("session\nout response 7 on 600 ''", "the status is 100 to 599, and not \"600\""),
        ("session\nout response 7 on ok ''", "the status is 100 to 599, and not \"ok\""),
        ("session\nout response 7 \"\\xff\" 200 ''", "the route must be UTF-8"),
    ]);
}

#[test]
fn an_answer_that_its_step_does_not_have_is_reported_with_those_that_it_has() {
    const EVENTS: &str =
        "hello, established, notice, request, response, reply, timer, address-verified, log, close";
    for (step, answer, allowed) in [
        ("session", "rejected ''", format!("{EVENTS}, refused")),
        ("in 01", "message 7 r ''", format!("{EVENTS}, rejected, fatal")),
        ("in 01", "cut 01", format!("{EVENTS}, rejected, fatal")),
        ("stream 01", "wake 5", format!("{EVENTS}, cut, start-tls, rejected, fatal")),
        ("answer 200 ''", "packet 01", format!("{EVENTS}, cut, start-tls, rejected, fatal")),
        ("secured", "rejected ''", EVENTS.to_owned()),
        ("abandon 7", "rejected ''", EVENTS.to_owned()),
        ("tick", "rejected ''", EVENTS.to_owned()),
        ("out notice on ''", "reply 01", "packet, none, rejected, fatal".to_owned()),
        ("farewell kicked ''", "packet 01", "reply, log, close".to_owned()),
        ("farewell kicked ''", "none", "reply, log, close".to_owned()),
        ("handoff", "packet 01", format!("{EVENTS}, refused")),
        ("class", "none", "class".to_owned()),
        ("share 1 on ''", "reply 01", "packet, none, refused".to_owned()),
    ] {
        let bad = wrong(&format!("session\n{step}\n  {answer}"));
        let word = answer.split(' ').next().unwrap();
        let problem = format!("\"{word}\" is no answer to the step above: allowed are {allowed}, any");
        assert_eq!(bad, [BadLine { line: 3, problem }]);
    }
}

#[test]
fn an_answer_without_an_indent_is_reported() {
    for answer in [
        "hello",
        "established",
        "notice",
        "request",
        "response",
        "reply",
        "timer",
        "address-verified",
        "log",
        "close",
        "cut",
        "start-tls",
        "packet",
        "none",
        "rejected",
        "fatal",
        "refused",
    ] {
        let bad = wrong(&format!("session\n{answer}"));
        assert_eq!(bad[0].problem, format!("{answer:?} is an answer: indent it under its step"));
    }
}

#[test]
fn a_wrong_answer_is_reported_with_what_is_allowed() {
    let cases = [
        ("established 1", "\"1\" is too much"),
        ("address-verified 1", "\"1\" is too much"),
        ("notice", "the route is missing"),
        ("notice r", "bytes are missing"),
        ("notice 7 r ''", "\"r\" is neither hex"),
        ("request r ''", "the id is a whole number in its range, and not \"r\""),
        ("request - r ''", "the id is a whole number in its range, and not \"-\""),
        ("request 7", "the route is missing"),
        ("request 7 r 200 ''", "\"200\" is neither hex"),
        ("response 7", "the status is missing"),
        ("response 7 99 ''", "the status is 100 to 599, and not \"99\""),
        ("response 7 600 ''", "the status is 100 to 599, and not \"600\""),
        ("response 7 r 200 ''", "the status is 100 to 599, and not \"r\""),
        ("timer", "the time in milliseconds is missing"),
        ("timer -1", "the time in milliseconds is a whole number in its range, and not \"-1\""),
        ("timer 4294967296", "the time in milliseconds is a whole number in its range"),
        ("log", "the level is missing"),
        ("log loud ''", "the level is debug, info, warn or error, and not \"loud\""),
        ("log info", "bytes are missing"),
        ("close", "the close code is missing"),
        ("close 'a'", "the close code is 0, 1000 to 1003, 1007 to 1014 or 3000 to 4999, and not \"a\""),
        ("close 1006 'a'", "or 3000 to 4999, and not \"1006\""),
        ("close 65536 'a'", "or 3000 to 4999, and not \"65536\""),
        ("close 1000", "bytes are missing"),
    ];
    let texts = cases.map(|(answer, problem)| (format!("session\nin 01\n  {answer}"), problem));
    let cases: Vec<_> = texts.iter().map(|(text, problem)| (&**text, *problem)).collect();
    assert_last_line_is_wrong(&cases);
}

#[test]
fn all_wrong_lines_are_reported_but_not_what_follows_from_one() {
    let bad = wrong("session\nin 0\n  reply 01\n  nonsense\nout\nin 01\n  reply 0");
    assert_eq!(bad.iter().map(|bad| bad.line).collect::<Vec<_>>(), [2, 5, 7]);
    assert_eq!(wrong(&"nonsense\n".repeat(1000)).len(), 100);
}

#[test]
fn a_text_that_is_too_long_is_not_even_read() {
    let comment = "#".repeat(Vectors::MAX);
    assert!(Vectors::parse(&*comment).is_ok());
    let bad = wrong(&(comment + "#"));
    assert_eq!(bad[0].problem, "the file has 16777217 bytes, and at most 16777216 are allowed");
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(
        lines in proptest::collection::vec(
            (
                "( )?",
                "(in|stream|secured|out (notice|request|response)|at|session|reply|options|share|notice|request|response|log|close|cut)",
                ".*",
            ),
            0..9,
        )
    ) {
        let text: String = lines.into_iter().map(|(indent, word, rest)| format!("{indent}{word} {rest}\n")).collect();
        let _ = Vectors::parse(text);
    }
}
