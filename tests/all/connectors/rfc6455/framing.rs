//! Messages in one or several frames, lengths, reserved bits and opcodes: sections 1, 3, 4 and 5 of
//! the test suite.

use super::frame::{Frame, frame};
use super::{Case, LARGEST, fails, play, well};

/// Returns UTF-8 text of this many bytes, which does not cut a character.
fn text(length: usize) -> Vec<u8> {
    "*é漢😀".bytes().cycle().take(length / 10 * 10).chain([b'*'; 10]).take(length).collect()
}

/// Encodes the head of a frame with this length field, which may be longer than necessary or wrong.
fn head(first: u8, length: &[u8]) -> Vec<u8> {
    let form = if length.len() == 2 { 126 } else { 127 };
    [&[first, 0x80 | form][..], length, &[0; 4]].concat()
}

/// 1.1 and 1.2: all lengths at which the form of the head changes, as text and as binary.
#[tokio::test]
async fn messages_of_all_lengths() {
    let lengths = [0, 1, 125, 126, 127, 128, 65535, LARGEST];
    let cases = lengths.into_iter().flat_map(|length| {
        let (text, binary) = (text(length), vec![0xfe; length]);
        [
            well("1.1 text", frame(0x81, &text), vec![Frame::text(&text)]),
            well("1.2 binary", frame(0x82, &binary), vec![Frame::binary(&binary)]),
        ]
    });
    play(cases.collect()).await;
}

/// More empty messages than one call of a codec takes.
#[tokio::test]
async fn empty_messages_are_messages() {
    let many = 1000;
    play(vec![well("empty", frame(0x82, b"").repeat(many), vec![Frame::binary(b""); many])]).await;
}

/// A message that is too large is refused by its head, or as soon as its fragments become too
/// large.
#[tokio::test]
async fn messages_that_are_too_large() {
    let over = vec![0; LARGEST + 100];
    let half = vec![0; LARGEST * 2 / 3];
    play(vec![
        fails("one frame", frame(0x82, &over), vec![], 1009),
        fails("by its head", head(0x82, &u64::MAX.to_be_bytes()), vec![], 1009),
        fails("with the sign bit, which must be 0", head(0x82, &(1u64 << 63).to_be_bytes()), vec![], 1009),
        fails("in fragments", [frame(0x02, &half), frame(0x80, &half)].concat(), vec![], 1009),
        fails(
            "what came before is answered",
            [frame(0x82, b"first"), frame(0x82, &over)].concat(),
            vec![Frame::binary(b"first")],
            1009,
        ),
    ])
    .await;
}

/// 3.1 to 3.7: reserved bits, including the one of compression, are errors, because no extension is
/// negotiated.
#[tokio::test]
async fn reserved_bits() {
    let good = frame(0x81, b"good");
    let echo = vec![Frame::text(b"good")];
    let mut cases = Vec::new();
    for bits in 1..8u8 {
        for opcode in [0x1, 0x2, 0x8, 0x9, 0xa] {
            let bad = frame(0x80 | bits << 4 | opcode, b"bad");
            cases.push(fails("3.1 alone", bad.clone(), vec![], 1002));
            cases.push(fails("3.2 behind a good one", [&good[..], &bad].concat(), echo.clone(), 1002));
            cases.push(fails("3.3 nothing behind it counts", [&bad[..], &good].concat(), vec![], 1002));
        }
    }
    play(cases).await;
}

/// 4.1 and 4.2: reserved opcodes are errors.
#[tokio::test]
async fn reserved_opcodes() {
    let good = frame(0x81, b"good");
    let mut cases = Vec::new();
    for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        for payload in [&b""[..], b"bad"] {
            let bad = frame(0x80 | opcode, payload);
            cases.push(fails("4.1 alone", bad.clone(), vec![], 1002));
            let said = [&good[..], &bad, &frame(0x89, b"ping")].concat();
            cases.push(fails("4.2 behind a good one", said, vec![Frame::text(b"good")], 1002));
        }
    }
    play(cases).await;
}

