//! Components that attack the compiler, while honest clients continue to get answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinHandle;
use wireplug::CodecSource;
use wireplug::config::{CompileConfig, ComponentBounds};
use wireplug_tests::app::ECHO;
use wireplug_tests::client::Client;
use wireplug_tests::hostile::{Guest, heavy};
use wireplug_tests::{chain, until, within};
use wireplug_wasm::CompileError;

use super::{not_compiled, quick, slot, start, tcp};

/// The least number of answers that an honest client must get while a component is refused.
const SOME: u64 = 20;

/// Longer than a refusal takes under these limits, even on a busy machine.
const IN_TIME: Duration = Duration::from_secs(330);

/// A client of another codec that sends numbered requests and checks each answer.
struct Neighbour {
    answered: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Neighbour {
    fn of(url: String) -> Self {
        let (answered, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let task = tokio::spawn({
            let (answered, stop) = (Arc::clone(&answered), Arc::clone(&stop));
            async move {
                let mut client = Client::connect(&url).await;
                while !stop.load(Ordering::Relaxed) {
                    let n = answered.load(Ordering::Relaxed);
                    assert_eq!(client.call(ECHO, &json!({ "n": n })).await, json!({ "n": n }));
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self { answered, stop, task }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        within("the last answer", self.task).await.expect("all answers were right");
    }
}

/// Swaps in the component, which must be refused with a typed reason while a neighbour gets its
/// answers.
async fn attack(name: &str, wasm: Vec<u8>) {
    // The static bounds would refuse each component at once. They are lifted here, so that the
    // worker reaches its own limits.
    let mut bounds = ComponentBounds::default();
    for bound in [
        &mut bounds.nesting,
        &mut bounds.components,
        &mut bounds.component_instances,
        &mut bounds.core_modules,
        &mut bounds.core_instances,
        &mut bounds.definitions,
        &mut bounds.functions,
        &mut bounds.functions_per_module,
    ] {
        *bound = u32::MAX;
    }
    let (memory, cpu_time) = (1 << 30, Duration::from_secs(5));
    let limits = CompileConfig { memory, cpu_time, bounds, ..CompileConfig::default() };
    let guest = CodecSource::bytes("guest", Guest::new("guest").build(), json!({}));
    let server = start(limits, [quick(1), guest]).await;
    let neighbour = Neighbour::of(tcp(&server, 0));
    let before = neighbour.answered.load(Ordering::Relaxed);
    let begun = Instant::now();
    let source = CodecSource::bytes("guest", wasm, json!({}));
    let error = slot(&server, 1).swap(&source, None).await.expect_err("it is refused");
    println!("{name}: after {:?}: {}", begun.elapsed(), chain(&error));
    assert!(begun.elapsed() < IN_TIME, "{name}: {:?}", begun.elapsed());
    let typed = matches!(
        not_compiled(&error),
        CompileError::Refused(_)
            | CompileError::Memory(_)
            | CompileError::CpuTime(_)
            | CompileError::WallTime(_)
            | CompileError::Artifact(_)
            | CompileError::Crashed { .. }
            | CompileError::Panicked(_)
    );
    assert!(typed, "{name}: {error:?}");
    until("answers for the neighbour", || async {
        neighbour.answered.load(Ordering::Relaxed) >= before + SOME
    })
    .await;
    neighbour.end().await;
    assert_eq!(slot(&server, 1).status().current, 1);
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twelve_thousand_nested_components() {
    attack("nested", heavy::nested(12_000)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_instances_to_the_power_of_four() {
    attack("instantiated", heavy::instantiated(100, 4)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nine_hundred_thousand_functions() {
    attack("functions", heavy::functions(900_000)).await;
}
