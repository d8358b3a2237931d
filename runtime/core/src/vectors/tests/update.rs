//! Tests that a codec's answers are written into the file, and that the rest of the file stays
//! unchanged.

use super::vectors;
use crate::codec::tests::script::Script;

fn updated(text: &str) -> String {
    vectors(text).updated(&Script::default())
}

#[test]
fn steps_alone_become_vectors() {
    let steps = "session\nin 'reply it; hello a'\nanswer 200 ''\nout notice on 'x|y'\nout notice on 'formless'\nabandon 7\n\
                 class\nfarewell kicked 'silent'\nsession\nfarewell shutdown 'do reply a; close 4000 b'\n";
    let full = updated(steps);
    assert_eq!(
        full,
        "session\n  reply \"0\"\nin 'reply it; hello a'\n  reply \"it\"\n  hello \"a\"\nanswer 200 ''\n  reply \"200\"\n  \
         established\nout notice on 'x|y'\n  packet \"notice 0 on 200 at 0: x\"\n  packet \"notice 0 on 200 at 0: y\"\nout \
         notice on 'formless'\n  none\nabandon 7\n  reply \"abandoned 7\"\nclass\n  class 1\nfarewell kicked 'silent'\n\
         session\n  reply \"0\"\nfarewell shutdown 'do reply a; close 4000 b'\n  reply \"a\"\n  close 4000 \"b\"\n"
    );
    assert_eq!(vectors(&full).replay(&Script::default()).next(), None);
    assert_eq!(updated(&full), full);
}

#[test]
fn each_form_of_an_answer_is_updated() {
    for (command, wrong, right) in [
        ("notice r b", "request 1 r 'b'", "notice r \"b\""),
        ("request 7 r b", "request 8 r 'b'", "request 7 r \"b\""),
        ("response 7 404 b", "response 7 200 'b'", "response 7 404 \"b\""),
        ("timer 5", "timer 6", "timer 5"),
        ("address-verified", "established", "address-verified"),
        ("log warn a", "log info 'a'", "log warn \"a\""),
        ("close 4000 a", "close 0 'a'", "close 4000 \"a\""),
    ] {
        let text = |answer: &str| {
            format!("session\n  reply '0'\nin 'established; {command}'\n  established\n  {answer}\n")
        };
        let updated = vectors(&text(wrong)).updated(&Script::with_client_requests());
        assert_eq!(updated, text(right), "{command}");
    }
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
