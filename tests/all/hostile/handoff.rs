//! Guests whose sessions are moved by a handoff.

use std::sync::Arc;

use wireplug_core::codec::{Codec, CodecError, CodecSession, Encoded, Messages, Reason};
use wireplug_tests::hostile::Function::{Restore, Save};
use wireplug_tests::hostile::{Guest, bodies};

use super::{at, load, peer, push};

/// A body of `save` whose state is the five bytes at 4096.
const STATE: &str = "(call $three (call $alloc (i32.const 16)) (i32.const 0) (i32.const 4096) (i32.const 5))";

/// A body that refuses, with the five bytes at 4096 as the reason.
const REFUSE: &str =
    "(call $three (call $alloc (i32.const 16)) (i32.const 1) (i32.const 4096) (i32.const 5))";

/// Returns whether the session still encodes.
fn works(session: &mut dyn CodecSession) -> bool {
    let mut messages = Messages::new();
    messages.push(push("still here"));
    let mut encoded = Encoded::default();
    session.encode(&Arc::new(messages), at(1), &mut encoded) == Ok(())
        && encoded.packets.iter().eq([&b"still here"[..]])
}

fn refused(reason: &str) -> CodecError {
    CodecError::Refused(Reason::new(reason))
}

#[test]
fn an_honest_guest() {
    for function in [Save, Restore] {
        let codec = load(&Guest::new("honest").with(function, function.honest()));
        assert!(codec.abilities().handoff && !codec.abilities().broadcast);
        let mut session = codec.open(peer(), at(0)).expect("every client is welcome");
        assert_eq!(session.save(), Ok(vec![]));
        let mut restored = codec.restore(peer(), &[], at(1)).expect("so is every state");
        assert!(works(&mut *restored) && works(&mut *session));
    }
}

#[test]
fn the_state_arrives() {
    let restore = format!(
        "(if (i64.ne (local.get $session-ms) (i64.const 1234567890123)) (then (return {REFUSE})))
         (memory.copy (i32.const 4096) (local.get $state) (local.get $length))
         (call $honest-open)"
    );
    let guest = Guest::new("keeper").items("(data (i32.const 4096) \"fresh\")");
    let codec = load(&guest.with(Save, STATE).with(Restore, &restore));
    let mut session = codec.open(peer(), at(0)).expect("every client is welcome");
    assert_eq!(session.save(), Ok(b"fresh".to_vec()));
    let mut restored = codec.restore(peer(), b"saved", at(1_234_567_890_123)).expect("the time is right");
    assert_eq!(restored.save(), Ok(b"saved".to_vec()));
    assert_eq!(session.save(), Ok(b"fresh".to_vec()), "each has its own");
    assert_eq!(codec.restore(peer(), b"saved", at(0)).err(), Some(refused("fresh")));
}

/// Refusing is not a fault: the session stays where it is.
#[test]
fn a_session_that_stays() {
    let guest = Guest::new("settled").items("(data (i32.const 4096) \"n\\1bver\")");
    let codec = load(&guest.with(Save, REFUSE));
    let mut session = codec.open(peer(), at(0)).expect("every client is welcome");
    for _ in 0..2 {
        assert_eq!(session.save(), Err(refused("n\u{1b}ver")));
        assert!(works(&mut *session));
    }
}

/// A codec that traps when it restores a session affects nothing else.
#[test]
fn a_trap_in_restore() {
    let codec = load(&Guest::new("trap").with(Restore, bodies::TRAP));
    let mut session = codec.open(peer(), at(0)).expect("every client is welcome");
    let before = codec.memory();
    assert!(matches!(codec.restore(peer(), &[], at(1)).err(), Some(CodecError::Trap(_))));
    assert_eq!(codec.memory(), before, "its sandbox is gone");
    assert!(works(&mut *session));
}

#[test]
fn a_state_larger_than_an_answer() {
    let body = "(drop (memory.grow (i32.const 126)))
        (call $three (call $alloc (i32.const 16)) (i32.const 0) (i32.const 0) (i32.const 8388608))";
    let codec = load(&Guest::new("heavy").with(Save, body));
    let saved = codec.open(peer(), at(0)).expect("every client is welcome").save();
    assert!(matches!(saved, Err(CodecError::Oversized(_))), "{saved:?}");
}
