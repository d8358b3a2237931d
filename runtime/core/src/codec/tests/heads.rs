//! Tests of the fields of an event's head: role, id and status.

use crate::codec::{Event, EventHead, Events, Kind, Level, Role, Violation};

pub(super) const KINDS: &[Kind] = &[
    Kind::Hello,
    Kind::Established,
    Kind::Message,
    Kind::Reply,
    Kind::Timer,
    Kind::AddressVerified,
    Kind::Log,
    Kind::Close,
    Kind::Rejected,
    Kind::Fatal,
];

/// Returns a head without a role, an id and a status of its own.
pub(super) fn head(kind: Kind, packet: u32, route_end: u32, body_end: u32) -> EventHead {
    EventHead { kind, packet, role: Role::Notice, id: 0, status: 200, route_end, body_end }
}

/// Reads these heads over these bytes as the answer to two packets. Returns the number of valid
/// events, and the first violation.
pub(super) fn read(bytes: &[u8], heads: &[EventHead]) -> (usize, Option<Violation>) {
    let mut reader = Events { bytes: bytes.to_vec(), heads: heads.to_vec() }.read(2);
    let mut valid = 0;
    while let Some(event) = reader.next_event() {
        match event {
            Ok(_) => valid += 1,
            Err(violation) => return (valid, Some(violation)),
        }
    }
    (valid, None)
}

/// Returns the violation of a head that stands alone, if it has one.
fn violation(head: EventHead) -> Option<Violation> {
    read(b"", &[head]).1
}

fn message(role: Role, id: u64, status: u16) -> Option<Violation> {
    violation(EventHead { role, id, status, ..head(Kind::Message, 0, 0, 0) })
}

fn with_id(kind: Kind, id: u64) -> Option<Violation> {
    violation(EventHead { id, ..head(kind, 0, 0, 0) })
}

#[test]
fn a_notice_has_no_id() {
    assert_eq!(message(Role::Notice, 0, 200), None);
    for id in [1, u64::MAX] {
        assert_eq!(message(Role::Notice, id, 200), Some(Violation::NoticeId));
    }
}

#[test]
fn a_request_and_a_response_may_have_any_id() {
    for id in [0, 1, u64::from(u32::MAX) + 1, u64::MAX] {
        assert_eq!(message(Role::Request, id, 200), None);
        assert_eq!(message(Role::Response, id, 200), None);
    }
}

#[test]
fn the_status_of_a_response_is_100_to_599() {
    for status in [100, 199, 200, 404, 599] {
        assert_eq!(message(Role::Response, 1, status), None, "{status}");
    }
    for status in [0, 99, 600, u16::MAX] {
        assert_eq!(message(Role::Response, 1, status), Some(Violation::Status), "{status}");
    }
}

#[test]
fn the_status_of_a_notice_and_of_a_request_is_200() {
    for status in [0, 100, 199, 201, 404, u16::MAX] {
        assert_eq!(message(Role::Notice, 0, status), Some(Violation::Status), "{status}");
        assert_eq!(message(Role::Request, 1, status), Some(Violation::Status), "{status}");
    }
}

#[test]
fn only_a_message_has_a_route() {
    for &kind in KINDS {
        let expected = (kind != Kind::Message).then_some(Violation::StrayRoute);
        assert_eq!(read(b"abc", &[head(kind, 0, 1, 3)]).1, expected, "{kind:?}");
    }
}

#[test]
fn only_a_message_has_a_role_and_a_status() {
    for &kind in KINDS.iter().filter(|&&kind| kind != Kind::Message) {
        assert_eq!(violation(head(kind, 0, 0, 0)), None, "{kind:?}");
        for role in [Role::Request, Role::Response] {
            let stray = violation(EventHead { role, ..head(kind, 0, 0, 0) });
            assert_eq!(stray, Some(Violation::StrayField), "{kind:?} {role:?}");
        }
        for status in [0, 199, 201, 500] {
            let stray = violation(EventHead { status, ..head(kind, 0, 0, 0) });
            assert_eq!(stray, Some(Violation::StrayField), "{kind:?} {status}");
        }
    }
}

#[test]
fn only_a_message_a_timer_a_log_entry_and_a_close_have_a_number() {
    for &kind in KINDS {
        // The number is a valid id, time, and level.
        let number = if kind == Kind::Close { 1000 } else { 1 };
        let expected = match kind {
            Kind::Message => Some(Violation::NoticeId),
            Kind::Timer | Kind::Log | Kind::Close => None,
            _ => Some(Violation::StrayField),
        };
        assert_eq!(with_id(kind, number), expected, "{kind:?}");
    }
}

#[test]
fn a_timer_has_at_most_32_bits() {
    for ms in [0, 1, u64::from(u32::MAX)] {
        assert_eq!(with_id(Kind::Timer, ms), None, "{ms}");
    }
    for ms in [1 << 32, (1 << 32) + 5, u64::MAX] {
        assert_eq!(with_id(Kind::Timer, ms), Some(Violation::Timer), "{ms}");
    }
}

#[test]
fn a_log_entry_has_one_of_four_levels() {
    for (number, level) in (0..).zip(Level::ALL) {
        let heads = vec![EventHead { id: number, ..head(Kind::Log, 0, 0, 4) }];
        let mut reader = Events { bytes: b"text".to_vec(), heads }.read(1);
        assert_eq!(reader.next_event(), Some(Ok(Event::Log { level, text: b"text" })));
    }
    // The lowest bits of some of these numbers are a level.
    for number in [4, 256, 1 << 32, u64::MAX] {
        assert_eq!(with_id(Kind::Log, number), Some(Violation::Level), "{number}");
    }
}

#[test]
fn a_close_has_a_code_that_an_endpoint_may_send() {
    for code in [0, 1000, 1003, 1007, 1014, 3000, 4999] {
        assert_eq!(with_id(Kind::Close, code), None, "{code}");
    }
    for code in [1, 999, 1004, 1005, 1006, 1015, 2999, 5000, (1 << 16) + 1000, u64::MAX] {
        assert_eq!(with_id(Kind::Close, code), Some(Violation::CloseCode), "{code}");
    }
}

#[test]
fn a_close_with_a_wrong_code_still_ends_the_reading() {
    let close = EventHead { id: 1006, ..head(Kind::Close, 0, 0, 0) };
    let mut reader = Events { bytes: vec![], heads: vec![close, head(Kind::Reply, 0, 0, 0)] }.read(1);
    assert_eq!(reader.next_event(), Some(Err(Violation::CloseCode)));
    assert_eq!(reader.next_event(), None);
}
