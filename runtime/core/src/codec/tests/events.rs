//! Tests of events: each violation is found, and no answer does harm.

use proptest::prelude::*;
use proptest::sample::select;

use crate::codec::events::EventHead;
use crate::codec::{Event, Events, Kind, Violation};

const KINDS: &[Kind] = &[
    Kind::Hello,
    Kind::Established,
    Kind::Message,
    Kind::Reply,
    Kind::Wake,
    Kind::Close,
    Kind::Rejected,
    Kind::Fatal,
];

fn head(kind: Kind, packet: u32, route_end: u32, body_end: u32) -> EventHead {
    EventHead { kind, packet, id: None, route_end, body_end }
}

/// Reads these heads over these bytes as the answer to two packets. Returns the number of valid
/// events, and the first violation.
fn read(bytes: &[u8], heads: &[EventHead]) -> (usize, Option<Violation>) {
    let mut reader = Events { bytes: bytes.to_vec(), heads: heads.to_vec() }.read(2);
    let mut sound = 0;
    while let Some(event) = reader.next_event() {
        match event {
            Ok(_) => sound += 1,
            Err(violation) => return (sound, Some(violation)),
        }
    }
    (sound, None)
}

#[test]
fn what_was_pushed_is_read() {
    let mut events = Events::new();
    events.push(0, Kind::Hello, b"hi");
    events.push(0, Kind::Established, b"");
    events.push_message(1, Some(7), "a.b.c", b"body");
    events.push_message(1, None, "", b"");
    events.push(1, Kind::Rejected, b"no");
    events.push_wake(4, u32::MAX);
    events.push_with(4, Kind::Reply, |bytes| bytes.extend_from_slice(b"pong"));
    events.push(9, Kind::Close, b"done");
    assert_eq!(events.len(), 8);

    let mut reader = events.read(10);
    let expected = [
        Event::Hello("hi".into()),
        Event::Established,
        Event::Message { id: Some(7), route: "a.b.c", body: "body".into() },
        Event::Message { id: None, route: "", body: "".into() },
        Event::Rejected(b"no"),
        Event::Wake(u32::MAX),
        Event::Reply(b"pong"),
        Event::Close(b"done"),
    ];
    for event in expected {
        assert_eq!(reader.next_event(), Some(Ok(event)));
    }
    assert_eq!(reader.next_event(), None);
    assert!(events.is_empty());
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
fn a_route_is_a_violation_but_for_messages() {
    for &kind in KINDS.iter().filter(|&&kind| kind != Kind::Message) {
        assert_eq!(read(b"abc", &[head(kind, 0, 1, 3)]), (0, Some(Violation::StrayRoute)));
    }
}

#[test]
fn a_wake_without_a_time_that_fits_is_a_violation() {
    let wake = |id| read(b"", &[EventHead { id, ..head(Kind::Wake, 0, 0, 0) }]);
    assert_eq!(wake(None), (0, Some(Violation::Wake)));
    assert_eq!(wake(Some(1 << 32)), (0, Some(Violation::Wake)));
    assert_eq!(wake(Some((1 << 32) - 1)), (1, None));
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
fn the_last_event_of_a_batch_decides_whether_the_session_ends() {
    for &kind in KINDS {
        let mut events = Events::new();
        events.push(0, kind, b"");
        assert_eq!(events.ends_session(), matches!(kind, Kind::Close | Kind::Fatal));
    }
    assert!(!Events::new().ends_session());
}

/// Any head. Most are nearly valid, so that many are read before an invalid one.
fn heads() -> impl Strategy<Value = Vec<EventHead>> {
    let number = || prop_oneof![8 => 0..30_u32, 1 => any::<u32>()];
    let id = prop_oneof![Just(None), (0..9_u64).prop_map(Some), any::<u64>().prop_map(Some)];
    let head = (select(KINDS), 0..3_u32, id, number(), number()).prop_map(
        |(kind, packet, id, route_end, body_end)| EventHead { kind, packet, id, route_end, body_end },
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
        Event::Reply(bytes) | Event::Close(bytes) | Event::Rejected(bytes) | Event::Fatal(bytes) => {
            bytes.len()
        }
        Event::Established | Event::Wake(_) => 0,
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
