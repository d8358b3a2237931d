//! The calls of a test: random packets, messages and handoffs, most of them valid.

use std::fmt;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use wireplug::config::CodecLimits;
use wireplug_core::codec::batch_bytes;
use wireplug_core::codec::{Cause, MessageRef, Role};

/// A call, and the time since the previous one.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) after_ms: u64,
    pub(super) call: Call,
}

#[derive(Clone, Debug)]
pub(super) enum Call {
    Decode(Vec<Blob>),
    Encode(Vec<Message>),
    Answer(u16, Blob),
    Tick,
    Farewell(Cause, String),
    /// A push to all sessions of a class.
    Share(u32, Message),
    Handoff(Handoff),
}

/// Saves the session, and restores it in a codec that may have other options.
#[derive(Clone, Debug)]
pub(super) struct Handoff {
    pub(super) to: Index,
    /// Whether the state that the component has saved is restored by the twin, and the other way
    /// round.
    pub(super) across: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) role: Role,
    pub(super) id: u64,
    pub(super) route: String,
    body: Blob,
    status: u16,
}

impl Message {
    pub(super) fn borrowed(&self) -> MessageRef<'_> {
        MessageRef {
            role: self.role,
            id: self.id,
            route: &self.route,
            body: &self.body.0,
            status: self.status,
        }
    }
}

/// Bytes that a failure prints in one line.
#[derive(Clone)]
pub(super) struct Blob(pub(super) Vec<u8>);

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

fn any_route() -> impl Strategy<Value = Vec<u8>> {
    let known = ["a.b.c", "onChat", "connector.entryHandler.echo", "é😀", "", "a"];
    prop_oneof![
        8 => select(known.to_vec()).prop_map(|route| route.as_bytes().to_vec()),
        1 => Just(vec![b'x'; 300]),
        1 => vec(any::<u8>(), 0..8),
    ]
}

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let some = [
        "",
        "null",
        " null ",
        "{}",
        r#"{"text":"wörld 😀"}"#,
        r#""\ud83d\ude00""#,
        r#""\ud83d""#,
        "[1,2,3]",
        "no json",
        "\"\u{2028}\u{7f}\u{0}\"",
    ];
    // Bodies that fit the schema and bodies that do not, as JSON and as protobuf.
    let of_schema = [
        r#"{"code":7,"text":"w\u00f6rld 😀","m":[{"x":-3},{"y":0.1}],"d":[1,-0.5,1e300]}"#,
        r#"{"code":-1}"#,
        r#"{"text":"no code"}"#,
        "\x08\x07\x12\x04wrld\x1a\x02\x08\x05\x1a\x00\x22\x00",
        "\x08\x07\x18\x05\x15\x00\x00\x40\x3f",
        "\x08\x07\x08",
    ];
    prop_oneof![
        6 => select(some.to_vec()).prop_map(|body| body.as_bytes().to_vec()),
        4 => select(of_schema.to_vec()).prop_map(|body| body.as_bytes().to_vec()),
        // CESU-8: a surrogate pair, and half of one.
        1 => Just(b"\"\xed\xa0\xbd\xed\xb8\x80\"".to_vec()),
        1 => Just(b"\"\xed\xa0\xbd\xed\xb8\"".to_vec()),
        2 => ".{0,40}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..200),
        1 => (any::<u8>(), 0..6000_usize).prop_map(|(byte, length)| vec![byte; length]),
    ]
}

fn any_id() -> impl Strategy<Value = u64> {
    prop_oneof![3 => 0..300_u64, 1 => any::<u64>(), 1 => any::<u32>().prop_map(u64::from), 1 => Just(u64::MAX)]
}

/// A DATA packet: flag, id, route and body. The flag says which of them are present.
fn data() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop_oneof![6 => Just(0_u8), 4 => Just(1), 1 => 2..8_u8];
    let code = prop_oneof![4 => 0..4_u16, 1 => Just(258), 1 => any::<u16>()];
    let flags = prop_oneof![4 => Just(0_u8), 1 => 0..16_u8];
    (kind, any_id(), proptest::option::of(code), any_route(), any_body(), flags).prop_map(
        |(kind, mut id, code, route, body, flags)| {
            let mut packet = vec![4, flags << 4 | kind << 1 | u8::from(code.is_some())];
            if kind % 2 == 0 {
                while id >= 0x80 {
                    packet.push(id as u8 | 0x80);
                    id >>= 7;
                }
                packet.push(id as u8);
            }
            match code {
                Some(code) => packet.extend(code.to_be_bytes()),
                None => {
                    packet.push(route.len() as u8);
                    packet.extend(route);
                }
            }
            packet.extend(body);
            packet
        },
    )
}

