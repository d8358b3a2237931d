//! One encoding of a push for all sessions of a class.

use proptest::collection::vec;
use proptest::prelude::*;
use wireplug_pomelo::{Fault, Message, Options, Role};

use crate::rig::{ACK, Server, push, response};

const OPTIONS: [&str; 3] = ["{}", r#"{"routes":["onChat","onLeave"]}"#, r#"{"dictionary":{"onChat":65535}}"#];

fn shared(options: &str, class: u32, message: &Message<'_>) -> Result<Vec<u8>, String> {
    let mut out = b"before".to_vec();
    let encoded = Options::parse(options).unwrap().encode_shared(class, message, &mut out);
    assert!(out.starts_with(b"before") && (encoded.is_ok() || out.len() == 6));
    encoded.map(|()| out.split_off(6))
}

#[test]
fn a_session_has_a_class_only_in_the_working_state() {
    for options in OPTIONS {
        let mut server = Server::open(options);
        assert_eq!(server.session.broadcast_class(), None, "inited");
        server.decode(b"\x01{\"sys\":{}}").unwrap();
        assert_eq!(server.session.broadcast_class(), None, "greeted");
        server.answer(200, b"");
        assert_eq!(server.session.broadcast_class(), None, "not acknowledged");
        server.decode(ACK).unwrap();
        assert_eq!(server.session.broadcast_class(), Some(0), "working");
        server.decode(b"\x05").unwrap_err();
        assert_eq!(server.session.broadcast_class(), None, "ending");
        server.farewell("");
        assert_eq!(server.session.broadcast_class(), None, "closed");
    }
}

#[test]
fn a_moved_session_has_a_class_only_if_the_dictionary_is_the_same() {
    for (here, options) in OPTIONS.iter().enumerate() {
        for (there, others) in OPTIONS.iter().enumerate() {
            let server = Server::working(options).moved_to(others);
            let class = (here == there).then_some(0);
            assert_eq!(server.session.broadcast_class(), class, "{options} to {others}");
            let back = server.moved_to(options);
            assert_eq!(back.session.broadcast_class(), Some(0), "{options} to {others} and back");
        }
    }
    let server = Server::working(r#"{"routes":["a"],"heartbeat":3}"#).moved_to(r#"{"routes":["a"]}"#);
    assert_eq!(server.session.broadcast_class(), Some(0), "a push does not depend on the heartbeat");
}

#[test]
fn only_a_push_to_a_known_class_is_encoded() {
    assert_eq!(shared("{}", 0, &push("a", b"1")), Ok(b"\x04\x06\x01a1".to_vec()));
    for class in [1, u32::MAX] {
        assert_eq!(shared("{}", class, &push("a", b"1")), Err(format!("no session has the class {class}")));
    }
    let request = Message { role: Role::Request, id: 7, ..push("a", b"1") };
    for message in [request, response(7, "a", 200, b"1")] {
        let refusal = "only a push can be encoded for a class of sessions";
        assert_eq!(shared("{}", 0, &message), Err(refusal.to_owned()));
    }
}

#[test]
fn a_push_has_the_length_of_a_package_at_most() {
    // The type, the flag, the length of the route, the route. The type is no part of the length of
    // the package.
    let body = vec![b'1'; (1 << 24) - 4];
    assert_eq!(shared("{}", 0, &push("a", &body)).map(|packet| packet.len()), Ok(1 << 24));
    let body = [&body[..], b"1"].concat();
    let refusal = "message of 16777216 bytes exceeds 16777215";
    assert_eq!(shared("{}", 0, &push("a", &body)), Err(refusal.to_owned()));
}

proptest! {
    #[test]
    fn a_shared_push_equals_the_push_of_each_session(
        options in prop::sample::select(OPTIONS.to_vec()),
        route in prop_oneof![Just("onChat".to_owned()), Just(String::new()), Just("r".repeat(256)), ".{0,70}"],
        body in vec(any::<u8>(), 0..60),
        moved: bool,
    ) {
        let mut server = Server::working(options);
        if moved {
            server = server.moved_to(options);
        }
        let class = server.session.broadcast_class().expect("the session is working");
        let message = push(&route, &body);
        let alone = server.encode(&message).map_err(|fault| match fault {
            Fault::Rejected(reason) => reason.into_owned(),
            Fault::Fatal(reason) => panic!("{reason}"),
        });
        prop_assert_eq!(shared(options, class, &message), alone);
    }
}
