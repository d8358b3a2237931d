//! The Pomelo component and its native twin give the same events and packets, byte for byte, for
//! the same calls. So results about the library also hold for the component and for the interface
//! between them. The component that cuts its stream itself gives the same too, with the length in
//! each packet.

mod calls;
mod driven;

use std::mem;

use proptest::prelude::*;
use proptest::sample::Index;
use wireplug::codec::NativePomelo;
use wireplug::config::CodecLimits;
use wireplug_core::codec::{Abilities, Codec, Description, Instant};
use wireplug_tests::versions::POMELO;
use wireplug_wasm::{WasmEngine, WasmLoader};

use calls::{Call, Handoff, Step, calls};
use driven::{Driven, TWINS, Twins, component, framer, is_end, is_hello, native, wasm};

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 5_000, ..ProptestConfig::default() }
}

// === the properties ===

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn the_component_does_what_its_twin_does(which in any::<Index>(), steps in calls()) {
        same(wasm(&which), native(&which), &steps)?;
    }

    #[test]
    fn direct_calls_do_what_component_calls_do(which in any::<Index>(), steps in calls()) {
        same(wasm(&which), component(&which), &steps)?;
    }

    /// A stream has no packet without a type.
    #[test]
    fn the_component_that_cuts_its_stream_does_what_the_other_does(
        which in any::<Index>(),
        mut steps in calls(),
    ) {
        for step in &mut steps {
            if let Call::Decode(packets) = &mut step.call {
                packets.retain(|packet| !packet.0.is_empty());
            }
        }
        same(framer(&which), wasm(&which), &steps)?;
    }

    /// `decode-batch` gives the same as decoding in a loop, and `encode-batch` the same as encoding
    /// in a loop.
    #[test]
    fn a_batch_does_what_a_loop_does(which in any::<Index>(), steps in calls()) {
        let (mut batched, mut looped) = (wasm(&which), wasm(&which));
        let mut now_ms = 0;
        for (i, Step { after_ms, call }) in steps.iter().enumerate() {
            now_ms += after_ms;
            let now = Instant::for_test(now_ms);
            let given = batched.perform(call, now);
            let wanted = perform_one_by_one(&mut looped, call, now);
            prop_assert_eq!(&given, &wanted, "call {}", i);
            if given.last().is_some_and(|last| is_end(last)) {
                // After the end, a batch and a loop may differ, because the runtime makes no more
                // calls.
                break;
            }
        }
    }
}

/// Checks that two sessions give the same. A handoff across exchanges their codecs.
fn same(mut one: Driven, mut other: Driven, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut now_ms = 0;
    for (i, Step { after_ms, call }) in steps.iter().enumerate() {
        now_ms += after_ms;
        if let Call::Handoff(Handoff { across: true, .. }) = call {
            mem::swap(&mut one.side, &mut other.side);
        }
        let now = Instant::for_test(now_ms);
        prop_assert_eq!(one.perform(call, now), other.perform(call, now), "call {}", i);
    }
    Ok(())
}

/// Returns what [`Driven::perform`] returns for a batch, from a separate call for each item.
fn perform_one_by_one(driven: &mut Driven, call: &Call, now: Instant) -> Vec<String> {
    let mut given = vec!["Ok(())".to_owned()];
    match call {
        Call::Decode(packets) => {
            for packet in packets {
                given.extend(driven.perform(&Call::Decode(vec![packet.clone()]), now).drain(1..));
                // A batch stops here too, and the runtime passes the other packets later.
                if given.last().is_some_and(|last| is_end(last) || is_hello(last)) {
                    break;
                }
            }
            given
        }
        Call::Encode(messages) => {
            let mut refused = Vec::new();
            for (i, message) in messages.iter().enumerate() {
                for item in driven.perform(&Call::Encode(vec![message.clone()]), now).drain(1..) {
                    if item.starts_with("Refusal") {
                        refused.push(item.replace("message: 0", &format!("message: {i}")));
                    } else {
                        given.push(item.replace("of message 0", &format!("of message {i}")));
                    }
                }
            }
            given.extend(refused);
            given
        }
        other => driven.perform(other, now),
    }
}

