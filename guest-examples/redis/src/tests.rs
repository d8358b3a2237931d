//! Tests of the limits, which would be long in vectors.

use wireplug_guest::testing::{Client, Received};
use wireplug_guest::{Event, Message, Peer};

use crate::Redis;
use crate::command::MAX_INLINE;
use crate::subscriptions::{MAX_NAME, MAX_NAMES};

/// The largest packet in these tests, in bytes.
const MAX_PACKET: u32 = 1 << 20;

fn client() -> Client<Redis> {
    let peer = Peer { max_packet: MAX_PACKET, ..Peer::default() };
    Client::connect("{}", peer).expect("the options are good")
}

/// Returns the replies and the ends among what a stream meant.
fn ends(received: Vec<Received>) -> Vec<String> {
    let shown = |received| match received {
        Received::Event(Event::Reply(packet)) => Some(String::from_utf8_lossy(&packet).trim().to_owned()),
        Received::Event(Event::Close { reason, .. }) => Some(format!("close: {reason}")),
        Received::Fault(fault) => Some(format!("{fault:?}")),
        _ => None,
    };
    received.into_iter().filter_map(shown).collect()
}

#[test]
fn a_line_without_an_end_is_refused() {
    let line = vec![b'a'; MAX_INLINE];
    let too_big =
        ["-ERR Protocol error: too big inline request", "close: Protocol error: too big inline request"];
    assert_eq!(ends(client().receive(&line)), too_big);
    assert_eq!(ends(client().receive_bytewise(&line)), too_big);
}

#[test]
fn a_command_fills_the_largest_packet() {
    // `*1`, `$`, 7 digits, and three line ends.
    let most = MAX_PACKET as usize - 16;
    let command = |length| [format!("*1\r\n${length}\r\n").as_bytes(), &vec![b'a'; length], b"\r\n"].concat();
    let fits = command(most);
    assert_eq!(fits.len(), MAX_PACKET as usize);
    assert!(matches!(&client().receive(&fits)[..], [Received::Packet(_), Received::Event(Event::Reply(_))]));
    let refused = ends(client().receive(&command(most + 1)));
    assert_eq!(refused[0], "-ERR Protocol error: invalid bulk length");
}

#[test]
fn a_long_answer_becomes_an_error() {
    let mut client = client();
    client.receive(b"GET a\r\nGET b\r\n");
    // A null of RESP3 is longer in RESP2.
    let count = MAX_PACKET as usize / 5;
    let body = [format!("*{count}\r\n").as_bytes(), &b"_\r\n".repeat(count)].concat();
    let answers = client.encode(Message::response(1, "redis.get", 200, &body)).unwrap();
    assert_eq!(answers, [b"-ERR the answer has more than 1048576 bytes\r\n"]);
    let answers = client.encode(Message::response(2, "redis.get", 200, b"")).unwrap();
    assert_eq!(answers, [b"+OK\r\n"]);
}

#[test]
fn subscriptions_are_limited() {
    let mut client = client();
    let long = "a".repeat(MAX_NAME + 1);
    for verb in ["SUBSCRIBE", "UNSUBSCRIBE"] {
        let refused = ends(client.receive(format!("{verb} {long}\r\n").as_bytes()));
        assert_eq!(refused, ["-ERR the name of a channel or a pattern may have 256 bytes"]);
    }
    for number in 1..=MAX_NAMES as u64 {
        client.receive(format!("SUBSCRIBE {number}\r\n").as_bytes());
        let confirmed = client.encode(Message::response(number, "redis.subscribe", 200, b"")).unwrap();
        assert!(confirmed[0].ends_with(format!(":{number}\r\n").as_bytes()));
    }
    assert_eq!(
        ends(client.receive(b"PSUBSCRIBE another\r\n")),
        ["-ERR a client may have 1024 channels and patterns"]
    );
    // A channel that the client has already is no new one.
    assert_eq!(ends(client.receive(b"SUBSCRIBE 7\r\n")), [""; 0]);
}

#[test]
fn what_waits_for_the_application_is_limited() {
    let mut client = client();
    client.receive(b"GET a\r\n");
    let received = client.receive(&b"HELLO 4\r\n".repeat(10_000));
    assert_eq!(ends(received), ["Fatal(\"too many commands wait for an answer of the application\")"]);
}
