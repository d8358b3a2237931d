//! Guests that each break one rule in a flat list, at any packet.
//!
//! | guest | breaks the rule |
//! |---|---|
//! | [`notice_with_an_id`], [`notice_with_a_status`], [`request_with_a_status`], [`response_with_status`], [`response_without_client_requests`] | as the guests of the same name in [`super`] |
//! | [`event_behind_hello`] | a batch stops after the packet that says hello |
//! | [`close_with_code`] | a close has one of the codes that WebSocket allows |
//! | [`timer_above_32_bits`] | a timer has at most 2^32 - 1 ms |
//! | [`log_level_above_error`] | a log level is at most 3 |
//! | [`head_with_an_id`] | a head without a number has the id 0 |
//! | [`head_with_a_status`] | a head of no message has the status 200 |
//! | [`head_with_a_role`] | a head of no message is a `notice` |
//! | [`sources_too_few`], [`sources_too_many`] | there is one source for each packet |
//! | [`sources_going_down`] | sources never go down |
//! | [`source_of_no_message`] | a source is the index of a message |
//! | [`source_of_a_refused_message`] | a refused message has no packets |

use super::super::Function::{Answer, DecodeBatch, EncodeBatch, Tick};
use super::super::{Guest, escaped};
use super::{Kind, NOTICE, REQUEST, RESPONSE};

/// The kinds of heads without a number: their id is 0.
pub const WITHOUT_NUMBER: [Kind; 6] =
    [Kind::Hello, Kind::Established, Kind::Reply, Kind::AddressVerified, Kind::Rejected, Kind::Fatal];

/// The kinds of heads of no message.
pub const OF_NO_MESSAGE: [Kind; 9] = [
    Kind::Hello,
    Kind::Established,
    Kind::Reply,
    Kind::Timer,
    Kind::AddressVerified,
    Kind::Log,
    Kind::Close,
    Kind::Rejected,
    Kind::Fatal,
];

/// Numbers that are no code of a close: a code that is not allowed, the code 1000 with a higher bit
/// that an u16 would lose, and the end of an u64.
pub const CLOSE_CODES: [u64; 3] = [1006, (1 << 16) + 1000, u64::MAX];

/// Decodes a notice with the id 1.
pub fn notice_with_an_id() -> Guest {
    decoding("batch_notice_with_an_id", &message(NOTICE, 1, 200))
}

/// Decodes a notice with the status 201.
pub fn notice_with_a_status() -> Guest {
    decoding("batch_notice_with_a_status", &message(NOTICE, 0, 201))
}

/// Decodes a request with the status 404.
pub fn request_with_a_status() -> Guest {
    decoding("batch_request_with_a_status", &message(REQUEST, 1, 404))
}

/// Decodes a response with this status, one of [`super::STATUSES`]. The description says
/// `client-requests`.
pub fn response_with_status(status: u16) -> Guest {
    decoding("batch_response_with_status", &message(RESPONSE, 1, status)).client_requests()
}

/// Decodes a response although the description does not say `client-requests`.
pub fn response_without_client_requests() -> Guest {
    decoding("batch_response_without_client_requests", &message(RESPONSE, 1, 200))
}

/// Decodes a batch as a `hello` of the first packet and a reply of the last one.
pub fn event_behind_hello() -> Guest {
    let body = "(local $heads i32) (local $reply i32)
        (local.set $heads (call $head (i32.const 0)))
        (local.set $reply (call $head (i32.const 3)))
        (i32.store offset=4 (local.get $reply) (i32.sub (local.get $count) (i32.const 1)))
        (call $events (i32.const 0) (i32.const 0) (local.get $heads) (i32.const 2))";
    capable("batch_event_behind_hello").with(DecodeBatch, body)
}

/// Closes with this code, one of [`CLOSE_CODES`].
pub fn close_with_code(code: u64) -> Guest {
    decoding("batch_close_with_code", &head(Kind::Close, &set_id(code)))
}

/// Sets a timer of 2^32 ms. As an u32 that would be zero.
pub fn timer_above_32_bits() -> Guest {
    capable("timer_above_32_bits").with(DecodeBatch, &head(Kind::Timer, &set_id(1 << 32)))
}

/// Logs a line whose level is one above `error`.
pub fn log_level_above_error() -> Guest {
    decoding("log_level_above_error", &head(Kind::Log, &set_id(4)))
}

/// Decodes a head of this kind, one of [`WITHOUT_NUMBER`], with the id 1.
pub fn head_with_an_id(kind: Kind) -> Guest {
    capable("head_with_an_id").with(DecodeBatch, &head(kind, &set_id(1)))
}