#[test]
fn they_say_the_same_of_themselves() {
    for Twins { wasm, framer, native, .. } in &*TWINS {
        assert_eq!(wasm.description(), native.description());
        assert_eq!(wasm.abilities(), native.abilities());
        // The length belongs to the packet of the component that cuts its stream.
        let max_packet = wasm.description().max_packet.map(|bytes| bytes + 3);
        let expected = Description { framing: None, max_packet, ..wasm.description().clone() };
        assert_eq!(*framer.description(), expected);
        assert_eq!(framer.abilities(), Abilities { framer: true, ..wasm.abilities() });
    }
}

#[test]
fn they_refuse_the_same_options() {
    let engine = WasmEngine::new(4, 16 << 20).expect("room for few sandboxes");
    let cases = [
        r#"{"nope":1}"#,
        r#"{"heartbeat":0}"#,
        r#"{"heartbeat":"30"}"#,
        r#"{"timeout":3}"#,
        r#"{"heartbeat":3,"timeout":3}"#,
        r#"{"dictionary":"yes"}"#,
        r#"{"dictionary":{"a":1,"b":1}}"#,
        r#"{"routes":[""]}"#,
        r#"{"protos":{"server":{"r":{"required bool b":1}}}}"#,
        r#"{"checkClient":[]}"#,
        "[]",
        "{",
    ];
    for options in cases {
        let native = NativePomelo::new(options).err().expect("refused").to_string();
        let native = native.strip_prefix("refused: ").expect("it is a refusal");
        let wasm = WasmLoader::new(&engine, CodecLimits::default()).load(POMELO, options.into());
        let wasm = wasm.err().expect("refused").to_string();
        assert_eq!(wasm, format!("it refuses its options: {native}"), "{options}");
    }
}

/// The random calls must reach each kind of event, and packets in both directions.
#[test]
fn the_random_calls_reach_everything() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config(1), rng);
    let strategy = (any::<Index>(), calls());
    let mut seen = Vec::new();
    for _ in 0..400 {
        let (which, steps) = strategy.new_tree(&mut runner).expect("nothing is filtered").current();
        let mut driven = native(&which);
        let mut now_ms = 0;
        for Step { after_ms, call } in &steps {
            now_ms += after_ms;
            seen.extend(driven.perform(call, Instant::for_test(now_ms)));
        }
    }
    let wanted = [
        "Ok(Hello(",
        "Ok(Established)",
        "Ok(Message {",
        "Ok(Reply(",
        "Ok(Timer(",
        "Ok(Close {",
        "Ok(Rejected(",
        "Ok(Fatal(",
        "Refusal {",
        "Refusal { message: 0, reason: \"Pomelo has no requests to clients",
        "Ok(Reply([5, ",
        "[4, 4, ",
        "[4, 6, ",
        "[4, 7, ",
        "class: Ok(None)",
        "class: Ok(Some(0))",
        "shared: Ok(Packets { bytes: [4, 6, ",
        "shared: Ok(Packets { bytes: [4, 7, ",
        "shared: Err(Refused(",
        // A body with a schema: tag 1 has the value 7, and tag 2 follows.
        "[4, 7, 0, 1, 8, 7, 18, ",
        // Saved in each state, which is the second byte.
        "saved: [1, 0, ",
        "saved: [1, 1, ",
        "saved: [1, 2, ",
        "saved: [1, 3, ",
        "saved: [1, 4, ",
        "saved: [1, 5, ",
        "saved: [2, 3, ",
    ];
    for wanted in wanted {
        assert!(seen.iter().any(|given| given.starts_with(wanted)), "{wanted}");
    }
    // No call has JSON text like this, so it was decoded from protobuf.
    let parts = [r#"body: b"{\"code\":7,"#, r#"\"m\":[{\"x\":-3}"#];
    let decoded =
        |given: &String| given.starts_with("Ok(Message {") && parts.iter().all(|part| given.contains(part));
    assert!(seen.iter().any(decoded), "{parts:?}");
}
