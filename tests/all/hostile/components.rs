//! Whole components that have too much of something. Each is uploaded to a running server as the
//! next version of an honest codec. It is refused with a text, or it works within its limits.
//! Meanwhile clients of another codec get correct answers, and the memory of the process stays
//! within a limit.

use std::time::{Duration, Instant};

use serde_json::json;
use wireplug::CodecSource;
use wireplug_tests::hostile::components::{
    adapters, aliases, beside, doubled_type, fan_out, imports, instances, nested, types,
};
use wireplug_tests::hostile::{Guest, modules};
use wireplug_tests::process;
use wireplug_tests::raw::Raw;

use super::trial::Trial;

/// The most that one upload may add to the peak memory of the process, in bytes.
const MEMORY: usize = 512 << 20;

/// How long one upload may take. Generous, because the machine may be busy.
const TIME: Duration = Duration::from_secs(60);

/// The longest text of a refusal, in bytes.
const TEXT: usize = 5 << 10;

/// A component, a name for what it has too much of, and whether it must be refused.
struct Attack {
    name: &'static str,
    part: Vec<u8>,
    refused: bool,
}

/// Makes two components: one of a size that a codec may have, and one that would exhaust the
/// machine and must be refused.
fn attack<S>(name: &'static str, small: S, full: S, part: impl Fn(S) -> Vec<u8>) -> [Attack; 2] {
    [(small, false), (full, true)].map(|(size, refused)| Attack { name, part: part(size), refused })
}

fn attacks() -> Vec<Attack> {
    let instance = |module: Vec<u8>| instances(&module, 1);
    let leaf = || instances(&modules::empty(), 1);
    let sized = [
        attack("nested components", 200, 12_000, nested),
        attack("instances of instances", (5, 2), (100, 4), |(width, depth)| fan_out(&leaf(), width, depth)),
        attack("a long chain of instances", 100, 10_000, |depth| fan_out(&leaf(), 1, depth)),
        attack("globals", (10, 1_000), (60, 1_000_000), |(count, globals)| {
            instances(&modules::globals(globals), count)
        }),
        attack("tables", (10, 5, 1_000), (60, 100, 10_000), |(count, tables, elements)| {
            instances(&modules::tables(tables, elements), count)
        }),
        attack("memories", (10, 4), (200, 100), |(count, pages)| instances(&modules::memory(pages), count)),
        attack("functions", 2_000, 900_000, |count| instance(modules::functions(count, 2))),
        attack("a long function", 20_000, 3_000_000, |length| instance(modules::functions(1, length))),
        attack("locals", (10, 1_000), (1_000, 50_000), |(functions, locals)| {
            instance(modules::locals(functions, locals))
        }),
        attack("nested blocks", 1_000, 1_000_000, |depth| instance(modules::blocks(depth))),
        attack("branch tables", (10, 100), (5_000, 1_000), |(count, targets)| {
            instance(modules::branch_tables(count, targets))
        }),
        attack("function types", 1_000, 1_000_000, |count| instance(modules::function_types(count))),
        attack("data segments", 1_000, 100_000, |count| instance(modules::data_segments(count))),
        attack("element segments", 1_000, 100_000, |count| instance(modules::element_segments(count))),
        attack("exports", 1_000, 500_000, |count| instance(modules::exports(count))),
        attack("types", 1_000, 900_000, types),
        attack("a doubled type", 10, 19, doubled_type),
        attack("aliases", 1_000, 500_000, aliases),
    ];
    let others = [
        Attack { name: "adapters", part: adapters(10, 2), refused: false },
        // Large for its size, but within the compiler's limits.
        Attack { name: "many adapters", part: adapters(300, 100), refused: false },
        // More than WebAssembly allows, or imports. These are refused at any size.
        Attack { name: "a type that is too large", part: doubled_type(60), refused: true },
        Attack { name: "too many globals", part: instance(modules::globals(1_000_001)), refused: true },
        Attack { name: "names of imports", part: imports(60, 99_000), refused: true },
    ];
    sized.into_iter().flatten().chain(others).collect()
}

#[test]
fn are_refused_or_bounded() {
    process::alone("hostile::components::siege");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "are_refused_or_bounded runs it in a process of its own, whose memory is measured"]
async fn siege() {
    let guest = Guest::new("honest");
    let honest = guest.build();
    let trial = Trial::alone(&guest).await;
    let slot = &trial.server.slots()[0];
    for Attack { name, part, refused } in attacks() {
        let wasm = match name {
            // As a nested component, its imports would have no source, which is another error.
            "names of imports" => part,
            _ => beside(&honest, &part),
        };
        let open = trial.server.stats().connections_open;
        let (size, begun, before) = (wasm.len(), Instant::now(), process::peak());
        let swapped = slot.swap(&CodecSource::bytes("target", wasm, json!({})), None).await;
        let outcome = match swapped {
            Err(error) => {
                let text = wireplug_tests::chain(&error);
                assert!((1..=TEXT).contains(&text.len()), "{name}: {} bytes of text", text.len());
                assert!(!text.chars().any(char::is_control), "{name}: {text:?}");
                text
            }
            Ok(_) => {
                assert!(!refused, "{name}: it was taken");
                let mut client = Raw::connect(&trial.server.tcp()).await;
                client.send(b"works\n").await;
                client.expect(b"works\n").await;
                drop(client);
                trial.server.until("the client gone", |stats| stats.connections_open == open).await;
                "works".to_owned()
            }
        };
        let (took, grown) = (begun.elapsed(), process::peak().saturating_sub(before));
        println!(
            "{name}: {size} bytes, {took:.0?}, {} kB more: {:.200}",
            grown >> 10,
            outcome.escape_debug().to_string()
        );
        assert!(took < TIME, "{name}: {took:?}");
        assert!(grown < MEMORY, "{name}: {grown} bytes more than before");
        trial.neighbours_go_on().await;
    }
    trial.end().await;
}
