//! Handoffs. The client of a session that moves to other options notices nothing.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::json;
use wireplug_pomelo::{Message, Options, Role, Session};

use crate::rig::{ACK, Event, HEARTBEAT, MAX_PACKET, Server, hex, json};

const HELLO: &[u8] = b"\x01{\"sys\":{}}";
const OPTIONS: &str = r#"{"heartbeat":3,"dictionary":{"onChat":1,"a.b.c":258}}"#;
/// Options that differ from `OPTIONS` in everything.
const OTHERS: &str = r#"{"heartbeat":1,"dictionary":{"a.b.c":1,"onLeave":258}}"#;

fn restore(options: &str, state: &[u8], now: u64) -> Result<Session, String> {
    Session::restore(Arc::new(Options::parse(options).unwrap()), MAX_PACKET as u32, state, now)
}

// === the format of the state ===

/// Other versions read the state, so a change of its bytes needs another format number.
#[test]
fn a_state_has_its_format_byte_for_byte() {
    let mut server = Server::open(OPTIONS);
    let before_answer = "0000000000000000" /* heartbeat */.to_owned() + "0000" /* dictionary */;
    let after_answer = "00000bb800001770".to_owned()
        + "0002"
        + "0001"
        + "00000006"
        + "6f6e43686174"
        + "0102"
        + "00000005"
        + "612e622e63";
    let saved = |server: &Server| server.session.save();
    assert_eq!(saved(&server), hex(&format!("01000000000000000000{before_answer}")), "inited");
    server.now = 258;
    server.decode(HELLO).unwrap();
    assert_eq!(saved(&server), hex(&format!("0101000000000000010200{before_answer}")), "greeted");
    server.answer(200, b"");
    assert_eq!(saved(&server), hex(&format!("01020000000000000102{after_answer}")), "answered");
    server.decode(ACK).unwrap();
    assert_eq!(saved(&server), hex(&format!("01030000000000000102{after_answer}")), "working");
    server.decode(b"\x05").unwrap_err();
    assert_eq!(saved(&server), hex(&format!("01040000000000000102{after_answer}")), "ending");
    server.farewell("");
    assert_eq!(saved(&server), hex(&format!("01050000000000000102{after_answer}")), "closed");

    let mut server = Server::open(OPTIONS);
    server.decode(b"\x01{\"sys\":{\"dictVersion\":\"hJVbUUmS7X2atSsVTjmuLQ==\"}}").unwrap();
    let version = "684a566255556d533758326174537356546a6d754c513d3d";
    assert_eq!(
        saved(&server),
        hex(&format!("0101000000000000000001{version}{before_answer}")),
        "with a version"
    );
}

