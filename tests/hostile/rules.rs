//! Guests that each break one rule of the contract and keep all others.
//!
//! | guest | breaks the rule | at |
//! |---|---|---|
//! | [`notice_with_an_id`] | a notice has the id 0 | `!` |
//! | [`notice_with_a_status`] | a notice has the status 200 | `!` |
//! | [`request_with_a_status`] | a request has the status 200 | `!` |
//! | [`response_with_status`] | a response has a status from 100 to 599 | `!` |
//! | [`response_without_client_requests`] | only a codec with `client-requests` gives responses | `!` |
//! | [`event_behind_hello`] | `hello` is the last event of a call | any packet |
//! | [`close_with_code`] | a close has one of the codes that WebSocket allows | `!` |
//! | [`established_in_farewell`], [`message_in_farewell`] | `farewell` gives only `reply`, `log` and `close` | a farewell |
//! | [`tagged_messages`] | `tagged` needs messages of one packet | loading |
//! | [`max_packet_of_zero`] | a packet may have at least one byte | loading |
//! | [`log_flood`], [`log_of_control_characters`] | none: log lines are limited and escaped | `!` |
//!
//! `!` means a packet that begins with it; other packets are decoded honestly. [`batch`] has the
//! guests that break a rule in a flat list.

pub mod batch;

use super::Function::{Answer, Decode, Farewell};
use super::{Guest, MessageFraming, Payload};

/// The kind of an event or of an `event-head`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the contract describes them")]
#[repr(u8)]
pub enum Kind {
    Hello,
    Established,
    Message,
    Reply,
    Timer,
    AddressVerified,
    Log,
    Close,
    Rejected,
    Fatal,
}

/// The roles of a message.
const NOTICE: u8 = 0;
const REQUEST: u8 = 1;
const RESPONSE: u8 = 2;

/// Statuses that no message may have: those beside the allowed range, and the ends of an u16.
pub const STATUSES: [u16; 4] = [0, 99, 600, u16::MAX];

/// Close codes that no codec may give. 1004 is reserved, and 1005, 1006 and 1015 are never sent.
/// The others are beside the allowed ranges.
pub const CLOSE_CODES: [u16; 8] = [999, 1004, 1005, 1006, 1015, 2999, 5000, u16::MAX];

/// The log lines of [`log_flood`].
pub const FLOOD: usize = 10_000;

/// Decodes a notice with the id 1.
pub fn notice_with_an_id() -> Guest {
    Guest::new("notice_with_an_id").strike(&message(NOTICE, 1, 200))
}

/// Decodes a notice with the status 201.
pub fn notice_with_a_status() -> Guest {
    Guest::new("notice_with_a_status").strike(&message(NOTICE, 0, 201))
}

/// Decodes a request with the status 404.
pub fn request_with_a_status() -> Guest {
    Guest::new("request_with_a_status").strike(&message(REQUEST, 1, 404))
}

/// Decodes a response with this status, one of [`STATUSES`]. The description says
/// `client-requests`.
pub fn response_with_status(status: u16) -> Guest {
    Guest::new("response_with_status").client_requests().strike(&message(RESPONSE, 1, status))
}

/// Decodes a response although the description does not say `client-requests`.
pub fn response_without_client_requests() -> Guest {
    Guest::new("response_without_client_requests").strike(&message(RESPONSE, 1, 200))
}

/// Decodes every packet as a `hello` and a reply behind it.
pub fn event_behind_hello() -> Guest {
    let hello_and_reply = "(local $events i32)
        (local.set $events (call $alloc (i32.const 96)))
        (call $event (local.get $events) (i32.const 0))
        (call $event (i32.add (local.get $events) (i32.const 48)) (i32.const 3))
        (call $three (call $alloc (i32.const 16)) (i32.const 0) (local.get $events) (i32.const 2))";
    Guest::new("event_behind_hello").handshake().with(Answer, Answer.honest()).with(Decode, hello_and_reply)
}

/// Closes with this code, one of [`CLOSE_CODES`].
pub fn close_with_code(code: u16) -> Guest {
    let code = format!("(i32.store16 offset=8 (local.get $event) (i32.const {code}))");
    Guest::new("close_with_code").strike(&decoded(&event(Kind::Close, &code)))
}

