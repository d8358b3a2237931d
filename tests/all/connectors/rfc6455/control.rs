//! Pings and pongs: section 2 of the test suite.

use super::frame::{Frame, frame};
use super::{fails, play, well};

#[tokio::test]
async fn pings_are_answered_and_pongs_are_not() {
    let longest = vec![0xfe; 125];
    let ten: Vec<Vec<u8>> = (0..10).map(|n| format!("payload {n}").into_bytes()).collect();
    let asked: Vec<u8> = ten.iter().flat_map(|payload| frame(0x89, payload)).collect();
    let echo = Frame::text(b"on");
    let on = frame(0x81, b"on");
    play(vec![
        well("2.1 empty", frame(0x89, b""), vec![Frame::pong(b"")]),
        well("2.2 text", frame(0x89, b"Hello, world!"), vec![Frame::pong(b"Hello, world!")]),
        well(
            "2.3 bytes",
            frame(0x89, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"),
            vec![Frame::pong(b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff")],
        ),
        well("2.4 the longest", frame(0x89, &longest), vec![Frame::pong(&longest)]),
        well("2.7 a pong that nobody asked for", [frame(0x8a, b""), on.clone()].concat(), vec![echo.clone()]),
        well("2.8 with a payload", [frame(0x8a, b"unasked"), on.clone()].concat(), vec![echo.clone()]),
        well(
            "2.9 and a ping behind it",
            [frame(0x8a, b"unasked"), frame(0x89, b"asked")].concat(),
            vec![Frame::pong(b"asked")],
        ),
        well("2.10 ten", asked, ten.iter().map(|payload| Frame::pong(payload)).collect()),
    ])
    .await;
}

#[tokio::test]
async fn control_frames_that_are_too_long() {
    let long = vec![0xfe; 126];
    let longer = vec![0xfe; 1000];
    play(vec![
        fails("2.5 a ping", frame(0x89, &long), vec![], 1002),
        fails("a pong", frame(0x8a, &long), vec![], 1002),
        fails(
            "7.3.6 a close",
            frame(0x88, &[&1000u16.to_be_bytes()[..], &[b'*'; 124]].concat()),
            vec![],
            1002,
        ),
        fails("far too long", frame(0x89, &longer), vec![], 1002),
    ])
    .await;
}
