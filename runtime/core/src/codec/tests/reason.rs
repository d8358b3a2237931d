//! Tests that any text of a guest or client becomes a reason that is safe to log.

use proptest::prelude::*;

use crate::codec::Reason;

fn reason(text: impl AsRef<[u8]>) -> String {
    Reason::new(text).as_str().to_owned()
}

#[test]
fn plain_text_stays() {
    for text in ["", "it's \"over\"", "päck 🦀"] {
        assert_eq!(reason(text), text);
    }
}

#[test]
fn control_characters_are_escaped() {
    assert_eq!(reason("two\nlines\r\t\0"), r"two\nlines\r\t\0");
    assert_eq!(reason("\x1b[31mred"), r"\u{1b}[31mred");
    // This character would reverse the direction of the text after it in the log.
    assert_eq!(reason("\u{202e}kcab"), r"\u{202e}kcab");
    assert_eq!(reason("two\u{2028}lines"), r"two\u{2028}lines");
    // An escape in the input cannot be mistaken for an escaped character.
    assert_eq!(reason(r"a\nb"), r"a\\nb");
}

#[test]
fn bytes_that_are_no_text_are_replaced() {
    assert_eq!(reason(b"a\xffb"), "a\u{fffd}b");
}

#[test]
fn a_long_text_is_cut_between_characters() {
    assert_eq!(reason("x".repeat(1000)), "x".repeat(256));
    // Characters of 2, 3 and 4 bytes, at every distance from the limit.
    for character in ["é", "€", "🦀"] {
        for before in 0..8 {
            let text = "x".repeat(before) + &character.repeat(200);
            let cut = &text[..text.floor_char_boundary(Reason::MAX)];
            assert_eq!(reason(&text), cut);
        }
    }
}

#[test]
fn an_escape_is_never_cut_in_two() {
    for before in 250..=Reason::MAX {
        let whole = "x".repeat(before) + r"\u{1b}";
        let expected = if whole.len() <= Reason::MAX { whole } else { "x".repeat(before) };
        assert_eq!(reason("x".repeat(before) + "\x1b"), expected);
    }
}

proptest! {
    #[test]
    fn any_bytes_become_one_short_line(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let reason = reason(bytes);
        prop_assert!(reason.len() <= Reason::MAX);
        prop_assert!(!reason.chars().any(char::is_control));
    }

    #[test]
    fn any_text_becomes_one_short_line(text in "(?s).{0,300}") {
        let reason = reason(text);
        prop_assert!(reason.len() <= Reason::MAX);
        prop_assert!(!reason.chars().any(char::is_control));
    }
}
