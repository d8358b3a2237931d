//! Tests that the errors in a file are reported line by line.

use proptest::prelude::*;

use crate::vectors::{BadLine, Vectors};

fn wrong(text: &str) -> Vec<BadLine> {
    Vectors::parse(text).expect_err("the text is wrong").lines
}

#[test]
fn options_are_those_of_the_file() {
    let options = |text: &str| Vectors::parse(text).unwrap().options().to_owned();
    assert_eq!(options("# nothing\n"), "{}");
    assert_eq!(options("options {\"a\": [1, \"# }\"]}   # why\nsession\n"), "{\"a\":[1,\"# }\"]}");
}

#[test]
fn each_wrong_line_is_reported_with_what_is_allowed() {
    for (text, line, problem) in [
        ("nonsense", 1, "\"nonsense\" is no step: there are options, session, at, in"),
        ("\"in\"", 1, "a line begins with a bare word"),
        ("in 01", 1, "no session is open: write `session` before it"),
        ("at 5", 1, "no session is open: write `session` before it"),
        ("session\nat 5\nat 4", 3, "time never goes back, and it is 5 already"),
        ("session\nat x", 2, "the time in milliseconds is a whole number in its range, and not \"x\""),
        ("session\nat 1 2", 2, "\"2\" is too much"),
        ("session tcp a b", 1, "the value of the attribute \"b\" is missing"),
        ("session\nin", 2, "bytes are missing"),
        ("session\ntick 'x'", 2, "\"x\" is too much"),
        ("session\nout x on 200 ''", 2, "the id is a whole number in its range, or - for none"),
        ("session\nout 7 on 65536 ''", 2, "the status is a whole number in its range"),
        ("session\nout 7 on", 2, "the status is missing"),
        ("session\nout 7 \"\\xff\" 200 ''", 2, "the route must be UTF-8"),
        ("session\nfarewell ff", 2, "a reason must be UTF-8"),
        ("session\nshare 1", 2, "the route is missing"),
        ("session\nreply 01", 2, "\"reply\" is an answer: indent it under its step"),
        ("  reply 01", 1, "there is no step above"),
        ("session\nat 1\n  reply 01", 3, "there is no step above"),
        ("session\nout - on 200 ''\n  reply 01", 3, "allowed are packet, none, rejected, fatal"),
        ("session\ntick\n  rejected ''", 3, "allowed are hello, established, message, reply, wake, close"),
        ("session\nin 01\n\twake -1", 3, "the time in milliseconds is a whole number in its range"),
        ("session\nin 01\n  established 1", 3, "\"1\" is too much"),
        ("options", 1, "options are a JSON object in one line"),
        ("options [1]", 1, "options are a JSON object in one line"),
        ("options {\"a\": 1", 1, "options are a JSON object in one line"),
        ("options {} {}", 1, "\"{}\" is too much"),
        ("options {}\noptions {}", 2, "once, before the first session"),
        ("session\noptions {}", 2, "once, before the first session"),
    ] {
        let bad = wrong(text);
        assert_eq!((bad.len(), bad[0].line), (1, line), "{text:?}: {bad:?}");
        assert!(bad[0].problem.contains(problem), "{text:?}: {bad:?}");
    }
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
        lines in proptest::collection::vec(("( )?", "(in|out|at|session|reply|options|share|message)", ".*"), 0..9)
    ) {
        let text: String = lines.into_iter().map(|(indent, word, rest)| format!("{indent}{word} {rest}\n")).collect();
        let _ = Vectors::parse(text);
    }
}
