//! Guests that want memory.

use wireplug_tests::hostile::{Guest, bodies};
use wireplug_tests::raw::Raw;
use wireplug_tests::server;

use super::trial::Trial;

const PAGE: usize = 64 << 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn growth_page_by_page() {
    let trial = Trial::begin(&Guest::new("grower").strike(bodies::GROW)).await;
    let line = trial.ends(b"!\n", "codec-memory").await;
    assert!(line.contains("16842752 bytes wanted, 16777216 allowed"), "{line}");
    trial.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn growth_by_a_leap() {
    let trial = Trial::begin(&Guest::new("leaper").strike(bodies::LEAP)).await;
    let line = trial.ends(b"!\n", "codec-memory").await;
    assert!(line.contains("1073872896 bytes wanted, 16777216 allowed"), "{line}");
    trial.end().await;
}

/// To be refused memory is no fault: a guest may go on with what it has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn growth_that_takes_no_for_an_answer() {
    let body = "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
        (call $honest-decode (local.get $self) (local.get $packet) (local.get $length) (local.get $now))";
    let trial = Trial::begin(&Guest::new("modest").strike(body)).await;
    let before = trial.codec.memory();
    let mut client = Raw::connect(&trial.server.tcp()).await;
    for packet in ["!1", "!2", "3"] {
        client.send(format!("{packet}\n").as_bytes()).await;
        assert_eq!(client.line().await, packet);
    }
    assert_eq!(trial.codec.memory(), before + server::setup().codec.memory);
    trial.neighbours_go_on().await;
    drop(client);
    trial.server.until_closed("client-closed", 1).await;
    assert_eq!(trial.codec.memory(), before);
    trial.end().await;
}

/// A stack overflow behind a refusal is a trap, and not memory's fault.
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

/// Where the guest says that an argument shall lie, there is no memory.
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
    // Two neighbours with two pages each.
    assert_eq!(trial.codec.memory(), 2 * 2 * PAGE);
    trial.end().await;
}