fn hello() -> impl Strategy<Value = Vec<u8>> {
    let some = [
        r#"{"sys":{}}"#,
        r#"{"sys":{"version":"0.0.1","type":"js-websocket"},"user":{"name":"😀"}}"#,
        r#"{"sys":{"dictVersion":"nonsense"}}"#,
        r#"{"sys":{"dictVersion":1}}"#,
        r#"{"sys":{"protoVersion":"hJVbUUmS7X2atSsVTjmuLQ=="}}"#,
        r#"{"sys":0}"#,
        "{}",
        "{",
    ];
    select(some.to_vec()).prop_map(|body| [b"\x01", body.as_bytes()].concat())
}

fn sound_packet() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![20 => data(), 2 => hello(), 2 => Just(vec![2]), 4 => Just(vec![3])]
}

fn packet() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        40 => sound_packet(),
        // A packet that is cut short.
        4 => (sound_packet(), any::<Index>()).prop_map(|(mut packet, at)| {
            packet.truncate(at.index(packet.len()));
            packet
        }),
        // A packet with one bit flipped. The bit is mostly after the type, because a wrong type
        // would end most sessions at once.
        4 => (data(), any::<Index>(), 0..8_u8).prop_map(|(mut packet, at, bit)| {
            let at = 1 + at.index(packet.len() - 1);
            packet[at] ^= 1 << bit;
            packet
        }),
        1 => (sound_packet(), 0..8_u8).prop_map(|(mut packet, bit)| {
            packet[0] ^= 1 << bit;
            packet
        }),
        1 => vec(any::<u8>(), 0..40),
    ]
}

/// At most 256 items, and at most as many bytes as the runtime puts into a batch. The answer to a
/// larger batch may exceed what a sandbox may hand back.
fn batch_of<T: Clone + fmt::Debug>(
    item: BoxedStrategy<T>,
    size: fn(&T) -> usize,
) -> impl Strategy<Value = Vec<T>> {
    let items =
        prop_oneof![4 => vec(item.clone(), 1..5), 2 => vec(item.clone(), 1..40), 1 => vec(item, 200..=256)];
    items.prop_map(move |mut items| {
        let mut room = batch_bytes(CodecLimits::default().max_packet);
        let fit = items.iter().take_while(|item| {
            let fits = size(item) <= room;
            room = room.saturating_sub(size(item));
            fits
        });
        items.truncate(fit.count().max(1));
        items
    })
}

fn message() -> impl Strategy<Value = Message> {
    let route = any_route().prop_map(|route| String::from_utf8_lossy(&route).into_owned());
    let status = prop_oneof![3 => Just(200_u16), 1 => select(vec![404, 500]), 1 => any::<u16>()];
    let role = prop_oneof![
        8 => Just((Role::Notice, 0)),
        8 => any_id().prop_map(|id| (Role::Response, id)),
        1 => any_id().prop_map(|id| (Role::Request, id)),
    ];
    (role, route, any_body(), status).prop_map(|((role, id), route, body, status)| Message {
        role,
        id,
        route,
        body: Blob(body),
        status,
    })
}

fn call() -> impl Strategy<Value = Call> {
    let status = prop_oneof![4 => Just(200_u16), 1 => any::<u16>()];
    let class = prop_oneof![6 => Just(0), 1 => any::<u32>()];
    prop_oneof![
        8 => batch_of(packet().prop_map(Blob).boxed(), |packet| packet.0.len()).prop_map(Call::Decode),
        6 => batch_of(message().boxed(), |message| message.route.len() + message.body.0.len())
            .prop_map(Call::Encode),
        2 => (status, any_body()).prop_map(|(status, body)| Call::Answer(status, Blob(body))),
        3 => Just(Call::Tick),
        1 => (select(Cause::ALL.to_vec()), ".{0,20}").prop_map(|(cause, reason)| Call::Farewell(cause, reason)),
        4 => (class, message()).prop_map(|(class, message)| Call::Share(class, message)),
        3 => handoff(),
    ]
}

fn handoff() -> impl Strategy<Value = Call> {
    (any::<Index>(), any::<bool>()).prop_map(|(to, across)| Call::Handoff(Handoff { to, across }))
}

/// A sequence of calls. It mostly begins with the handshake, so that later calls reach an
/// established session. Sometimes it has a handoff in the middle.
pub(super) fn calls() -> impl Strategy<Value = Vec<Step>> {
    let after_ms = prop_oneof![5 => 0..20_u64, 2 => 0..3_000_u64, 1 => 0..100_000_u64];
    let steps = vec((after_ms, call()).prop_map(|(after_ms, call)| Step { after_ms, call }), 1..12);
    let early = proptest::option::weighted(0.3, (0..5_usize, handoff()));
    (prop::bool::weighted(0.85), any_body(), early, steps).prop_map(|(handshake, user, early, mut steps)| {
        if handshake {
            let first = [
                Call::Tick,
                Call::Decode(vec![Blob(b"\x01{\"sys\":{}}".to_vec())]),
                Call::Answer(200, Blob(user)),
                Call::Decode(vec![Blob(vec![2])]),
            ];
            steps.splice(0..0, first.map(|call| Step { after_ms: 1, call }));
            if let Some((at, call)) = early {
                steps.insert(at, Step { after_ms: 1, call });
            }
        }
        steps
    })
}
