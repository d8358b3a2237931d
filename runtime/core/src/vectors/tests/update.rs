//! Tests that a codec's answers are written into the file, and that the rest of the file stays
//! unchanged.

use super::vectors;
use crate::codec::tests::script::Script;

fn updated(text: &str) -> String {
    vectors(text).updated(&Script::default())
}

#[test]
fn steps_alone_become_vectors() {
    let steps =
        "session\nin 'hello a; reply it'\nanswer 200 ''\nout - on 200 'x'\nclass\nfarewell 'silent'\n";
    let full = updated(steps);
    assert_eq!(
        full,
        "session\n  reply \"0\"\nin 'hello a; reply it'\n  hello \"a\"\n  reply \"it\"\nanswer 200 ''\n  reply \"200\"\n  \
         established\nout - on 200 'x'\n  packet \"None on 200 at 0: x\"\nclass\n  class 1\nfarewell 'silent'\n  none\n"
    );
    assert_eq!(vectors(&full).replay(&Script::default()).next(), None);
    assert_eq!(updated(&full), full);
}

#[test]
fn comments_and_right_lines_stay_as_they_are() {
    let text = "# above\noptions {}  # none\n\nsession\n\treply '0'  # right\n\n# between\nin 'reply a; reply b; reply c'\n  # first\n  \
                reply 61\n  # second\n  reply 'x' # wrong\n  reply 'y'\n  # last\n  reply 'c' # right\n# below\n";
    let wrong = "  # second\n  reply 'x' # wrong\n  reply 'y'\n";
    let right = "  reply \"b\"\n  # second\n";
    assert!(text.contains(wrong));
    assert_eq!(updated(text), text.replace(wrong, right));
}

#[test]
fn what_fails_is_left_as_it_is() {
    let text = "session\n  reply '0'\nin 'reply a; trap'\n  reply 'x'\nin 'reply b'\n  reply 'y'\nsession\n  reply 'z'\n";
    assert_eq!(updated(text), text.replace("reply 'z'", "reply \"0\""));
}

#[test]
fn a_last_line_without_an_end_gets_one() {
    assert_eq!(updated("session"), "session\n  reply \"0\"\n");
    assert_eq!(updated("session\r\n  reply '0'\r\n"), "session\n  reply '0'\n");
}
