//! One encoding of a push for many sessions.

use proptest::collection::vec;
use proptest::prelude::*;
use wireplug_pomelo::{Fault, Message, Options};

use crate::rig::{ACK, Server};

const OPTIONS: [&str; 3] = ["{}", r#"{"routes":["onChat","onLeave"]}"#, r#"{"dictionary":{"onChat":65535}}"#];

fn push<'a>(route: &'a str, body: &'a [u8]) -> Message<'a> {
    Message { id: None, route, body, status: 200 }
}

fn shared(options: &str, class: u32, message: &Message<'_>) -> Result<Vec<u8>, String> {
    let mut out = b"before".to_vec();
    let encoded = Options::parse(options).unwrap().encode_shared(class, message, &mut out);
    assert!(out.starts_with(b"before") && (encoded.is_ok() || out.len() == 6));
    encoded.map(|()| out.split_off(6))
}

#[test]
fn while_it_works() {
    for options in OPTIONS {
        let mut server = Server::open(options);
        assert_eq!(server.session.share_class(), None, "inited");
        server.decode(b"\x01{\"sys\":{}}").unwrap();
        assert_eq!(server.session.share_class(), None, "greeted");
        server.answer(200, b"");
        assert_eq!(server.session.share_class(), None, "not acknowledged");
        server.decode(ACK).unwrap();
        assert_eq!(server.session.share_class(), Some(0), "working");
        server.decode(b"\x05").unwrap_err();
        assert_eq!(server.session.share_class(), None, "ending");
        server.farewell("");
        assert_eq!(server.session.share_class(), None, "closed");
    }
}

#[test]
fn after_a_handoff_where_the_dictionary_is_the_same() {
    for (here, options) in OPTIONS.iter().enumerate() {
        for (there, others) in OPTIONS.iter().enumerate() {
            let server = Server::working(options).handed_over(others);
            assert_eq!(server.session.share_class(), (here == there).then_some(0), "{options} to {others}");
            // And home again, where the class is its own once more.
            assert_eq!(server.handed_over(options).session.share_class(), Some(0), "{options} by {others}");
        }
    }
    let heartbeats = Server::working(r#"{"routes":["a"],"heartbeat":3}"#).handed_over(r#"{"routes":["a"]}"#);
    assert_eq!(heartbeats.session.share_class(), Some(0), "no push tells of heartbeats");
}

#[test]
fn only_pushes_and_only_its_class() {
    assert_eq!(shared("{}", 0, &push("a", b"1")), Ok(b"\x04\x06\x01a1".to_vec()));
    for class in [1, u32::MAX] {
        assert_eq!(shared("{}", class, &push("a", b"1")), Err(format!("no session has the class {class}")));
    }
    let response = Message { id: Some(7), ..push("a", b"1") };
    let refusal = "a response, to the request 7, is for one session alone";
    assert_eq!(shared("{}", 0, &response), Err(refusal.to_owned()));
    let id_0 = Message { id: Some(0), ..push("a", b"1") };
    assert_eq!(shared("{}", 0, &id_0), Ok(b"\x04\x06\x01a1".to_vec()), "0 is no id");
}

#[test]
fn the_longest_package() {
    // Type, flag, the route's length, the route: the first of them is no part of the package's length.
    let body = vec![b'1'; (1 << 24) - 4];
    assert_eq!(shared("{}", 0, &push("a", &body)).map(|packet| packet.len()), Ok(1 << 24));
    let body = [&body[..], b"1"].concat();
    let refusal = "message of 16777216 bytes exceeds 16777215";
    assert_eq!(shared("{}", 0, &push("a", &body)), Err(refusal.to_owned()));
}

proptest! {
    #[test]
    fn as_for_each_alone(
        options in prop::sample::select(OPTIONS.to_vec()),
        route in prop_oneof![Just("onChat".to_owned()), Just(String::new()), Just("r".repeat(256)), ".{0,70}"],
        body in vec(any::<u8>(), 0..60),
        status in prop_oneof![Just(200), any::<u16>()],
        handed_over: bool,
    ) {
        let mut server = Server::working(options);
        if handed_over {
            server = server.handed_over(options);
        }
        let class = server.session.share_class().expect("it works");
        let message = Message { status, ..push(&route, &body) };
        let alone = server.encode(&message).map_err(|fault| match fault {
            Fault::Rejected(reason) => reason.into_owned(),
            Fault::Fatal(reason) => panic!("{reason}"),
        });
        prop_assert_eq!(shared(options, class, &message), alone);
    }
}
