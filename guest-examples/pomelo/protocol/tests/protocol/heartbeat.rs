//! Heartbeats, on a time that only the test moves.

use crate::rig::{ACK, Event, HEARTBEAT, Server};

const NOTIFY: &[u8] = b"\x04\x02\x01a{}";

fn gone(seconds: &str) -> Vec<Event> {
    vec![Event::Close(format!("no sign of life from the client for {seconds} s"))]
}

#[test]
fn begins_with_the_acknowledgement() {
    let mut server = Server::open(r#"{"heartbeat":3}"#);
    assert_eq!(server.tick(), [], "nothing before the handshake");
    server.decode(b"\x01{\"sys\":{}}").unwrap();
    server.now = 100_000;
    assert_eq!(server.tick(), []);
    server.answer(200, b"");
    assert_eq!(server.tick(), []);
    let expected = vec![Event::Established, Event::Reply(HEARTBEAT.to_vec()), Event::Wake(6000)];
    assert_eq!(server.decode(ACK), Ok(expected));
}

#[test]
fn silent_clients_are_given_up() {
    let mut server = Server::working(r#"{"heartbeat":3}"#);
    server.now = 5999;
    assert_eq!(server.tick(), [Event::Wake(1)]);
    server.now = 6000;
    assert_eq!(server.tick(), gone("6"));
    assert_eq!(server.tick(), [], "once");
    assert!(server.decode(NOTIFY).is_err(), "it is over");
}

#[test]
fn any_package_is_a_sign_of_life() {
    // The rejected one too: the client is there, whatever it says.
    for packet in [HEARTBEAT, NOTIFY, ACK] {
        let mut server = Server::working(r#"{"heartbeat":1,"timeout":2.5}"#);
        server.now = 2000;
        let _ = server.decode(packet);
        server.now = 2500;
        assert_eq!(server.tick(), [Event::Wake(2000)]);
        server.now = 4500;
        assert_eq!(server.tick(), gone("2.5"));
    }
}

#[test]
fn answered_at_once_and_no_wake_a_packet() {
    let mut server = Server::working(r#"{"heartbeat":3}"#);
    for now in [1, 2, 3000] {
        server.now = now;
        assert_eq!(server.decode(HEARTBEAT), Ok(vec![Event::Reply(HEARTBEAT.to_vec())]));
        assert_eq!(server.decode(NOTIFY), Ok(vec![Event::message(None, "a", "{}")]));
    }
}

#[test]
fn none_without_the_option() {
    let mut server = Server::open("{}");
    assert_eq!(server.tick(), []);
    let mut server = Server::working("{}");
    assert_eq!(server.decode(HEARTBEAT), Ok(vec![]));
    server.now = u64::MAX;
    assert_eq!(server.tick(), []);
}

#[test]
fn the_longest_times() {
    let mut server = Server::working(r#"{"heartbeat":2000000}"#);
    server.now = 3_999_999_999;
    assert_eq!(server.tick(), [Event::Wake(1)]);
    server.now = u64::MAX;
    assert_eq!(server.tick(), gone("4000000"));
}