#[test]
fn an_invalid_state_is_refused_with_a_reason() {
    let before_answer = "00000000000000000000";
    let heartbeat = "00000bb800001770";
    for (state, expected) in [
        ("".into(), "the state is cut"),
        (
            format!("00000000000000000000{before_answer}"),
            "the state has the format 0; only 1 to 3 are supported",
        ),
        (
            format!("03000000000000000000{before_answer}"),
            "the state has the format 3, but its handshake is not answered",
        ),
        (
            format!("04000000000000000000{before_answer}"),
            "the state has the format 4; only 1 to 3 are supported",
        ),
        (format!("01060000000000000000{before_answer}"), "the session state is 6, not 0 to 5"),
        (
            format!("01030000000000000065{before_answer}"),
            "the state has a packet of the client at 101 ms, but only 100 ms have passed",
        ),
        (
            format!("0101000000000000000002{before_answer}"),
            "the state has 2 versions of a dictionary, not 0 or 1",
        ),
        (
            "01030000000000000000000000000000177000 00".replace(' ', ""),
            "the state has a heartbeat of 0 ms with a timeout of 6000 ms",
        ),
        (
            "0103000000000000000000000bb800000bb80000".into(),
            "the state has a heartbeat of 3000 ms with a timeout of 3000 ms",
        ),
        (
            "0103000000000000000077359401773594020000".into(),
            "the state has a heartbeat of 2000000001 ms with a timeout of 2000000002 ms",
        ),
        (
            "0103000000000000000000000001ee6b28010000".into(),
            "the state has a heartbeat of 1 ms with a timeout of 4000000001 ms",
        ),
        (format!("01030000000000000000{heartbeat}0000ff"), "the state has 1 bytes behind its end"),
        // The number of pairs or the length of a route exceeds the state.
        (format!("01030000000000000000{heartbeat}ffff"), "the state is cut"),
        (format!("01030000000000000000{heartbeat}00010001ffffffff61"), "the state is cut"),
        (
            format!("01030000000000000000{heartbeat}0001000100000001ff"),
            "the state has a route that is not UTF-8, with the code 1",
        ),
    ] {
        assert_eq!(restore(OPTIONS, &hex(&state), 100).err().as_deref(), Some(expected), "{state}");
    }
    for pairs in [
        "0001" /* the code 0 */
            .to_owned()
            + "00000000000161",
        "0001" /* an empty route */
            .to_owned()
            + "000100000000",
        "0002" /* descending codes */
            .to_owned()
            + "00020000000161"
            + "00010000000162",
        "0002" /* a code twice */
            .to_owned()
            + "00010000000161"
            + "00010000000162",
        "0002" /* a route twice */
            .to_owned()
            + "00010000000161"
            + "00020000000161",
    ] {
        let state = format!("01030000000000000000{heartbeat}{pairs}");
        let expected = "the state has a dictionary whose codes do not ascend, or with a route twice";
        assert_eq!(restore(OPTIONS, &hex(&state), 100).err().as_deref(), Some(expected), "{pairs}");
    }
}

#[test]
fn an_incomplete_state_is_refused() {
    for server in stages(OPTIONS) {
        let state = server.session.save();
        for length in 0..state.len() {
            let refusal = restore(OPTIONS, &state[..length], server.now).err();
            assert_eq!(refusal.as_deref(), Some("the state is cut"), "{length} of {state:02x?}");
        }
    }
}

// === sessions after a handoff ===

/// Returns a session in each state, some of them 50 ms after they opened.
fn stages(options: &str) -> Vec<Server> {
    let inited = Server { now: 50, ..Server::open(options) };
    let mut greeted = Server { now: 50, ..Server::open(options) };
    greeted.decode(HELLO).unwrap();
    let mut answered = Server::greeted(options);
    answered.answer(200, b"");
    let mut ending = Server::working(options);
    ending.now = 50;
    ending.decode(b"\x05").unwrap_err();
    let mut closed = Server::working(options);
    closed.farewell("");
    vec![inited, greeted, answered, Server::working(options), ending, closed]
}

/// Makes calls whose results differ between all states, and returns the results.
fn probe(mut server: Server) -> String {
    server.now += 100;
    let working = format!("{:?} {:?}", server.tick(), server.push("a.b.c", b"{}"));
    let handshake = format!("{:?} {:?}", server.decode(HELLO), server.answer(200, b"1"));
    format!(
        "{working} {handshake} {:?} {:?} {:?}",
        server.decode(ACK),
        server.respond(1, b"2"),
        server.farewell("x")
    )
}

#[test]
fn a_session_moves_in_every_state() {
    let mut results = Vec::new();
    for (unmoved, moved) in stages(OPTIONS).into_iter().zip(stages(OPTIONS)) {
        let moved = moved.moved_to(OPTIONS);
        assert_eq!(moved.session.save(), unmoved.session.save());
        let result = probe(unmoved);
        assert_eq!(probe(moved), result);
        assert!(!results.contains(&result), "{result}");
        results.push(result);
    }
}

