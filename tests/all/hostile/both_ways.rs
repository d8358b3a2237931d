//! A guest that misbehaves is stopped in the same way and with the same text, whether it is called
//! directly or through the component API.

use std::sync::Arc;

use wireplug_core::codec::{Cause, Codec, CodecError, CodecSession, Encoded, Events, Messages};
use wireplug_core::framing::Packets;
use wireplug_tests::hostile::Function::{
    BroadcastClass, Decode, DecodeBatch, EncodeBatch, Farewell, Save, Tick,
};
use wireplug_tests::hostile::{Guest, bodies};
use wireplug_wasm::inspect;

use super::calls::{rogues, strikers};
use super::{at, load, peer, push};

/// A call, which returns what the guest has given, as text.
type Call<'a> = &'a dyn Fn(&mut dyn CodecSession, &mut Events) -> Result<String, CodecError>;

/// Makes each call of the contract in a session of its own, and returns what each has given.
fn observed(codec: &dyn Codec, packet: &[u8]) -> Vec<String> {
    let packets: Arc<Packets> = Arc::new([packet].into_iter().collect());
    let mut messages = Messages::new();
    messages.push(push("!"));
    let messages = Arc::new(messages);
    let nothing = |()| String::new();
    let calls: [(&str, Call<'_>); 6] = [
        ("tick", &|session, events| session.tick(at(1), events).map(nothing)),
        ("decode", &|session, events| session.decode(&packets, at(1), events).map(nothing)),
        ("encode", &|session, _| {
            let mut encoded = Encoded::default();
            session.encode(&messages, at(1), &mut encoded).map(|()| format!("{encoded:?}"))
        }),
        ("broadcast-class", &|session, _| session.broadcast_class().map(|class| format!("{class:?}"))),
        ("save", &|session, _| session.save().map(|state| format!("{state:?}"))),
        ("farewell", &|session, events| session.farewell(Cause::Kicked, "go", at(1), events).map(nothing)),
    ];
    let in_a_session = |(name, call): (&str, Call<'_>)| {
        let mut events = Events::new();
        let given = codec.open(peer(), at(0)).and_then(|mut session| call(&mut *session, &mut events));
        format!("{name}: {given:?} {events:?}")
    };
    let mut seen: Vec<_> = calls.into_iter().map(in_a_session).collect();
    seen.push(format!("encode-shared: {:?}", codec.encode_shared(0, push("!"))));
    seen
}

/// Guests that break the canonical ABI, each with a part of what their connection ends with.
fn of_the_abi() -> Vec<(Guest, &'static str)> {
    let guest = |name: &str| Guest::new(name);
    let answer = |name, function, pointer: &str| Guest::new(name).with(function, pointer);
    // Honest as long as the alignment is another one.
    let realloc = |name, align: u32, pointer: &str| {
        guest(name).with(DecodeBatch, bodies::TRAP).realloc(&format!(
            "(if (result i32) (i32.eq (local.get $align) (i32.const {align}))
               (then (i32.const {pointer})) (else (call $bump (local.get $size))))"
        ))
    };
    let words = |name, function, words: &str| {
        Guest::new(name).with(function, &format!("(call $three (call $alloc (i32.const 48)) {words})"))
    };
    vec![
        (answer("unaligned_answer", Decode, "(i32.const 4098)"), "return pointer not aligned"),
        (answer("answer_beyond_memory", Decode, "(i32.const -8)"), "pointer out of bounds of memory"),
        (answer("half_an_answer_in_memory", Tick, "(i32.const 131068)"), "pointer out of bounds of memory"),
        (realloc("unaligned_argument", 4, "4098"), "realloc return: result not aligned"),
        (realloc("argument_beyond_memory", 4, "-4"), "realloc return: beyond end of memory"),
        (
            words("unaligned_list", Tick, "(i32.const 4100) (i32.const 1) (i32.const 0)"),
            "list pointer is not aligned",
        ),
        (
            words("list_that_wraps_around", Tick, "(i32.const 4096) (i32.const -1) (i32.const 0)"),
            "list pointer/length out of bounds of memory",
        ),
        (
            words("text_beyond_memory", Save, "(i32.const 1) (i32.const -2) (i32.const 5)"),
            "string pointer/length out of bounds of memory",
        ),
        (words("neither_ok_nor_error", Decode, "(i32.const 2) (i32.const 0) (i32.const 0)"), "discriminant"),
        (words("unknown_fault", Decode, "(i32.const 1) (i32.const 2) (i32.const 0)"), "discriminant"),
        (
            words("neither_some_nor_none", BroadcastClass, "(i32.const 2) (i32.const 0) (i32.const 0)"),
            "discriminant",
        ),
        (
            words("neither_encoded_nor_error", EncodeBatch, "(i32.const 7) (i32.const 0) (i32.const 0)"),
            "discriminant",
        ),
        (
            guest("head_of_no_kind").with(
                DecodeBatch,
                "(call $events (i32.const 0) (i32.const 0) (call $head (i32.const 10)) (i32.const 1))",
            ),
            "discriminant",
        ),
        (
            guest("head_of_no_role").with(
                DecodeBatch,
                "(local $head i32)
                 (local.set $head (call $head (i32.const 3)))
                 (i32.store8 offset=8 (local.get $head) (i32.const 3))
                 (call $events (i32.const 0) (i32.const 0) (local.get $head) (i32.const 1))",
            ),
            "discriminant",
        ),
        // Allocating memory, a guest may not call its imports.
        (
            guest("resource_in_realloc")
                .realloc(
                    "(if (i32.eq (local.get $align) (i32.const 4)) (then (drop (call $new (i32.const 1)))))
                     (call $bump (local.get $size))",
                )
                .with(DecodeBatch, bodies::TRAP),
            "cannot leave component instance",
        ),
        (guest("farewell_that_is_no_list").with(Farewell, bodies::TRAP), "unreachable"),
    ]
}

#[test]
fn a_guest_that_misbehaves_is_stopped_alike() {
    let misbehaving =
        strikers().into_iter().chain(rogues()).map(|(guest, packet, _)| (guest, &packet[..1], ""));
    let of_the_abi = of_the_abi().into_iter().map(|(guest, text)| (guest, &b"!"[..], text));
    let mut direct = 0;
    for (guest, packet, text) in misbehaving.chain(of_the_abi) {
        // An import of WASI is a trap only through the component API.
        let wasm = guest.build();
        if inspect(&wasm).expect("room for few sandboxes").component_calls.is_some() {
            continue;
        }
        direct += 1;
        let codec = load(&guest);
        let (directly, reference) = (observed(&codec, packet), observed(&codec.component_calls(), packet));
        assert!(directly.iter().any(|given| given.contains(text)), "{text:?} is not in {directly:#?}");
        assert_eq!(directly, reference, "{guest:?}");
    }
    assert!(direct > 35, "only {direct} guests are called directly");
}
