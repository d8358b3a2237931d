//! Tests of which items are measured. They check no times.

use std::time::Duration;

use super::{BATCHES, Direction, Effort, MAX_QUESTIONS, NOTHING, Report, SANDBOXES, bench};
use crate::tests::POMELO;
use wireplug_core::codec::CodecLimits;
use wireplug_core::vectors::Vectors;
use wireplug_wasm::{WasmEngine, WasmLoader};

const SHORT: Effort = Effort { rounds: 1, round: Duration::ZERO };

fn measured(wasm: &[u8], vectors: &str) -> anyhow::Result<Report> {
    let limits = CodecLimits { slow_calls: u32::MAX, ..CodecLimits::default() };
    let loader = WasmLoader::new(&WasmEngine::new(SANDBOXES, limits.memory)?, limits);
    let metered = WasmLoader::new(&WasmEngine::metered(SANDBOXES, limits.memory)?, limits);
    Ok(bench(wasm, &Vectors::parse(vectors)?, &loader, &metered, SHORT)?)
}

#[test]
fn the_codec_that_does_nothing_is_measured_against_itself() {
    let vectors = "session\nin 'hello'\nout notice onChat '{}'\nin 'hello'\n";
    let Report { codec, nothing, batch, costs, not_repeatable, left_out, mismatches } =
        measured(NOTHING, vectors).unwrap();
    assert!(batch);
    assert_eq!((&*codec.name, codec.size, not_repeatable, left_out), ("nothing", NOTHING.len(), 0, 1));
    // These vectors contain no answers.
    assert_eq!(mismatches, 3);
    assert_eq!(codec.memory, nothing.memory);
    assert!(codec.memory > 0 && codec.compile_us > 0 && codec.open_ns > 0.0, "{codec:?}");
    let what: Vec<_> = costs.iter().map(|cost| (cost.line, cost.direction, cost.batch, cost.bytes)).collect();
    let decode = BATCHES.map(|batch| (2, Direction::Decode, batch, 5));
    let encode = BATCHES.map(|batch| (3, Direction::Encode, batch, 2));
    assert_eq!(what, [decode, encode].concat());
    for cost in &costs {
        // The fuel is the same for both codecs: the meter counts only executed instructions.
        assert_eq!(cost.codec.fuel, cost.nothing.fuel, "{cost:?}");
        assert!(cost.codec.fuel > 0 && cost.codec.ns > 0.0, "{cost:?}");
    }
    let [single, .., batched] = &costs[..BATCHES.len()] else { panic!("a cost a batch") };
    assert!(batched.codec.fuel < single.codec.fuel, "a batch spares calls: {costs:?}");
}

/// A session has only one handshake, and a packet that is rejected has no message.
#[test]
fn packets_that_cannot_be_repeated_are_counted() {
    let vectors = "session
in 01 '{\"sys\":{}}'
answer 200 \"\"
in 02
in 04 00 01 05 \"a.b.c{}\"
in 04 ff
out response 1 a.b.c 200 '{}'
";
    let Report { codec, costs, not_repeatable, left_out, .. } = measured(POMELO, vectors).unwrap();
    assert_eq!((&*codec.name, not_repeatable, left_out), ("pomelo", 3, 0));
    let lines: Vec<_> = costs.iter().map(|cost| cost.line).collect();
    assert_eq!(lines, [5, 5, 5, 7, 7, 7]);
    assert!(costs.iter().all(|cost| cost.codec.fuel > cost.nothing.fuel), "{costs:?}");
}

#[test]
fn a_request_to_the_client_is_not_repeated() {
    let report = measured(NOTHING, "session\nin 'hello'\nout request 1 onAsk ''\n").unwrap();
    assert_eq!((report.costs.len(), report.not_repeatable), (BATCHES.len(), 1));
}

#[test]
fn packets_over_the_largest_number_are_counted() {
    let packets: String = (0..MAX_QUESTIONS + 2).map(|number| format!("in {number:02x}\n")).collect();
    let report = measured(NOTHING, &format!("session\n{packets}")).unwrap();
    assert_eq!((report.costs.len(), report.left_out), (MAX_QUESTIONS * BATCHES.len(), 2));
}

/// A batch holds no more than a connection puts into one.
#[test]
fn a_large_packet_is_not_measured_in_batches_that_nobody_sends() {
    let report = measured(NOTHING, &format!("session\nin '{}'\n", "x".repeat(5_000))).unwrap();
    let batches: Vec<_> = report.costs.iter().map(|cost| cost.batch).collect();
    assert_eq!(batches, [1]);
}

#[test]
fn nothing_to_measure_says_what_to_do() {
    for (vectors, found) in [
        ("session\n", "the vectors have no packet and no message"),
        ("session\nin 01 '{\"sys\":{}}'\n", "of the 1 packets and messages in the vectors none"),
    ] {
        let error = measured(POMELO, vectors).expect_err("there is nothing").to_string();
        assert!(error.contains(found) && error.contains("Add a session"), "{error}");
    }
}