#[test]
fn a_session_keeps_the_dictionary_of_its_client() {
    for others in [OTHERS, "{}", r#"{"dictionary":{"onChat":1,"a.b.c":258,"more":3}}"#] {
        let mut answered = Server::greeted(OPTIONS);
        answered.answer(200, b"");
        let mut acknowledged = answered.moved_to(others);
        acknowledged.decode(ACK).unwrap();
        let working = Server::working(OPTIONS);
        for mut server in [acknowledged, working.moved_to(others), working.moved_to("{}").moved_to(others)] {
            let notice = Event::notice("a.b.c", "{}");
            assert_eq!(server.decode(&hex("040301027b7d")), Ok(vec![notice]), "{others}");
            assert!(server.decode(&hex("040300037b7d")).is_err(), "the client does not have this code");
            assert_eq!(server.push("onChat", b"{}"), Ok(hex("040700017b7d")), "{others}");
            assert_eq!(server.push("onLeave", b"{}"), Ok(b"\x04\x06\x07onLeave{}".to_vec()), "{others}");
        }
    }
    // A client without a dictionary gets no codes.
    let mut server = Server::working("{}").moved_to(OPTIONS);
    assert_eq!(server.push("a.b.c", b"{}"), Ok(b"\x04\x06\x05a.b.c{}".to_vec()));
    assert!(server.decode(&hex("040300017b7d")).is_err());
}

#[test]
fn a_session_keeps_the_heartbeat_of_its_client() {
    for others in [OTHERS, "{}", r#"{"heartbeat":1000}"#] {
        let mut server = Server::working(OPTIONS);
        server.now = 1000;
        assert_eq!(server.decode(HEARTBEAT), Ok(vec![Event::Reply(HEARTBEAT.to_vec())]));
        let mut server = server.moved_to(others);
        assert_eq!(server.decode(HEARTBEAT), Ok(vec![Event::Reply(HEARTBEAT.to_vec())]), "{others}");
        server.now = 6999;
        assert_eq!(server.tick(), [Event::Timer(1)], "{others}");
        server.now = 7000;
        let reason = "no sign of life from the client for 6 s".to_owned();
        assert_eq!(server.tick(), [Event::Close(reason)], "{others}");
    }
    let mut server = Server::working("{}").moved_to(OPTIONS);
    assert_eq!(server.decode(HEARTBEAT), Ok(vec![]));
    server.now = u64::MAX;
    assert_eq!(server.tick(), [], "a client without heartbeats need not send any");
}

/// The new dictionary is sent unless the client has kept it.
#[test]
fn a_client_without_an_answer_gets_the_new_options() {
    let versions = [OPTIONS, OTHERS].map(|options| {
        let answer = Server::greeted(options).answer(200, b"");
        let [Event::Reply(packet)] = &answer[..] else { panic!("{answer:?}") };
        json(packet)["sys"]["dictVersion"].clone()
    });
    for (version, is_sent) in [(&versions[0], true), (&versions[1], false), (&json!("another"), true)] {
        let hello = format!("\x01{}", json!({ "sys": { "dictVersion": version } }));
        let mut inited = Server::open(OPTIONS).moved_to(OTHERS);
        inited.decode(hello.as_bytes()).unwrap();
        let mut greeted = Server::open(OPTIONS);
        greeted.decode(hello.as_bytes()).unwrap();
        for mut server in [inited, greeted.moved_to(OTHERS)] {
            let answer = server.answer(200, b"");
            let [Event::Reply(packet)] = &answer[..] else { panic!("{answer:?}") };
            assert_eq!(json(packet)["sys"]["heartbeat"], 1);
            assert_eq!(json(packet)["sys"].get("dict").is_some(), is_sent, "{version}");
            assert_eq!(server.decode(ACK).unwrap().last(), Some(&Event::Timer(2000)));
            assert_eq!(server.push("onLeave", b"{}"), Ok(hex("040701027b7d")));
        }
    }
}

// === properties that hold for every input ===

