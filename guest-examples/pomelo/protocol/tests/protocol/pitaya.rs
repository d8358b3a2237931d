//! The dialect of Pitaya's clients. `pitaya.vectors` has its packets byte for byte.

use miniz_oxide::deflate::compress_to_vec_zlib;
use proptest::collection::vec;
use proptest::prelude::*;
use wireplug_pomelo::{Fault, Options};

use crate::rig::{Event, MAX_PACKET, Server, hex, json, push};

const PITAYA: &str = r#"{"dialect":"pitaya","heartbeat":3}"#;
const POMELO: &str = r#"{"heartbeat":3}"#;

/// Returns the packet of a notification with this compressed body.
fn compressed(body: &[u8]) -> Vec<u8> {
    [b"\x04\x12\x01a", body].concat()
}

fn notify(body: &[u8]) -> Vec<u8> {
    compressed(&compress_to_vec_zlib(body, 6))
}

/// Returns a body of this length that hardly compresses: hexadecimal digits of a random sequence.
fn dense(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let digit = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b"0123456789abcdef"[(state >> 28) as usize]
    };
    (0..length).map(digit).collect()
}

#[track_caller]
fn assert_fatal(server: &mut Server, packet: &[u8], words: &str) {
    match server.decode(packet) {
        Err(Fault::Fatal(reason)) => assert!(reason.contains(words), "{reason}"),
        other => panic!("{other:?}, not fatal: {words}"),
    }
    assert_eq!(server.farewell("late"), [], "the session has ended");
}

#[test]
fn a_body_inflates_to_the_largest_packet_at_most() {
    for (length, passes) in [(MAX_PACKET, true), (MAX_PACKET + 1, false)] {
        let body = dense(length);
        let mut server = Server::working(PITAYA);
        if passes {
            assert_eq!(server.decode(&notify(&body)), Ok(vec![Event::notice("a", body)]));
        } else {
            assert_fatal(&mut server, &notify(&body), "inflates to more than max-packet, 65536 bytes");
        }
    }
}

#[test]
fn a_body_inflates_to_64_times_its_length_and_4_kib_at_most() {
    let least = (1..).find(|count| {
        let body = vec![b'0'; *count];
        body.len() > 4096 + 64 * compress_to_vec_zlib(&body, 6).len()
    });
    let least = least.expect("zeros compress well");
    let mut server = Server::working(PITAYA);
    let longest = vec![b'0'; least - 1];
    assert_eq!(server.decode(&notify(&longest)), Ok(vec![Event::notice("a", &longest)]));
    assert_fatal(&mut server, &notify(&vec![b'0'; least]), "64 times its length and 4096 bytes");
}

/// The runtime takes an answer of 1 MiB and more from one call.
#[test]
fn the_bodies_of_one_call_inflate_to_a_limit_together() {
    const CALL: usize = (1 << 20) + 2 * MAX_PACKET;
    let body = dense(MAX_PACKET);
    let mut server = Server::working(PITAYA);
    server.written = CALL - MAX_PACKET;
    assert_eq!(server.decode(&notify(&body)), Ok(vec![Event::notice("a", &body)]));
    server.written += 1;
    assert_fatal(&mut server, &notify(&body), "what the packets of one read may inflate to");

    let mut server = Server::working(PITAYA);
    server.written = CALL + 7;
    let plain = [b"\x04\x02\x01a", &body[..]].concat();
    assert_eq!(server.decode(&plain), Ok(vec![Event::notice("a", &body)]), "others are not concerned");
    assert_fatal(&mut server, &notify(b"{}"), "what the packets of one read may inflate to");
}

