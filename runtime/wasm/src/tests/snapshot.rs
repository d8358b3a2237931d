//! Tests of a component whose options were set before its sandboxes are made.

use std::sync::Arc;

use super::{POMELO, engine, loader};
use crate::WasmCodec;
use crate::snapshot::Readable;
use wireplug_core::codec::{Codec, CodecSession, Events, Instant};
use wireplug_core::framing::Packets;

const OPTIONS: &str = r#"{"heartbeat":7,"routes":["a.b.c","d.e.f"]}"#;

fn at() -> Instant {
    Instant::for_test(0)
}

fn open(codec: &WasmCodec) -> Box<dyn CodecSession> {
    codec.open(wireplug_tests::peer(), at()).expect("it opens")
}

/// Returns a session's answer to a handshake. Only the options determine this answer.
fn greeting(session: &mut dyn CodecSession) -> Events {
    let mut packets = Packets::new();
    packets.push(b"\x01{\"sys\":{}}");
    let mut events = Events::new();
    session.decode(&Arc::new(packets), at(), &mut events).expect("it decodes");
    events.clear();
    session.answer(200, b"", at(), &mut events).expect("it answers");
    events
}

#[test]
fn a_sandbox_that_comes_configured_does_what_one_does_that_is_configured() {
    let engine = engine();
    let codec = loader(&engine).load(POMELO, OPTIONS.into()).expect("a good codec");
    assert!(codec.configured.is_some());
    let each = codec.with_options(OPTIONS.into()).expect("good options");
    assert!(each.configured.is_none());
    let greetings = [&codec, &each].map(|codec| greeting(&mut *open(codec)));
    assert_eq!(greetings[0], greetings[1]);
    assert!(String::from_utf8_lossy(&greetings[0].bytes).contains(r#""heartbeat":7,"dict":{"a.b.c":1"#));
}

#[test]
fn sandboxes_that_share_a_snapshot_share_nothing_that_they_write() {
    let engine = engine();
    let codec = loader(&engine).load(POMELO, OPTIONS.into()).expect("a good codec");
    let (mut first, mut second) = (open(&codec), open(&codec));
    let before = greeting(&mut *first);
    // The first session is past its handshake now, and the second is not.
    assert_eq!(greeting(&mut *second), before);
    assert_eq!(greeting(&mut *open(&codec)), before);
}

#[test]
fn wrong_options_are_still_refused_at_load() {
    let engine = engine();
    let error = loader(&engine).load(POMELO, r#"{"nope":1}"#.into()).err().expect("an unknown option");
    assert!(error.to_string().contains("unknown option `nope`"), "{error}");
}

#[test]
fn what_is_no_component_of_the_usual_kind_cannot_be_read_out_and_harms_nobody() {
    for wasm in [&b"\0asm\x0d\0\x01\0"[..4], b"", b"\0asm\x01\0\0\0", &POMELO[..1000]] {
        assert!(Readable::new(wasm).is_err());
    }
}
