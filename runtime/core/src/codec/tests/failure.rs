//! Tests that a failure is one short line, whatever the guest and the client say.

use std::borrow::Cow;

use crate::codec::{CodecError, Failure, Reason};

fn trap() -> CodecError {
    CodecError::Trap(Reason::new("boom").into())
}

#[test]
fn backtrace_and_input_follow_the_reason() {
    let mut error = trap();
    assert_eq!(error.to_string(), "trap: boom");
    let failure = error.failure_mut().expect("a trap is one");
    failure.set_backtrace(["parse", "decode"]);
    failure.set_position(2);
    let error = error.with_input(|position| {
        assert_eq!(position, Some(2));
        ("packet 3 of 4".to_owned(), Cow::Borrowed(&b"\x00!\xff"[..]))
    });
    assert_eq!(error.to_string(), "trap: boom; backtrace: parse < decode; input: packet 3 of 4: 0021ff");
}

#[test]
fn an_empty_input_has_no_bytes() {
    let error = trap().with_input(|_| ("packet 1 of 1".to_owned(), Cow::Borrowed(&[])));
    assert_eq!(error.to_string(), "trap: boom; input: packet 1 of 1");
}

/// An error that did not end the guest's code says nothing about an input.
#[test]
fn other_errors_stay_as_they_are() {
    let refused = CodecError::Refused(Reason::new("no"));
    assert_eq!(refused.clone().with_input(|_| unreachable!("nobody asks")), refused);
}

#[test]
fn the_line_is_short() {
    let mut failure = Failure::from(Reason::new([b'\n'; 1000]));
    failure.set_backtrace(["\n".repeat(1000), "x".repeat(1000)].iter().cycle());
    let error = CodecError::Memory(failure);
    let error = error.with_input(|_| ("\n".repeat(1000), vec![b'\n'; 1000].into()));
    let line = error.to_string();
    assert!(line.len() < 2500 && !line.contains(char::is_control), "{}: {line}", line.len());
    assert!(line.ends_with(&format!(": {} and 744 bytes more", "0a".repeat(256))), "{line}");
}
