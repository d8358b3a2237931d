//! Tests of events: they are read as they were pushed, each wrong offset is found, and no answer
//! does harm.

use proptest::prelude::*;
use proptest::sample::select;

use super::heads::{KINDS, head, read};
use crate::codec::{Event, EventHead, Events, Kind, Level, MessageRef, Role, Violation};

#[test]
fn what_was_pushed_is_read() {
    let mut events = Events::new();
    events.push(0, Kind::Hello, b"hi");
    events.push(0, Kind::Established, b"");
    events.push_message(1, MessageRef::request(7, "a.b.c", b"body"));
    events.push_message(1, MessageRef::notice("", b""));
    events.push_message(1, MessageRef::response(u64::MAX, "a", 404, b""));
    events.push(1, Kind::Rejected, b"no");
    events.push_timer(4, u32::MAX);
    events.push_with(4, Kind::Reply, |bytes| bytes.extend_from_slice(b"pong"));
    events.push(5, Kind::AddressVerified, b"");
    events.push_log(6, Level::Warn, "careful");
    events.push_close(9, 4000, "done");
    assert_eq!(events.len(), 11);

    let mut reader = events.read(10);
    let message = |role, id, route, body: &'static str, status| Event::Message {
        role,
        id,
        route,
        body: body.into(),
        status,
    };
    let expected = [
        Event::Hello("hi".into()),
        Event::Established,
        message(Role::Request, 7, "a.b.c", "body", 200),
        message(Role::Notice, 0, "", "", 200),
        message(Role::Response, u64::MAX, "a", "", 404),
        Event::Rejected(b"no"),
        Event::Timer(u32::MAX),
        Event::Reply(b"pong"),
        Event::AddressVerified,
        Event::Log { level: Level::Warn, text: b"careful" },
        Event::Close { code: 4000, reason: b"done" },
    ];
    for event in expected {
        assert_eq!(reader.next_event(), Some(Ok(event)));
    }
    assert_eq!(reader.next_event(), None);
    assert!(events.is_empty());
}

#[test]
fn a_close_that_is_pushed_without_a_code_has_the_code_0() {
    let mut events = Events::new();
    events.push(0, Kind::Close, b"done");
    assert_eq!(events.read(1).next_event(), Some(Ok(Event::Close { code: 0, reason: b"done" })));
}

#[test]
fn offsets_that_go_back_or_past_the_end_are_violations() {
    let first = head(Kind::Message, 0, 1, 2);
    let offset = (1, Some(Violation::Offset));
    assert_eq!(read(b"abcd", &[first, head(Kind::Reply, 0, 1, 3)]), offset);
    assert_eq!(read(b"abcd", &[first, head(Kind::Message, 0, 3, 2)]), offset);
    assert_eq!(read(b"abcd", &[first, head(Kind::Message, 0, 3, 5)]), offset);
    assert_eq!(read(b"abcd", &[first, head(Kind::Message, 0, u32::MAX, u32::MAX)]), offset);
    assert_eq!(read(b"abcd", &[first, head(Kind::Message, 0, 3, 4)]), (2, None));
}

#[test]
fn a_packet_that_was_not_in_the_batch_is_a_violation() {
    let packet = Some(Violation::PacketIndex);
    assert_eq!(read(b"", &[head(Kind::Reply, 1, 0, 0)]), (1, None));
    assert_eq!(read(b"", &[head(Kind::Reply, 2, 0, 0)]), (0, packet));
    assert_eq!(read(b"", &[head(Kind::Reply, 1, 0, 0), head(Kind::Reply, 0, 0, 0)]), (1, packet));
}

#[test]
fn a_route_that_is_no_text_is_a_violation() {
    let route = (0, Some(Violation::Route));
    assert_eq!(read(b"\xff", &[head(Kind::Message, 0, 1, 1)]), route);
    // The route ends inside a character, although the bytes as a whole are valid UTF-8.
    assert_eq!(read("é".as_bytes(), &[head(Kind::Message, 0, 1, 2)]), route);
    // A body may hold any bytes.
    assert_eq!(read(b"a\xff", &[head(Kind::Message, 0, 1, 2)]), (1, None));
}

