//! A session carried over to other options: its client notices nothing.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::json;
use wireplug_pomelo::{Message, Options, Session};

use crate::rig::{ACK, Event, HEARTBEAT, Server, hex, json};

const HELLO: &[u8] = b"\x01{\"sys\":{}}";
const OPTIONS: &str = r#"{"heartbeat":3,"dictionary":{"onChat":1,"a.b.c":258}}"#;
/// Nothing here is as it was.
const OTHERS: &str = r#"{"heartbeat":1,"dictionary":{"a.b.c":1,"onLeave":258}}"#;

fn restore(options: &str, state: &[u8], now: u64) -> Result<Session, String> {
    Session::restore(Arc::new(Options::parse(options).unwrap()), state, now)
}

// === the state ===

/// States outlive versions: what was written once must be read as long as its format has this number.
#[test]
fn to_the_byte() {
    let mut server = Server::open(OPTIONS);
    let nothing_told = "0000000000000000" /* heartbeat */.to_owned() + "0000" /* dictionary */;
    let told = "00000bb800001770".to_owned()
        + "0002"
        + "0001"
        + "00000006"
        + "6f6e43686174"
        + "0102"
        + "00000005"
        + "612e622e63";
    let saved = |server: &Server| server.session.save();
    assert_eq!(saved(&server), hex(&format!("01000000000000000000{nothing_told}")), "inited");
    server.now = 258;
    server.decode(HELLO).unwrap();
    assert_eq!(saved(&server), hex(&format!("0101000000000000010200{nothing_told}")), "greeted");
    server.answer(200, b"");
    assert_eq!(saved(&server), hex(&format!("01020000000000000102{told}")), "answered");
    server.decode(ACK).unwrap();
    assert_eq!(saved(&server), hex(&format!("01030000000000000102{told}")), "working");
    server.decode(b"\x05").unwrap_err();
    assert_eq!(saved(&server), hex(&format!("01040000000000000102{told}")), "ending");
    server.farewell("");
    assert_eq!(saved(&server), hex(&format!("01050000000000000102{told}")), "closed");

    let mut server = Server::open(OPTIONS);
    server.decode(b"\x01{\"sys\":{\"dictVersion\":\"hJVbUUmS7X2atSsVTjmuLQ==\"}}").unwrap();
    let version = "684a566255556d533758326174537356546a6d754c513d3d";
    assert_eq!(
        saved(&server),
        hex(&format!("0101000000000000000001{version}{nothing_told}")),
        "with a version"
    );
}

