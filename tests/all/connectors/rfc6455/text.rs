//! UTF-8: section 6 of the test suite. Invalid text ends the connection with 1007, at the latest
//! when the message is complete.

use super::frame::{Frame, frame};
use super::{Case, fails, play, well};

/// Sections 6.5 to 6.11, 6.22 and 6.23: valid text, at the limits of each length of a character,
/// with characters that Unicode calls noncharacters.
const VALID: &[&str] = &[
    "Hello-µ@ßöäüàá-UTF-8!!",
    "κόσμε",
    "\0",
    "\u{7f}",
    "\u{80}",
    "\u{7ff}",
    "\u{800}",
    "\u{d7ff}",
    "\u{e000}",
    "\u{fffd}",
    "\u{fffe}",
    "\u{ffff}",
    "\u{10000}",
    "\u{1fffe}",
    "\u{10fffe}",
    "\u{10ffff}",
];

/// Sections 6.3, 6.12 to 6.21: invalid text.
const INVALID: &[&[u8]] = &[
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
    // 6.12 to 6.14: continuation bytes without a first byte, and first bytes without continuation
    // bytes.
    b"\x80",
    b"\xbf",
    b"\x80\xbf",
    b"\x80\xbf\x80\xbf\x80\xbf",
    b"\xc0 \xc1 \xdf ",
    b"\xe0 \xef ",
    b"\xf0 \xf7 ",
    b"\xf8 \xfb ",
    b"\xfc \xfd ",
    b"\xc3",
    b"\xe0\xa0",
    b"\xf0\x90\x80",
    b"\xfe",
    b"\xff",
    b"\xfe\xfe\xff\xff",
    // 6.15 to 6.17: encodings that are longer than necessary.
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"\xf8\x80\x80\x80\xaf",
    b"\xfc\x80\x80\x80\x80\xaf",
    b"\xc1\xbf",
    b"\xe0\x9f\xbf",
    b"\xf0\x8f\xbf\xbf",
    b"\xc0\x80",
    b"\xe0\x80\x80",
    // 6.18 to 6.21: surrogates, alone and in pairs, and code points above the last one of Unicode.
    b"\xed\xa0\x80",
    b"\xed\xaf\xbf",
    b"\xed\xb0\x80",
    b"\xed\xbf\xbf",
    b"\xed\xa0\x80\xed\xb0\x80",
    b"\xf4\x90\x80\x80",
    b"\xf7\xbf\xbf\xbf",
];

#[tokio::test]
async fn what_is_utf8_is_text_wherever_it_is_cut() {
    let mut cases: Vec<Case> = Vec::new();
    for text in VALID {
        let (bytes, echo) = (text.as_bytes(), vec![Frame::text(text.as_bytes())]);
        cases.push(well("6.5 whole", frame(0x81, bytes), echo.clone()));
        // 6.2.3: a frame for each byte.
        let cut: Vec<u8> = bytes.iter().flat_map(|byte| frame(0x00, &[*byte])).collect();
        cases.push(well("6.2 cut", [frame(0x01, b""), cut, frame(0x80, b"")].concat(), echo));
    }
    play(cases).await;
}

#[tokio::test]
async fn what_is_not_utf8_is_no_text_wherever_it_is_cut() {
    let mut cases: Vec<Case> = Vec::new();
    for bytes in INVALID {
        cases.push(fails("6.3 whole", frame(0x81, bytes), vec![], 1007));
        let good = frame(0x81, "é".as_bytes());
        let said = [&good[..], &frame(0x81, bytes), &good].concat();
        cases.push(fails("behind a good one", said, vec![Frame::text("é".as_bytes())], 1007));
        let cut: Vec<u8> = bytes.iter().flat_map(|byte| frame(0x00, &[*byte])).collect();
        cases.push(fails("6.4 cut", [frame(0x01, b""), cut, frame(0x80, b"")].concat(), vec![], 1007));
        // A binary message may hold any bytes.
        cases.push(well("binary", frame(0x82, bytes), vec![Frame::binary(bytes)]));
    }
    play(cases).await;
}