#[test]
fn what_follows_a_close_or_fatal_is_ignored_even_if_it_is_wrong() {
    let wrong = head(Kind::Message, u32::MAX, u32::MAX, 0);
    for last in [Kind::Close, Kind::Fatal] {
        assert_eq!(read(b"", &[head(last, 0, 0, 0), head(Kind::Reply, 0, 0, 0), wrong]), (1, None));
        // An invalid close is still a violation, and still ends the reading.
        let mut reader = Events { bytes: vec![], heads: vec![head(last, 7, 0, 0), wrong] }.read(1);
        assert_eq!(reader.next_event(), Some(Err(Violation::PacketIndex)));
        assert_eq!(reader.next_event(), None);
    }
}

#[test]
fn the_last_event_of_a_batch_decides_whether_the_call_ends() {
    for &kind in KINDS {
        let mut events = Events::new();
        events.push(0, kind, b"");
        assert_eq!(events.ends_call(), matches!(kind, Kind::Hello | Kind::Close | Kind::Fatal), "{kind:?}");
        events.push(0, Kind::Reply, b"");
        assert!(!events.ends_call());
    }
    assert!(!Events::new().ends_call());
}

/// Any head. Most are nearly valid, so that many are read before an invalid one.
fn heads() -> impl Strategy<Value = Vec<EventHead>> {
    let number = || prop_oneof![8 => 0..30_u32, 1 => any::<u32>()];
    let role = prop_oneof![
        8 => Just(Role::Notice),
        1 => Just(Role::Request),
        1 => Just(Role::Response),
    ];
    let id = prop_oneof![8 => Just(0), 2 => 1..9_u64, 1 => 999..5001_u64, 1 => any::<u64>()];
    let status = prop_oneof![8 => Just(200), 1 => 99..601_u16, 1 => any::<u16>()];
    let fields = (role, id, status);
    let head = (select(KINDS), 0..3_u32, fields, number(), number()).prop_map(
        |(kind, packet, (role, id, status), route_end, body_end)| EventHead {
            kind,
            packet,
            role,
            id,
            status,
            route_end,
            body_end,
        },
    );
    (proptest::collection::vec(head, 0..20), any::<bool>()).prop_map(|(mut heads, in_order)| {
        if in_order {
            heads.sort_by_key(|head| (head.packet, head.route_end));
            let mut end = 0;
            for head in &mut heads {
                head.route_end = if head.kind == Kind::Message { head.route_end.max(end) } else { end };
                head.body_end = head.body_end.max(head.route_end);
                end = head.body_end;
            }
        }
        heads
    })
}

/// Returns how many of the answer's bytes an event hands out.
fn byte_len(event: &Event<'_>) -> usize {
    match event {
        Event::Hello(body) => body.len(),
        Event::Message { route, body, .. } => route.len() + body.len(),
        Event::Reply(bytes)
        | Event::Log { text: bytes, .. }
        | Event::Close { reason: bytes, .. }
        | Event::Rejected(bytes)
        | Event::Fatal(bytes) => bytes.len(),
        Event::Established | Event::Timer(_) | Event::AddressVerified => 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn no_answer_makes_the_reader_panic_or_hand_out_a_byte_twice(
        bytes: Vec<u8>, heads in heads(), packets in 0..4_usize,
    ) {
        let (total, count) = (bytes.len(), heads.len());
        let mut reader = Events { bytes, heads }.read(packets);
        let (mut calls, mut handed_out) = (0, 0);
        // Reads on after violations. No caller does so, but the reader must be safe without that
        // assumption.
        while let Some(event) = reader.next_event() {
            calls += 1;
            handed_out += event.as_ref().map_or(0, byte_len);
        }
        prop_assert!(calls <= count);
        prop_assert!(handed_out <= total);
    }
}