#[test]
fn what_is_not_a_state() {
    let nothing_told = "00000000000000000000";
    let heartbeat = "00000bb800001770";
    for (state, expected) in [
        ("".into(), "the state is cut"),
        (
            format!("00000000000000000000{nothing_told}"),
            "the state has the format 0, and only 1 and 2 are known here",
        ),
        (
            format!("03000000000000000000{nothing_told}"),
            "the state has the format 3, and only 1 and 2 are known here",
        ),
        (
            format!("01060000000000000000{nothing_told}"),
            "the state has the session stand at 6, which is not 0 to 5",
        ),
        (
            format!("01030000000000000065{nothing_told}"),
            "the state has heard of the client at 101 ms, and it is 100 ms",
        ),
        (
            format!("0101000000000000000002{nothing_told}"),
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
        (format!("01030000000000000000{heartbeat}0000ff"), "the state goes on for 1 bytes behind its end"),
        // Much is promised, and nothing is there.
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
        "0001" /* code 0 */
            .to_owned()
            + "00000000000161",
        "0001" /* no route */
            .to_owned()
            + "000100000000",
        "0002" /* falling */
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
        let expected = "the state has a dictionary in disorder, or a route in it twice";
        assert_eq!(restore(OPTIONS, &hex(&state), 100).err().as_deref(), Some(expected), "{pairs}");
    }
}

#[test]
fn cut_anywhere() {
    for server in stages(OPTIONS) {
        let state = server.session.save();
        for length in 0..state.len() {
            let refusal = restore(OPTIONS, &state[..length], server.now).err();
            assert_eq!(refusal.as_deref(), Some("the state is cut"), "{length} of {state:02x?}");
        }
    }
}

// === what holds after it ===

/// A session in each state, some time after it opened.
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

/// Every state gives other answers to these than the others.
fn probe(mut server: Server) -> String {
    server.now += 100;
    let asked = format!("{:?} {:?}", server.tick(), server.push("a.b.c", b"{}"));
    let heard = format!("{:?} {:?}", server.decode(HELLO), server.answer(200, b"1"));
    format!(
        "{asked} {heard} {:?} {:?} {:?}",
        server.decode(ACK),
        server.respond(1, b"2"),
        server.farewell("x")
    )
}

#[test]
fn every_state_survives() {
    let (stayed, carried) = (stages(OPTIONS), stages(OPTIONS));
    let mut answers = Vec::new();
    for (stayed, carried) in stayed.into_iter().zip(carried) {
        let carried = carried.handed_over(OPTIONS);
        assert_eq!(carried.session.save(), stayed.session.save());
        let answer = probe(stayed);
        assert_eq!(probe(carried), answer);
        assert!(!answers.contains(&answer), "{answer}");
        answers.push(answer);
    }
}

/// The client speaks the codes that it was told, and is spoken to in them, through any number of handoffs.
#[test]
fn the_dictionary_of_the_client_stays() {
    for others in [OTHERS, "{}", r#"{"dictionary":{"onChat":1,"a.b.c":258,"more":3}}"#] {
        let mut answered = Server::greeted(OPTIONS);
        answered.answer(200, b"");
        let mut acknowledged = answered.handed_over(others);
        acknowledged.decode(ACK).unwrap();
        let working = Server::working(OPTIONS);
        for mut server in
            [acknowledged, working.handed_over(others), working.handed_over("{}").handed_over(others)]
        {
            let told = Event::message(None, "a.b.c", "{}");
            assert_eq!(server.decode(&hex("040301027b7d")), Ok(vec![told]), "{others}");
            assert!(server.decode(&hex("040300037b7d")).is_err(), "a code that it was not told");
            assert_eq!(server.push("onChat", b"{}"), Ok(hex("040700017b7d")), "{others}");
            assert_eq!(server.push("onLeave", b"{}"), Ok(b"\x04\x06\x07onLeave{}".to_vec()), "{others}");
        }
    }
    // One that was told of none knows none.
    let mut server = Server::working("{}").handed_over(OPTIONS);
    assert_eq!(server.push("a.b.c", b"{}"), Ok(b"\x04\x06\x05a.b.c{}".to_vec()));
    assert!(server.decode(&hex("040300017b7d")).is_err());
}

#[test]
fn the_heartbeat_of_the_client_stays() {
    for others in [OTHERS, "{}", r#"{"heartbeat":1000}"#] {
        let mut server = Server::working(OPTIONS);
        server.now = 1000;
        assert_eq!(server.decode(HEARTBEAT), Ok(vec![Event::Reply(HEARTBEAT.to_vec())]));
        let mut server = server.handed_over(others);
        assert_eq!(server.decode(HEARTBEAT), Ok(vec![Event::Reply(HEARTBEAT.to_vec())]), "{others}");
        server.now = 6999;
        assert_eq!(server.tick(), [Event::Wake(1)], "{others}");
        server.now = 7000;
        let gone = "no sign of life from the client for 6 s".to_owned();
        assert_eq!(server.tick(), [Event::Close(gone)], "{others}");
    }
    let mut server = Server::working("{}").handed_over(OPTIONS);
    assert_eq!(server.decode(HEARTBEAT), Ok(vec![]));
    server.now = u64::MAX;
    assert_eq!(server.tick(), [], "whoever was told of no heartbeat need send none");
}

/// Whose handshake is not answered is told of the new options, and of a dictionary that it knows only if it
/// is the new one.
#[test]
fn who_was_told_nothing_hears_the_new_options() {
    let versions = [OPTIONS, OTHERS].map(|options| {
        let answer = Server::greeted(options).answer(200, b"");
        let [Event::Reply(packet)] = &answer[..] else { panic!("{answer:?}") };
        json(packet)["sys"]["dictVersion"].clone()
    });
    for (version, is_told) in [(&versions[0], true), (&versions[1], false), (&json!("another"), true)] {
        let hello = format!("\x01{}", json!({ "sys": { "dictVersion": version } }));
        let mut inited = Server::open(OPTIONS).handed_over(OTHERS);
        inited.decode(hello.as_bytes()).unwrap();
        let mut greeted = Server::open(OPTIONS);
        greeted.decode(hello.as_bytes()).unwrap();
        for mut server in [inited, greeted.handed_over(OTHERS)] {
            let answer = server.answer(200, b"");
            let [Event::Reply(packet)] = &answer[..] else { panic!("{answer:?}") };
            assert_eq!(json(packet)["sys"]["heartbeat"], 1);
            assert_eq!(json(packet)["sys"].get("dict").is_some(), is_told, "{version}");
            assert_eq!(server.decode(ACK).unwrap().last(), Some(&Event::Wake(2000)));
            assert_eq!(server.push("onLeave", b"{}"), Ok(hex("040701027b7d")));
        }
    }
}

// === what holds for every input ===

#[derive(Clone, Debug)]
enum Call {
    Decode(Vec<u8>),
    Encode(Option<u64>, &'static str, u16),
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
    let route = select(vec!["onChat", "a.b.c", "onLeave", ""]);
    prop_oneof![
        8 => packet.prop_map(Call::Decode),
        4 => (any::<Option<u64>>(), route, select(vec![200, 404])).prop_map(|(id, route, status)| {
            Call::Encode(id, route, status)
        }),
        1 => (select(vec![200, 403]), select(vec![&b""[..], b"7", b"no"]))
            .prop_map(|(status, body)| Call::Answer(status, body)),
        3 => Just(Call::Tick),
        1 => Just(Call::Farewell),
    ]
}

/// Calls in a row, with the milliseconds before each; the handshake comes first.
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
        Call::Encode(id, route, status) => {
            format!("{:?}", server.encode(&Message { id, route, body: b"", status }))
        }
        Call::Answer(status, body) => format!("{:?}", server.answer(status, body)),
        Call::Tick => format!("{:?}", server.tick()),
        Call::Farewell => format!("{:?}", server.farewell("why")),
    }
}

