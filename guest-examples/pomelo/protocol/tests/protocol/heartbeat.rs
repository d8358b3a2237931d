//! Heartbeats and their timeout, with a simulated time.

use crate::rig::{ACK, Event, HEARTBEAT, Server};

const NOTIFY: &[u8] = b"\x04\x02\x01a{}";

fn closed_after(seconds: &str) -> Vec<Event> {
    vec![Event::Close(format!("no sign of life from the client for {seconds} s"))]
}

#[test]
fn heartbeats_begin_with_the_acknowledgement() {
    let mut server = Server::open(r#"{"heartbeat":3}"#);
    assert_eq!(server.tick(), [], "no timer before the handshake");
    server.decode(b"\x01{\"sys\":{}}").unwrap();
    server.now = 100_000;
    assert_eq!(server.tick(), []);
    server.answer(200, b"");
    assert_eq!(server.tick(), []);
    let expected = vec![Event::Established, Event::Reply(HEARTBEAT.to_vec()), Event::Timer(6000)];
    assert_eq!(server.decode(ACK), Ok(expected));
}

#[test]
fn a_silent_client_is_closed_after_the_timeout() {
    let mut server = Server::working(r#"{"heartbeat":3}"#);
    server.now = 5999;
    assert_eq!(server.tick(), [Event::Timer(1)]);
    server.now = 6000;
    assert_eq!(server.tick(), closed_after("6"));
    assert_eq!(server.tick(), [], "the session closes once");
    assert!(server.decode(NOTIFY).is_err(), "the session is closed");
}

#[test]
fn any_package_restarts_the_timeout() {
    // A rejected package too: it shows that the client is there.
    for packet in [HEARTBEAT, NOTIFY, ACK] {
        let mut server = Server::working(r#"{"heartbeat":1,"timeout":2.5}"#);
        server.now = 2000;
        let _ = server.decode(packet);
        server.now = 2500;
        assert_eq!(server.tick(), [Event::Timer(2000)]);
        server.now = 4500;
        assert_eq!(server.tick(), closed_after("2.5"));
    }
}

#[test]
fn a_heartbeat_is_answered_at_once_and_sets_no_timer() {
    let mut server = Server::working(r#"{"heartbeat":3}"#);
    for now in [1, 2, 3000] {
        server.now = now;
        assert_eq!(server.decode(HEARTBEAT), Ok(vec![Event::Reply(HEARTBEAT.to_vec())]));
        assert_eq!(server.decode(NOTIFY), Ok(vec![Event::notice("a", "{}")]));
    }
}

#[test]
fn there_are_no_heartbeats_without_the_option() {
    let mut server = Server::open("{}");
    assert_eq!(server.tick(), []);
    let mut server = Server::working("{}");
    assert_eq!(server.decode(HEARTBEAT), Ok(vec![]));
    server.now = u64::MAX;
    assert_eq!(server.tick(), []);
}

#[test]
fn the_longest_interval_and_timeout_fit_the_timer() {
    let mut server = Server::working(r#"{"heartbeat":2000000}"#);
    server.now = 3_999_999_999;
    assert_eq!(server.tick(), [Event::Timer(1)]);
    server.now = u64::MAX;
    assert_eq!(server.tick(), closed_after("4000000"));
}
