//! Whole guests: components that nobody wrote are loaded and called in every way. Each is refused
//! with a text, works, or fails with a typed fault; nothing else happens. The process lives, every
//! input ends in time, all memory is given back, and an honest codec beside them goes on.
//!
//! | file | its job |
//! |---|---|
//! | `wild` | makes a component around a module that wasm-smith generates |
//! | `composed` | puts parts that have a few of everything beside an honest codec |
//! | `mutant` | changes bytes and sections of an honest component |
//! | `calls` | calls every function of what was loaded |
//! | `neighbour` | an honest codec in the same engines |
//! | `tally` | counts what became of the inputs, so that a target that loads nothing is noticed |

#![no_main]

mod calls;
mod composed;
mod mutant;
mod neighbour;
mod tally;
mod wild;

use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use wireplug::config::CodecLimits;
use wireplug_wasm::{WasmEngine, WasmLoader};

use self::neighbour::Neighbour;

/// The limits of generated components. They are small, so that an input that uses all of them ends
/// quickly.
const LIMITS: CodecLimits = CodecLimits {
    max_packet: 4 << 10,
    memory: 4 << 20,
    total_memory: 16 << 20,
    call_cpu: Duration::from_millis(2),
    call_wall: Duration::from_secs(2),
    open_cpu: Duration::from_millis(10),
    slow_calls: 1000,
    // The server applies these limits. Here sessions are driven without a server.
    keep_packets: 0,
    keep_bytes: 0,
    session_cpu: 0,
    total_cpu: 0,
    over_cpu_timeout: Duration::ZERO,
    min_timer: Duration::ZERO,
    sleep_after: Duration::ZERO,
    min_broadcast: 1,
    broadcast_classes: 16,
};

/// The number of sandboxes in the pool: those of an input, of the neighbour, and of loads.
const SANDBOXES: u32 = 16;

static ENGINE: LazyLock<WasmEngine> =
    LazyLock::new(|| WasmEngine::new(SANDBOXES, LIMITS.memory).expect("room for few sandboxes"));

/// All generated components are charged to the account of this loader.
static LOADER: LazyLock<WasmLoader> = LazyLock::new(|| WasmLoader::new(&ENGINE, LIMITS));

fuzz_target!(init: tally::tolerate_contained_panics(), |input: &[u8]| {
    // An input that is too short for a component is not an error.
    let _ = run(&mut Unstructured::new(input));
});

fn run(input: &mut Unstructured<'_>) -> Result<()> {
    let (kind, component) = match input.int_in_range(0..=15)? {
        0..=7 => ("generated", wild::component(input, false)?),
        8 | 9 => ("generated with proposals", wild::component(input, true)?),
        10 => ("composed", Some(composed::component(input)?)),
        _ => ("mutated", Some(mutant::component(input)?)),
    };
    let Some(component) = component else {
        tally::count(kind, "not encoded", "no component could be made of it");
        return Ok(());
    };
    match LOADER.load(&component, "{}".into()) {
        Ok(codec) => {
            tally::count(kind, "loaded", "");
            calls::all(&codec, input, kind)?;
        }
        Err(error) => {
            let text = wireplug_tests::chain(&error);
            assert!(!text.is_empty(), "a refusal says why");
            assert!(!text.chars().any(char::is_control), "a text is not escaped: {text:?}");
            tally::count(kind, "refused", &text);
        }
    }
    Neighbour::goes_on();
    Ok(())
}