proptest! {
    /// One session is never touched, one is saved again and again, one is carried over at every point.
    #[test]
    fn no_call_tells_that_there_was_a_handoff(options in select(vec![OPTIONS, OTHERS, "{}"]), calls in calls()) {
        let [mut alone, mut saved, mut carried] = [(); 3].map(|()| Server::open(options));
        for (after, call) in calls {
            for server in [&mut alone, &mut saved, &mut carried] {
                server.now += after;
            }
            prop_assert_eq!(saved.session.save(), saved.session.save());
            carried = carried.handed_over(options);
            let expected = perform(&mut alone, &call);
            prop_assert_eq!(perform(&mut saved, &call), expected.clone());
            prop_assert_eq!(perform(&mut carried, &call), expected);
        }
    }

    /// From the answered handshake on, other options change nothing either.
    #[test]
    fn other_options_are_for_other_clients(calls in calls()) {
        let (mut alone, mut carried) = (Server::open(OPTIONS), Server::open(OPTIONS));
        for (turn, (after, call)) in calls.into_iter().enumerate() {
            alone.now += after;
            carried.now += after;
            if turn >= 2 {
                carried = carried.handed_over(["{}", OTHERS][turn % 2]);
            }
            prop_assert_eq!(perform(&mut carried, &call), perform(&mut alone, &call));
        }
    }

    #[test]
    fn no_state_panics(state in vec(any::<u8>(), 0..60), now: u64) {
        let _ = restore(OPTIONS, &state, now);
        let _ = restore(OPTIONS, &[b"\x01\x03\0\0\0\0\0\0\0\0", &state[..]].concat(), now);
    }

    /// A state is refused, or all of it was understood: it is what the session would save.
    #[test]
    fn what_is_restored_is_what_is_saved(
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
            let mut server = Server { session, now: u64::MAX };
            let _ = (server.decode(&packet), server.tick(), server.push("onChat", b""), server.answer(200, b""));
        }
    }
}