/// Decodes a head of this kind, one of [`OF_NO_MESSAGE`], with the status 201.
pub fn head_with_a_status(kind: Kind) -> Guest {
    capable("head_with_a_status").with(DecodeBatch, &head(kind, &set_status(201)))
}

/// Decodes a head of this kind, one of [`OF_NO_MESSAGE`], with the role `request`.
pub fn head_with_a_role(kind: Kind) -> Guest {
    capable("head_with_a_role").with(DecodeBatch, &head(kind, &set_role(REQUEST)))
}

/// Encodes two packets and gives the source of one.
pub fn sources_too_few() -> Guest {
    encoding("sources_too_few", 2, &[0], &[])
}

/// Encodes one packet and gives two sources.
pub fn sources_too_many() -> Guest {
    encoding("sources_too_many", 1, &[0, 0], &[])
}

/// Encodes a packet of the second message before one of the first. In a batch of one message, the
/// first source names no message.
pub fn sources_going_down() -> Guest {
    encoding("sources_going_down", 2, &[1, 0], &[])
}

/// Encodes a packet of the message with the index 256. A batch has at most 256 messages.
pub fn source_of_no_message() -> Guest {
    encoding("source_of_no_message", 1, &[256], &[])
}

/// Encodes a packet of the first message, and refuses this message.
pub fn source_of_a_refused_message() -> Guest {
    encoding("source_of_a_refused_message", 1, &[0], &[0])
}

/// Returns a guest whose `decode-batch` has this body.
fn decoding(name: &str, body: &str) -> Guest {
    Guest::new(name).with(DecodeBatch, body)
}

/// Returns a guest that may give events of all kinds but messages.
fn capable(name: &str) -> Guest {
    Guest::new(name).handshake().with(Answer, Answer.honest()).with(Tick, Tick.honest())
}

/// Returns a guest that decodes a batch as two requests without a route, and whose `encode-batch`
/// always gives this many empty packets, these sources, and refusals of these messages.
fn encoding(name: &str, packets: usize, sources: &[u32], refused: &[u32]) -> Guest {
    const RESULT: u32 = 4096;
    const SIZE: u32 = 36;
    let requests = format!(
        "(local $head i32) (local $other i32)
         (local.set $head (call $head (i32.const 2)))
         {role} {first}
         (local.set $other (call $head (i32.const 2)))
         (memory.copy (local.get $other) (local.get $head) (i32.const 40))
         (i64.store offset=16 (local.get $other) (i64.const 2))
         (call $events (i32.const 0) (i32.const 0) (local.get $head) (i32.const 2))",
        role = set_role(REQUEST),
        first = set_id(1)
    );
    // All packets end at 0. A refusal has a message, and a reason of no bytes.
    let ends = vec![0; packets];
    let refusals: Vec<u32> = refused.iter().flat_map(|message| [*message, 0, 0]).collect();
    let (ends_at, sources_at) = (RESULT + SIZE, RESULT + SIZE + 4 * ends.len() as u32);
    let refusals_at = sources_at + 4 * sources.len() as u32;
    // No error; no bytes; and the three lists.
    let result = [
        [0, 0, 0].as_slice(),
        &[ends_at, ends.len() as u32],
        &[sources_at, sources.len() as u32],
        &[refusals_at, refused.len() as u32],
        &ends,
        sources,
        &refusals,
    ];
    let data: Vec<u8> = result.concat().iter().flat_map(|word| word.to_le_bytes()).collect();
    Guest::new(name)
        .items(&format!("(data (i32.const {RESULT}) \"{}\")", escaped(&data)))
        .with(DecodeBatch, &requests)
        .with(EncodeBatch, &format!("(i32.const {RESULT})"))
}

/// Returns a body of `decode-batch` with one message, whose route and body are empty.
fn message(role: u8, id: u64, status: u16) -> String {
    head(Kind::Message, &format!("{} {} {}", set_role(role), set_id(id), set_status(status)))
}

/// Returns a body of `decode-batch` with one head, of the first packet; `fields` writes what it has
/// besides its kind and the status 200.
fn head(kind: Kind, fields: &str) -> String {
    let kind = kind as u8;
    format!(
        "(local $head i32)
         (local.set $head (call $head (i32.const {kind})))
         {fields}
         (call $events (i32.const 0) (i32.const 0) (local.get $head) (i32.const 1))"
    )
}

fn set_role(role: u8) -> String {
    format!("(i32.store8 offset=8 (local.get $head) (i32.const {role}))")
}

fn set_id(id: u64) -> String {
    format!("(i64.store offset=16 (local.get $head) (i64.const {id}))")
}

fn set_status(status: u16) -> String {
    format!("(i32.store16 offset=24 (local.get $head) (i32.const {status}))")
}