/// Section 5.1 of the RFC: a client must mask each frame.
#[tokio::test]
async fn frames_without_a_mask() {
    play(vec![
        fails("text", b"\x81\x03bad".to_vec(), vec![], 1002),
        fails("a ping", b"\x89\x00".to_vec(), vec![], 1002),
        fails("a close", b"\x88\x02\x03\xe8".to_vec(), vec![], 1002),
    ])
    .await;
}

/// 5.3 to 5.8, 5.19 and 5.20: fragments, and control frames between them.
#[tokio::test]
async fn fragments() {
    let (first, last) = (frame(0x01, b"frag"), frame(0x80, b"ment"));
    let (ping, pong) = (frame(0x89, b"ping"), frame(0x8a, b"pong"));
    let echo = Frame::text(b"fragment");
    let long: Vec<u8> = (0..1000).flat_map(|_| frame(0x00, b"0123456789")).collect();
    let answered = Frame::pong(b"ping");
    play(vec![
        well("5.3 two", [&first[..], &last].concat(), vec![echo.clone()]),
        well("5.6 a ping between", [&first[..], &ping, &last].concat(), vec![answered.clone(), echo.clone()]),
        well("a pong between", [&first[..], &pong, &last].concat(), vec![echo.clone()]),
        well(
            "5.19 pings between all",
            [&first[..], &ping, &frame(0x00, b"-"), &ping, &last].concat(),
            vec![answered.clone(), answered.clone(), Frame::text(b"frag-ment")],
        ),
        well(
            "empty ones",
            [frame(0x01, b""), frame(0x00, b""), frame(0x80, b"")].concat(),
            vec![Frame::text(b"")],
        ),
        well(
            "6.1 one that is not, among empty ones",
            [frame(0x02, b""), frame(0x00, b"middle"), frame(0x80, b"")].concat(),
            vec![Frame::binary(b"middle")],
        ),
        well(
            "a thousand",
            [frame(0x02, b""), long, frame(0x80, b"")].concat(),
            vec![Frame::binary(&b"0123456789".repeat(1000))],
        ),
        well(
            "two messages",
            [&first[..], &last, &first[..], &last].concat(),
            vec![echo.clone(), echo.clone()],
        ),
    ])
    .await;
}

/// 5.9 to 5.18: fragments without a first frame, and first frames without a last one.
#[tokio::test]
async fn fragments_out_of_order() {
    let (first, last, whole) = (frame(0x01, b"frag"), frame(0x80, b"ment"), frame(0x81, b"whole"));
    let (ping, echo) = (frame(0x89, b"ping"), Frame::text(b"whole"));
    let case = |name, said: &[&[u8]], heard| -> Case { fails(name, said.concat(), heard, 1002) };
    play(vec![
        case("5.9 a last one alone", &[&last, &whole], vec![]),
        case("5.10 one in the middle alone", &[&frame(0x00, b"ment"), &whole], vec![]),
        case("an empty one alone", &[&frame(0x80, b"")], vec![]),
        case("5.15 behind a whole message", &[&whole, &last], vec![echo]),
        case("5.18 a message in a message", &[&first, &whole], vec![]),
        case("another begins", &[&first, &frame(0x02, b"other"), &last], vec![]),
        case("5.1 a ping in fragments", &[&frame(0x09, b"pi"), &frame(0x80, b"ng")], vec![]),
        case("5.2 a pong in fragments", &[&frame(0x0a, b"po"), &frame(0x80, b"ng")], vec![]),
        case("a close in fragments", &[&frame(0x08, b"\x03\xe8"), &frame(0x80, b"")], vec![]),
        case("after a ping between", &[&first, &ping, &whole], vec![Frame::pong(b"ping")]),
    ])
    .await;
}
