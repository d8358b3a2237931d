//! Guests that request memory.

use wireplug_tests::hostile::heavy::{globals, with_instances};
use wireplug_tests::hostile::{Guest, bodies};
use wireplug_tests::raw::Raw;
use wireplug_tests::server;
use wireplug_wasm::WasmCodec;

use super::trial::Trial;

const PAGE: usize = 64 << 10;

/// Returns what each sandbox of a guest with two pages is charged for in addition to its pages, if
/// there are this many sandboxes.
fn beside_pages(codec: &WasmCodec, sandboxes: usize) -> usize {
    codec.memory() / sandboxes - 2 * PAGE
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn growth_page_by_page() {
    let trial = Trial::begin(&Guest::new("grower").strike(bodies::GROW)).await;
    let wanted = 256 * PAGE + beside_pages(&trial.codec, 2);
    let line = trial.ends(b"!\n", "codec-memory").await;
    assert!(line.contains(&format!("{wanted} bytes wanted, 16777216 allowed")), "{line}");
    trial.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn growth_by_a_leap() {
    let trial = Trial::begin(&Guest::new("leaper").strike(bodies::LEAP)).await;
    let wanted = (2 + 16_384) * PAGE + beside_pages(&trial.codec, 2);
    let line = trial.ends(b"!\n", "codec-memory").await;
    assert!(line.contains(&format!("{wanted} bytes wanted, 16777216 allowed")), "{line}");
    trial.end().await;
}

/// A guest that is refused memory has no fault, and may continue with what it has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn growth_that_takes_no_for_an_answer() {
    let body = "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
        (call $honest-decode (local.get $packet) (local.get $length))";
    let trial = Trial::begin(&Guest::new("modest").strike(body)).await;
    let before = trial.codec.memory();
    // The other charges leave no room for the last page.
    let all = server::setup().codec.memory - PAGE + beside_pages(&trial.codec, 2);
    let mut client = Raw::connect(&trial.server.tcp()).await;
    for packet in ["!1", "!2", "3"] {
        client.send(format!("{packet}\n").as_bytes()).await;
        assert_eq!(client.line().await, packet);
    }
    assert_eq!(trial.codec.memory(), before + all);
    trial.neighbours_go_on().await;
    drop(client);
    trial.server.until_closed("client-closed", 1).await;
    assert_eq!(trial.codec.memory(), before);
    trial.end().await;
}

/// A stack overflow after a refusal of memory is a trap, and not a memory fault.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cause_is_the_last_fault() {
    let body = format!("(drop (memory.grow (i32.const 16384))) {}", bodies::RECURSION);
    let trial = Trial::begin(&Guest::new("confused").strike(&body)).await;
    let line = trial.ends(b"!\n", "codec-trap").await;
    assert!(line.contains("call stack exhausted"), "{line}");
    trial.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_in_realloc() {
    let body = "(if (i32.gt_u (local.get $size) (i32.const 1000)) (then unreachable)) (call $bump (local.get $size))";
    let trial = Trial::begin(&Guest::new("miser").realloc(body)).await;
    let mut said = vec![b'x'; 2000];
    said.push(b'\n');
    let line = trial.ends(&said, "codec-trap").await;
    assert!(line.contains("unreachable"), "{line}");
    trial.end().await;
}

/// The guest returns an address outside of its memory for an argument.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn realloc_out_of_bounds() {
    let body = "(if (i32.gt_u (local.get $size) (i32.const 1000)) (then (return (i32.const -8)))) (call $bump (local.get $size))";
    let trial = Trial::begin(&Guest::new("liar").realloc(body)).await;
    let mut said = vec![b'x'; 2000];
    said.push(b'\n');
    let line = trial.ends(&said, "codec-trap").await;
    assert!(line.contains("beyond end of memory"), "{line}");
    trial.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_sandbox_is_charged_for() {
    let trial = Trial::begin(&Guest::new("honest")).await;
    // Two neighbours with two pages each, what the host keeps for their instances, and one or two
    // small tables.
    let beside = beside_pages(&trial.codec, 2);
    let instances = trial.codec.instance_memory();
    assert!((instances..instances + 1024).contains(&beside), "{beside} {instances}");
    trial.end().await;
}

/// Globals are not in linear memory. Before they were charged for, a sandbox had 960 MB of globals
/// under a limit of 16 MiB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn globals_of_many_instances() {
    const CLIENTS: usize = 10;
    let wasm = with_instances(&Guest::new("hoarder").build(), &globals(300), 60);
    let trial = Trial::of(&wasm).await;
    let one = trial.codec.instance_memory();
    assert!(one > 60 * 300 * 16, "{one}");
    let before = resident();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = Raw::connect(&trial.server.tcp()).await;
        client.send(b"honest\n").await;
        assert_eq!(client.line().await, "honest");
        clients.push(client);
    }
    assert!(trial.codec.memory() >= CLIENTS * (one + 2 * PAGE));
    // Other tests run in the same process.
    let grown = resident().saturating_sub(before);
    assert!(grown < CLIENTS * (one + 2 * PAGE) + (256 << 20), "{grown}");
    trial.neighbours_go_on().await;
    drop(clients);
    trial.end().await;
}

/// No sandbox is made if its instances need more memory than the limit.
#[tokio::test]
async fn instances_that_need_more_than_a_sandbox_may_have() {
    use wireplug_wasm::{WasmEngine, WasmLoader};
    let wasm = with_instances(&Guest::new("hoarder").build(), &globals(300), 60);
    let mut limits = server::setup().codec;
    limits.memory = 384 << 10;
    let engine = WasmEngine::new(1, limits.memory).expect("room for few sandboxes");
    let error = WasmLoader::new(&engine, limits).load(&wasm, "{}".into()).err().expect("too many globals");
    let error = wireplug_tests::chain(&error);
    assert!(error.contains("bytes wanted, 393216 allowed"), "{error}");
}

/// The elements of tables are not in linear memory either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_are_charged_for() {
    let body =
        "(if (i32.eq (table.grow $large (ref.null func) (i32.const 1000)) (i32.const -1)) (then unreachable))
        (call $honest-decode (local.get $packet) (local.get $length))";
    let guest = Guest::new("tabler").items("(table $large 10 funcref)").strike(body);
    let trial = Trial::begin(&guest).await;
    let before = trial.codec.memory();
    let mut client = Raw::connect(&trial.server.tcp()).await;
    client.send(b"first\n").await;
    assert_eq!(client.line().await, "first");
    let one = trial.codec.memory() - before;
    for grown in 1..=9 {
        client.send(b"!\n").await;
        assert_eq!(client.line().await, "!");
        assert_eq!(trial.codec.memory(), before + one + grown * 1000 * 8);
    }
    // A table has at most 10,000 elements.
    client.send(b"!\n").await;
    assert_eq!(client.rest().await, b"");
    trial.neighbours_go_on().await;
    trial.server.until_closed("codec-trap", 1).await;
    trial.end().await;
}

/// Returns the resident memory of this process, in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux tells");
    let pages = statm.split(' ').nth(1).expect("the second is the resident one");
    pages.parse::<usize>().expect("a number") * 4096
}