/// Answers a farewell with `established`, which would be due at another time: there is a handshake,
/// and the guest never ends it.
pub fn established_in_farewell() -> Guest {
    let farewell = listed(&event(Kind::Established, ""));
    Guest::new("established_in_farewell").handshake().with(Farewell, &farewell)
}

/// Answers a farewell with a request whose body is the reason.
pub fn message_in_farewell() -> Guest {
    let message = "(local $event i32)
        (local.set $event (call $alloc (i32.const 48)))
        (call $message (local.get $event) (local.get $reason) (local.get $length))";
    Guest::new("message_in_farewell").with(Farewell, &listed(message))
}

/// Describes tagged packets where a message holds anything but one packet.
pub fn tagged_messages(messages: MessageFraming) -> Guest {
    Guest::new("tagged_messages").payload(Payload::Tagged).messages(messages)
}

/// Describes packets of no bytes at most.
pub fn max_packet_of_zero() -> Guest {
    Guest::new("max_packet_of_zero").max_packet(0)
}

/// Decodes a packet as [`FLOOD`] log lines, which are all errors and hold the packet, and the
/// honest request behind them.
pub fn log_flood() -> Guest {
    let size = (FLOOD + 1) * 48;
    let all = FLOOD + 1;
    Guest::new("log_flood").strike(&format!(
        "(local $events i32) (local $at i32) (local $left i32)
         (local.set $events (call $alloc (i32.const {size})))
         (local.set $at (local.get $events))
         (local.set $left (i32.const {FLOOD}))
         (loop $again
           (call $event (local.get $at) (i32.const 6))
           (i32.store8 offset=8 (local.get $at) (i32.const 3))
           (drop (call $two (i32.add (local.get $at) (i32.const 12)) (local.get $packet) (local.get $length)))
           (local.set $at (i32.add (local.get $at) (i32.const 48)))
           (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
         (call $message (local.get $at) (local.get $packet) (local.get $length))
         (call $three (call $alloc (i32.const 16)) (i32.const 0) (local.get $events) (i32.const {all}))"
    ))
}

/// Decodes a packet as a log line that would change the colour of a terminal and forge another line
/// of the log, and the honest request behind it.
pub fn log_of_control_characters() -> Guest {
    const TEXT: &str = "\\1b[31mred\\0a2026-01-01 WARN forged text\\0d\\00";
    const LENGTH: usize = 38;
    let body = format!(
        "(local $events i32)
         (local.set $events (call $alloc (i32.const 96)))
         (call $event (local.get $events) (i32.const 6))
         (i32.store8 offset=8 (local.get $events) (i32.const 2))
         (drop (call $two (i32.add (local.get $events) (i32.const 12)) (i32.const 4096) (i32.const {LENGTH})))
         (call $message (i32.add (local.get $events) (i32.const 48)) (local.get $packet) (local.get $length))
         (call $three (call $alloc (i32.const 16)) (i32.const 0) (local.get $events) (i32.const 2))"
    );
    let text = format!("(data (i32.const 4096) \"{TEXT}\")");
    Guest::new("log_of_control_characters").items(&text).strike(&body)
}

/// Returns a body of `decode` whose only event is a message with the packet as its body.
fn message(role: u8, id: u64, status: u16) -> String {
    decoded(&format!(
        "(local $event i32)
         (local.set $event (call $alloc (i32.const 48)))
         (call $message (local.get $event) (local.get $packet) (local.get $length))
         (i32.store8 offset=8 (local.get $event) (i32.const {role}))
         (i64.store offset=16 (local.get $event) (i64.const {id}))
         (i32.store16 offset=40 (local.get $event) (i32.const {status}))"
    ))
}

/// Returns code that makes `$event`; `fields` writes what it has besides zeros.
fn event(kind: Kind, fields: &str) -> String {
    let kind = kind as u8;
    format!(
        "(local $event i32)
         (local.set $event (call $alloc (i32.const 48)))
         (call $event (local.get $event) (i32.const {kind}))
         {fields}"
    )
}

/// Returns a body of `decode` that gives the `$event` of this code.
fn decoded(event: &str) -> String {
    format!(
        "{event} (call $three (call $alloc (i32.const 16)) (i32.const 0) (local.get $event) (i32.const 1))"
    )
}

/// Returns a body that gives a list of the `$event` of this code.
fn listed(event: &str) -> String {
    format!("{event} (call $two (call $alloc (i32.const 8)) (local.get $event) (i32.const 1))")
}
