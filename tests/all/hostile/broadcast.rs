//! Guests that encode a push for many sessions, each time in a new instance.

use wireplug_core::codec::{Codec, CodecError, Reason};
use wireplug_core::framing::Packets;
use wireplug_tests::hostile::Function::{BroadcastClass, EncodeShared};
use wireplug_tests::hostile::{Guest, bodies};

use super::{at, load, peer, push};

fn one(packet: &[u8]) -> Packets {
    Packets::from_iter([packet])
}

/// A guest whose packet has two bytes: the class, and how often this instance has encoded. It traps
/// at bodies that begin with `!`.
fn counting() -> Guest {
    let body = "(if (call $strikes (local.get $body) (local.get $body-length)) (then unreachable))
        (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (i32.store8 (i32.const 4096) (local.get $class))
        (i32.store8 (i32.const 4097) (global.get $calls))
        (call $honest-encode (i32.const 4096) (i32.const 2))";
    Guest::new("counting").items("(global $calls (mut i32) (i32.const 0))").with(EncodeShared, body)
}

#[test]
fn an_honest_guest() {
    for function in [BroadcastClass, EncodeShared] {
        let codec = load(&Guest::new("honest").with(function, function.honest()));
        assert!(codec.abilities().broadcast && !codec.abilities().handoff);
        let mut session = codec.open(peer(), at(0)).expect("every client is welcome");
        assert_eq!(session.broadcast_class(), Ok(Some(0)));
        assert_eq!(codec.encode_shared(0, push("to all")), Ok(one(b"to all")));
    }
}

#[test]
fn classes() {
    let some = "(call $two (call $alloc (i32.const 8)) (i32.const 1) (i32.const -1))";
    let none = "(call $two (call $alloc (i32.const 8)) (i32.const 0) (i32.const -1))";
    for (body, class) in [(some, Some(u32::MAX)), (none, None)] {
        let codec = load(&Guest::new("classy").with(BroadcastClass, body));
        assert_eq!(codec.open(peer(), at(0)).expect("every client is welcome").broadcast_class(), Ok(class));
    }
}

/// Neither the guest's memory nor a trap lasts until the next push, and the instance has no
/// session.
#[test]
fn nothing_lasts() {
    let codec = load(&counting());
    let mut session = codec.open(peer(), at(0)).expect("every client is welcome");
    for _ in 0..2 {
        assert_eq!(codec.encode_shared(5, push("")), Ok(one(&[5, 1])));
        assert_eq!(codec.encode_shared(6, push("")), Ok(one(&[6, 1])));
        assert!(matches!(codec.encode_shared(5, push("!")), Err(CodecError::Trap(_))));
    }
    assert_eq!(session.broadcast_class(), Ok(Some(0)));
    drop(session);
    assert_eq!(codec.memory(), 0, "no instance is kept");
}

/// A codec that leaks memory can still encode every push.
#[test]
fn memory_that_is_lost_comes_back() {
    let lose = "(if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))";
    let codec = load(&Guest::new("leaking").with(EncodeShared, &format!("{lose} {}", EncodeShared.honest())));
    for _ in 0..1000 {
        assert_eq!(codec.encode_shared(0, push("to all")), Ok(one(b"to all")));
    }
}

#[test]
fn a_loop_is_ended() {
    let codec = load(&Guest::new("looper").with(EncodeShared, bodies::LOOP));
    for _ in 0..2 {
        assert!(matches!(codec.encode_shared(0, push("")), Err(CodecError::Deadline(_))));
    }
}

/// Refusing a push is not a fault.
#[test]
fn a_push_may_be_refused() {
    let refuse = "(call $three (call $alloc (i32.const 16)) (i32.const 1) (i32.const 4096) (i32.const 4))";
    let guest = Guest::new("picky").items("(data (i32.const 4096) \"no\\0a!\")").with(EncodeShared, refuse);
    let codec = load(&guest);
    let refusal = Err(CodecError::Refused(Reason::new("no\n!")));
    for _ in 0..2 {
        assert_eq!(codec.encode_shared(0, push("")), refusal);
        assert_eq!(codec.memory(), 0);
    }
}