/// A block has tables, which take time to prepare even if it is empty.
#[test]
fn a_body_has_a_limited_number_of_blocks() {
    // Stored blocks without a byte, and the last one; then the checksum.
    let blocks = |count: usize| {
        let block = |last: u8| [last, 0, 0, 0xff, 0xff];
        let blocks = (1..=count).flat_map(|number| block((number == count).into()));
        let body = [0x78, 0x9c].into_iter().chain(blocks).chain([0, 0, 0, 1]);
        body.collect::<Vec<u8>>()
    };
    let mut server = Server::working(PITAYA);
    for count in [1, 2, 4] {
        assert_eq!(server.decode(&compressed(&blocks(count))), Ok(vec![Event::notice("a", "{}")]));
    }
    assert_fatal(&mut server, &compressed(&blocks(5)), "of 31 bytes has more than 4 blocks");
    // 13 kB, as short blocks as there are.
    assert_fatal(&mut Server::working(PITAYA), &compressed(&blocks(2600)), "has more than 54 blocks");
}

#[test]
fn a_damaged_body_is_rejected_wherever_it_is_damaged() {
    let body = dense(300);
    let good = compress_to_vec_zlib(&body, 6);
    let mut server = Server::working(PITAYA);
    let damaged = |at: usize| {
        let mut damaged = good.clone();
        damaged[at] ^= 0x5a;
        damaged
    };
    let cut = (1..good.len()).map(|end| good[..end].to_vec());
    let mut harmless = 0;
    for body_on_the_wire in (0..good.len()).map(damaged).chain(cut) {
        match server.decode(&compressed(&body_on_the_wire)) {
            Err(Fault::Rejected(reason)) => assert_eq!(reason, "compressed body is not zlib, or damaged"),
            // The unused bits of one byte, before the checksum.
            Ok(events) => {
                assert_eq!(events, [Event::notice("a", &body)]);
                harmless += 1;
            }
            Err(fault) => panic!("{fault:?}"),
        }
    }
    assert!(harmless <= 1, "{harmless}");
    assert!(server.decode(&compressed(&good)).is_ok(), "the session continues");
}

#[test]
fn pomelo_ignores_the_bit_of_a_compressed_body() {
    let body = compress_to_vec_zlib(b"{}", 6);
    assert_eq!(Server::working("{}").decode(&compressed(&body)), Ok(vec![Event::notice("a", body)]));
}

