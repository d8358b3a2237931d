//! Tests that an input is described by what the host has passed, whatever position a guest gives.

use wireplug_core::codec::{MessageRef, Messages};
use wireplug_core::framing::Packets;

use crate::input;

#[test]
fn a_stream_is_shown_from_the_position_on() {
    let shown = |at| input::stream(b"one\ntwo", at);
    let whole = || ("stream, 7 bytes from offset 0".to_owned(), &b"one\ntwo"[..]);
    assert_eq!(shown(None), whole());
    assert_eq!(shown(Some(4)), ("stream, 3 bytes from offset 4".to_owned(), &b"two"[..]));
    assert_eq!(shown(Some(7)), ("stream, 0 bytes from offset 7".to_owned(), &b""[..]));
    assert_eq!(shown(Some(8)), whole());
    assert_eq!(shown(Some(usize::MAX)), whole());
}

#[test]
fn packets_and_messages_are_counted_from_one() {
    let packets: Packets = [&b"a"[..], b"bc"].into_iter().collect();
    assert_eq!(input::packets(&packets, Some(1)), ("packet 2 of 2, 2 bytes".to_owned(), &b"bc"[..]));
    assert_eq!(input::packets(&packets, Some(2)), ("2 packets, 3 bytes".to_owned(), &b"abc"[..]));
    let mut messages = Messages::new();
    messages.push(MessageRef::request(7, "a\"b", b"x"));
    messages.push(MessageRef::response(8, "", 404, b""));
    let shown = |at| input::messages(&messages, at);
    assert_eq!(shown(Some(0)), ("message 1 of 2, request 7 \"a\\\"b\", 1 bytes".to_owned(), &b"x"[..]));
    assert_eq!(shown(Some(1)), ("message 2 of 2, response 8 with status 404, 0 bytes".to_owned(), &b""[..]));
    assert_eq!(shown(None), ("2 messages, 4 bytes".to_owned(), &b"a\"bx"[..]));
}
