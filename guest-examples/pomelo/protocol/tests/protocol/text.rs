//! Text beyond the basic plane: CESU-8 from JavaScript clients, and escapes to them.

use crate::rig::{Event, Server, hex};

/// U+1F600 as a JavaScript client sends it.
const CESU: &[u8] = b"\xed\xa0\xbd\xed\xb8\x80";

#[test]
fn surrogates_of_a_client_become_utf8() {
    let mut server = Server::working("{}");
    for (sent, decoded) in [
        (CESU, "\u{1f600}"),
        (&[CESU, b"-", CESU, CESU].concat(), "\u{1f600}-\u{1f600}\u{1f600}"),
        // The lowest and the highest pair.
        (b"\xed\xa0\x80\xed\xb0\x80", "\u{10000}"),
        (b"\xed\xaf\xbf\xed\xbf\xbf", "\u{10ffff}"),
        // Unpaired: only high, only low, in the wrong order, two high ones before a low one.
        (b"a\xed\xa0\xbdb", "a\u{fffd}b"),
        (b"\xed\xb8\x80", "\u{fffd}"),
        (b"\xed\xb8\x80\xed\xa0\xbd", "\u{fffd}\u{fffd}"),
        (b"\xed\xa0\xbd\xed\xa0\xbd\xed\xb8\x80", "\u{fffd}\u{1f600}"),
        // Valid UTF-8 stays unchanged. U+D55C and U+D7FF begin with the same byte as a surrogate.
        ("\u{d55c}\u{d7ff}\u{e000}\u{1f600}".as_bytes(), "\u{d55c}\u{d7ff}\u{e000}\u{1f600}"),
    ] {
        let request = [b"\x04\x02", &[sent.len() as u8][..], sent, b"\"", sent, b"\""].concat();
        let body = format!("\"{decoded}\"");
        assert_eq!(server.decode(&request), Ok(vec![Event::notice(decoded, body)]), "{sent:02x?}");
    }
}

#[test]
fn other_invalid_bytes_of_a_body_stay_unchanged() {
    let mut server = Server::working("{}");
    for body in [&b"\xff"[..], b"\xed", b"\xed\xa0", b"\xed\xa0\x20", b"\xf0\x9f"] {
        let notify = [b"\x04\x02\x01a", body].concat();
        assert_eq!(server.decode(&notify), Ok(vec![Event::notice("a", body)]));
        let expected = [b"\x04\x04\x01", body].concat();
        assert_eq!(server.respond(1, body), Ok(expected));
    }
}

#[test]
fn surrogates_of_a_handshake_become_utf8() {
    let handshake = [b"\x01{\"sys\":{},\"user\":\"", CESU, b"\"}"].concat();
    let hello = "{\"sys\":{},\"user\":\"\u{1f600}\"}".as_bytes().to_vec();
    assert_eq!(Server::open("{}").decode(&handshake), Ok(vec![Event::Hello(hello)]));
    let broken = b"\x01{\"sys\":{},\"user\":\"\xff\"}";
    assert!(matches!(&Server::open("{}").decode(broken).unwrap()[..], [Event::Reply(_), Event::Close(_)]));
}

#[test]
fn json_to_a_client_is_escaped() {
    let mut server = Server::working(r#"{"dictionary":["🐇"]}"#);
    for (body, written) in [
        ("{\"a\":\"\u{1f600}\"}", r#"{"a":"\ud83d\ude00"}"#),
        ("\"\u{10000}\u{10ffff}\"", r#""\ud800\udc00\udbff\udfff""#),
        // At several positions in a block of 8 bytes, and behind the last block.
        ("\"1\u{1f600}\"", r#""1\ud83d\ude00""#),
        ("\"123456\u{1f600}1234567\u{1f600}\"", r#""123456\ud83d\ude001234567\ud83d\ude00""#),
        ("\"\u{e9}\u{4e2d}\u{ffff}\"", "\"\u{e9}\u{4e2d}\u{ffff}\""),
    ] {
        assert_eq!(server.respond(1, body.as_bytes()), Ok([b"\x04\x04\x01", written.as_bytes()].concat()));
        assert_eq!(server.push("p", body.as_bytes()), Ok([b"\x04\x06\x01p", written.as_bytes()].concat()));
    }
    assert_eq!(server.push("🐇", b""), Ok(hex("04070001")));
    let kick = [b"\x05", &br#"{"reason":"\ud83d\ude00\"\n"}"#[..]].concat();
    assert_eq!(server.farewell("\u{1f600}\"\n"), [Event::Reply(kick)]);

    let mut server = Server::greeted(r#"{"dictionary":["🐇"]}"#);
    let answer = server.answer(200, "\"\u{1f600}\"".as_bytes());
    let [Event::Reply(packet)] = &answer[..] else { panic!("{answer:?}") };
    let answer = String::from_utf8(packet.clone()).unwrap();
    assert!(
        answer.contains(r#""dict":{"\ud83d\udc07":1}"#) && answer.contains(r#""user":"\ud83d\ude00""#),
        "{answer}"
    );
}

/// A route is not JSON, so it has no escapes.
#[test]
fn the_route_of_a_push_is_sent_as_utf8() {
    let push = Server::working("{}").push("\u{1f600}", b"");
    assert_eq!(push, Ok([b"\x04\x06\x04", "\u{1f600}".as_bytes()].concat()));
}