#[test]
fn clients_are_admitted_by_platform_and_client_version() {
    let options = r#"{"dialect":"pitaya","heartbeat":3,"checkClient":[{"type":"android","min":"2.0"}]}"#;
    for (sys, admitted) in [
        (r#"{"platform":"android","clientVersion":"2.1"}"#, true),
        (r#"{"platform":"android","clientVersion":"1.9"}"#, false),
        (r#"{"platform":"ios","clientVersion":"2.1"}"#, false),
        (r#"{"type":"android","version":"2.1"}"#, false),
    ] {
        let heard = Server::open(options).decode(format!("\x01{{\"sys\":{sys}}}").as_bytes()).unwrap();
        assert_eq!(matches!(heard[0], Event::Hello(_)), admitted, "{sys}");
        if !admitted {
            let refusal = Event::Reply(b"\x01{\"code\":501,\"sys\":{\"heartbeat\":3}}".to_vec());
            assert_eq!(heard[0], refusal, "{sys}");
        }
    }
}

#[test]
fn there_is_a_dictionary_only_if_one_is_asked_for() {
    let sys = |options: &str| {
        let answer = Server::greeted(options).answer(200, b"");
        let [Event::Reply(answer)] = &answer[..] else { panic!("{answer:?}") };
        json(answer)["sys"].to_string()
    };
    let with = |more: &str| format!(r#"{{"dialect":"pitaya","heartbeat":3,"routes":["b","a"]{more}}}"#);
    let none = r#"{"heartbeat":3,"serializer":"json"}"#;
    let some = r#"{"dict":{"a":1,"b":2},"heartbeat":3,"serializer":"json"}"#;
    assert_eq!(sys(&with("")), none);
    assert_eq!(sys(&with(r#","dictionary":false"#)), none);
    assert_eq!(sys(&with(r#","dictionary":true"#)), some);
    assert_eq!(sys(&with(r#","dictionary":["a","b"]"#)), some);
}

#[test]
fn wrong_options_are_refused_with_a_reason() {
    for (options, words) in [
        (r#"{"dialect":"nano"}"#, "`dialect` must be \"pomelo\" or \"pitaya\""),
        (r#"{"dialect":1}"#, "`dialect` must be"),
        (r#"{"dialect":"pitaya"}"#, "needs `heartbeat`, a whole number of seconds"),
        (r#"{"dialect":"pitaya","heartbeat":1.5}"#, "needs `heartbeat`, a whole number of seconds"),
        (
            r#"{"dialect":"pitaya","heartbeat":3,"protos":{"client":{"a":{"required string b":1}}}}"#,
            "`protos` are Pomelo's",
        ),
    ] {
        let error = Options::parse(options).expect_err(options);
        assert!(error.contains(words), "{options}: {error}");
    }
    for options in [r#"{"dialect":"pomelo"}"#, PITAYA] {
        assert!(Options::parse(options).is_ok(), "{options}");
    }
}

/// A client keeps the dialect of the server that has answered its handshake.
#[test]
fn a_session_keeps_its_dialect_over_a_handoff() {
    let failure = |server: &mut Server| {
        let response = crate::rig::response(1, "a", 500, b"");
        server.encode(&response).expect("it is encoded")
    };
    let pitaya = Server::working(PITAYA);
    let state = "0303000000000000000000000bb8000017700000";
    assert_eq!(pitaya.session.save(), hex(state));
    let mut moved = pitaya.moved_to(POMELO);
    assert_eq!(moved.session.save(), hex(state));
    assert_eq!(failure(&mut moved), b"\x04\x24\x01{\"code\":\"PIT-500\",\"msg\":\"status 500\"}");
    assert_eq!(moved.decode(&notify(b"[]")), Ok(vec![Event::notice("a", "[]")]));
    assert_eq!(moved.session.broadcast_class(), None, "the options write for Pomelo's clients");
    assert_eq!(moved.moved_to(PITAYA).session.broadcast_class(), Some(0));

    let mut moved = Server::working(POMELO).moved_to(PITAYA);
    assert_eq!(failure(&mut moved), b"\x04\x04\x01{\"code\":500}");
    assert_eq!(moved.session.broadcast_class(), None);

    let mut greeted = Server::greeted(POMELO).moved_to(PITAYA);
    greeted.answer(200, b"");
    greeted.decode(b"\x02").unwrap();
    assert_eq!(failure(&mut greeted)[1], 0x24, "the answer to the handshake decides");
}

proptest! {
    #[test]
    fn a_compressed_body_arrives_as_an_uncompressed_one(
        text in prop_oneof!["[ -~]{0,2000}", ".{0,300}", "(abc|0,){0,900}"],
        level in 0..=10_u8,
    ) {
        let mut server = Server::working(PITAYA);
        let plain = [b"\x04\x02\x01a", text.as_bytes()].concat();
        let expected = server.decode(&plain);
        prop_assert!(expected.is_ok());
        let body = compress_to_vec_zlib(text.as_bytes(), level);
        prop_assert_eq!(server.decode(&compressed(&body)), expected);
    }

    #[test]
    fn no_body_panics(body in vec(any::<u8>(), 0..200), header: bool) {
        let body = if header { [b"\x78\x9c", &body[..]].concat() } else { body };
        let _ = Server::working(PITAYA).decode(&compressed(&body));
    }

    #[test]
    fn a_shared_push_equals_the_push_of_each_session(
        route in prop_oneof![Just("onChat".to_owned()), ".{0,70}"],
        body in vec(any::<u8>(), 0..60),
    ) {
        let options = r#"{"dialect":"pitaya","heartbeat":3,"dictionary":["onChat"]}"#;
        let mut server = Server::working(options);
        prop_assert_eq!(server.session.broadcast_class(), Some(0));
        let message = push(&route, &body);
        let mut shared = Vec::new();
        let encoded = Options::parse(options).unwrap().encode_shared(0, &message, &mut shared);
        prop_assert_eq!(encoded.map(|()| shared).ok(), server.encode(&message).ok());
    }
}