#[derive(Clone, Debug)]
enum Call {
    Decode(Vec<u8>),
    Encode(Role, u64, &'static str, u16),
    Answer(u16, &'static [u8]),
    Tick,
    Farewell,
}

fn call() -> impl Strategy<Value = Call> {
    let packets: [&[u8]; 7] =
        [ACK, HEARTBEAT, b"\x04\x03\0\x01{}", b"\x04\x01\x07\x01\x02", b"\x04\x02\x01a{}", b"\x04", b"\x05"];
    let packet = prop_oneof![
        20 => select(packets[..6].to_vec()).prop_map(<[u8]>::to_vec),
        1 => Just(packets[6].to_vec()),
        1 => Just(HELLO.to_vec()),
        2 => vec(any::<u8>(), 0..9),
    ];
    let role = select(vec![Role::Notice, Role::Request, Role::Response]);
    let route = select(vec!["onChat", "a.b.c", "onLeave", ""]);
    prop_oneof![
        8 => packet.prop_map(Call::Decode),
        4 => (role, any::<u64>(), route, select(vec![200, 404])).prop_map(|(role, id, route, status)| {
            Call::Encode(role, id, route, status)
        }),
        1 => (select(vec![200, 403]), select(vec![&b""[..], b"7", b"no"]))
            .prop_map(|(status, body)| Call::Answer(status, body)),
        3 => Just(Call::Tick),
        1 => Just(Call::Farewell),
    ]
}

/// Calls that begin with the handshake, each with the milliseconds before it.
fn calls() -> impl Strategy<Value = Vec<(u64, Call)>> {
    let handshake = [Call::Decode(HELLO.to_vec()), Call::Answer(200, b"7"), Call::Decode(ACK.to_vec())];
    let after = prop_oneof![4 => 0..100_u64, 1 => 0..7000_u64];
    vec((after, call()), 0..20).prop_map(move |mut calls| {
        calls.splice(0..0, handshake.clone().map(|call| (1, call)));
        calls
    })
}

fn perform(server: &mut Server, call: &Call) -> String {
    match *call {
        Call::Decode(ref packet) => format!("{:?}", server.decode(packet)),
        Call::Encode(role, id, route, status) => {
            format!("{:?}", server.encode(&Message { role, id, route, body: b"", status }))
        }
        Call::Answer(status, body) => format!("{:?}", server.answer(status, body)),
        Call::Tick => format!("{:?}", server.tick()),
        Call::Farewell => format!("{:?}", server.farewell("why")),
    }
}

proptest! {
    /// Compares a session that stays, one that is saved before each call, and one that moves before
    /// each call.
    #[test]
    fn a_handoff_changes_no_result(options in select(vec![OPTIONS, OTHERS, "{}"]), calls in calls()) {
        let [mut unmoved, mut saved, mut moved] = [(); 3].map(|()| Server::open(options));
        for (after, call) in calls {
            for server in [&mut unmoved, &mut saved, &mut moved] {
                server.now += after;
            }
            prop_assert_eq!(saved.session.save(), saved.session.save());
            moved = moved.moved_to(options);
            let expected = perform(&mut unmoved, &call);
            prop_assert_eq!(perform(&mut saved, &call), expected.clone());
            prop_assert_eq!(perform(&mut moved, &call), expected);
        }
    }

    #[test]
    fn other_options_change_no_result_after_the_answer_to_the_handshake(calls in calls()) {
        let (mut unmoved, mut moved) = (Server::open(OPTIONS), Server::open(OPTIONS));
        for (turn, (after, call)) in calls.into_iter().enumerate() {
            unmoved.now += after;
            moved.now += after;
            if turn >= 2 {
                moved = moved.moved_to(["{}", OTHERS][turn % 2]);
            }
            prop_assert_eq!(perform(&mut moved, &call), perform(&mut unmoved, &call));
        }
    }

    #[test]
    fn no_state_panics(state in vec(any::<u8>(), 0..60), now: u64) {
        let _ = restore(OPTIONS, &state, now);
        let _ = restore(OPTIONS, &[b"\x01\x03\0\0\0\0\0\0\0\0", &state[..]].concat(), now);
    }

    /// A state is refused, or the restored session saves the same state.
    #[test]
    fn a_restored_session_saves_the_state_that_it_came_from(
        stage in any::<Index>(),
        changes in vec((any::<Index>(), prop_oneof![0..8_u8, any::<u8>()]), 0..3),
        packet in vec(any::<u8>(), 0..9),
    ) {
        let mut state = stage.get(&stages(OPTIONS)).session.save();
        for (at, byte) in changes {
            let at = at.index(state.len());
            state[at] = byte;
        }
        if let Ok(session) = restore(OPTIONS, &state, u64::MAX) {
            prop_assert_eq!(session.save(), state);
            let mut server = Server::with(session, u64::MAX);
            let _ = (server.decode(&packet), server.tick(), server.push("onChat", b""), server.answer(200, b""));
        }
    }
}
