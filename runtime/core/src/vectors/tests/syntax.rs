//! Tests that bytes and texts are read as they were written.

use proptest::prelude::*;

use crate::vectors::syntax::{Bytes, Quotable, Words};

fn bytes(text: &str) -> Result<Vec<u8>, String> {
    Words::of(text).bytes()
}

#[test]
fn bytes_are_hex_and_texts_in_any_sequence() {
    assert_eq!(bytes("0001 ff").unwrap(), [0, 1, 255]);
    assert_eq!(bytes("01 \"a b\"02'c'").unwrap(), b"\x01a b\x02c");
    assert_eq!(bytes(r#""\n\r\t\\\"\'\xFF\u{e9}é" # "no""#).unwrap(), b"\n\r\t\\\"'\xff\xc3\xa9\xc3\xa9");
    assert_eq!(bytes("\"'\" '\"' '#'").unwrap(), b"'\"#");
    assert_eq!(bytes("\"\"").unwrap(), b"");
}

#[test]
fn what_is_no_bytes_is_reported() {
    for (text, wrong) in [
        ("", "bytes are missing"),
        ("# none", "bytes are missing"),
        ("0", "\"0\" is neither hex"),
        ("001", "\"001\" is neither hex"),
        ("+1", "\"+1\" is neither hex"),
        ("0é1", "\"0é1\" is neither hex"),
        ("\"a", "a \" is missing"),
        ("'a\"", "a ' is missing"),
        ("\"\\\"", "a \" is missing"),
        (r#""\x1""#, "\\x wants two hex digits"),
        (r#""\x1é""#, "\\x wants two hex digits"),
        (r#""\u{d800}""#, "\\u wants the number"),
        (r#""\u00e9""#, "\\u wants the number"),
        (r#""\q""#, "a \\ stands before"),
    ] {
        let error = bytes(text).unwrap_err();
        assert!(error.contains(wrong), "{text}: {error}");
    }
}

#[test]
fn bytes_are_written_as_people_read_them() {
    for (bytes, text) in [
        (&b""[..], "\"\""),
        (b"\x04\0\x01\x05a.b.c{}", "04 00 01 05 \"a.b.c{}\""),
        (b"\x01{\"sys\":{}}", "01 '{\"sys\":{}}'"),
        (b"it's", "\"it's\""),
        (b"\"it's\"\n", r#""\"it's\"\n""#),
        (b"a", "\"a\""),
        (b"\x01a\x02", "01 61 02"),
        ("é\u{200b}\u{1f600}".as_bytes(), "\"é\\u{200b}\u{1f600}\""),
        (b"ab\xf0\x9f\xffcd", "\"ab\" f0 9f ff \"cd\""),
        (b"a\x1b[31m", "61 1b \"[31m\""),
    ] {
        assert_eq!(Bytes(bytes).to_string(), text);
    }
    assert_eq!(Quotable("chat.send").to_string(), "chat.send");
    assert_eq!(Quotable("chat send").to_string(), "\"chat send\"");
    assert_eq!(Quotable("").to_string(), "\"\"");
    assert_eq!(Quotable("\0").to_string(), "\"\\x00\"");
}

proptest! {
    #[test]
    fn any_bytes_are_read_as_they_were_written(sent: Vec<u8>) {
        let text = Bytes(&sent).to_string();
        prop_assert!(!text.contains(|c: char| c.is_control()), "{}", text);
        prop_assert_eq!(bytes(&(text + " # behind it")), Ok(sent));
    }

    #[test]
    fn any_text_is_read_as_it_was_written(sent: String) {
        let (word, as_bytes) = (Quotable(&sent).to_string(), Bytes(sent.as_bytes()).to_string());
        prop_assert!(!word.contains(|c: char| c.is_control()), "{}", word);
        prop_assert_eq!(Words::of(&word).text("it"), Ok(sent.clone()));
        prop_assert_eq!(bytes(&as_bytes), Ok(sent.into_bytes()));
    }

    #[test]
    fn no_line_makes_the_reader_panic(line: String) {
        let mut words = Words::of(&line);
        while let Ok(Some(_)) = words.next() {}
    }
}
