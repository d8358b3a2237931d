//! A few components compile at once, some wait, and further ones are refused. The status shows all
//! of them.

use std::time::{Duration, Instant};

use serde_json::json;
use wireplug::CodecSource;
use wireplug::codec::Digest;
use wireplug::config::CompileConfig;
use wireplug_tests::hostile::Guest;
use wireplug_tests::hostile::heavy::slowed;
use wireplug_tests::running::wait_until;
use wireplug_tests::within;
use wireplug_wasm::{CompileError, CompileState};

use super::{SLOW, children, not_compiled, quick, slot, slow, start, the_end_of, until_jobs};

/// The time within which all workers of a server must end when it stops.
const AT_ONCE: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_beyond_the_bound_are_refused_and_all_end_with_the_server() {
    let limits = CompileConfig { jobs: 1, waiting: 1, ..CompileConfig::default() };
    let server = start(limits, [quick(1)]).await;
    let swap = |number| {
        let (slot, source) = (slot(&server, 0), slow(number));
        tokio::spawn(async move { slot.swap(&source, None).await })
    };
    let running = swap(2);
    until_jobs(&server, 1, 0).await;
    let waiting = swap(3);
    until_jobs(&server, 1, 1).await;

    let jobs = server.nodes().status().await.remove(0).compiling;
    let wasm = slowed(&wireplug_tests::versions::pomelo(2), SLOW);
    assert_eq!((jobs[0].sha256, jobs[0].size), (Digest::of(&wasm), wasm.len()));
    assert_eq!(jobs[0].codec.as_deref(), Some("pomelo"));
    assert_eq!((jobs[0].state, jobs[1].state), (CompileState::Running, CompileState::Waiting));
    assert!(jobs.iter().all(|job| job.since > 1_700_000_000));

    let error = slot(&server, 0).swap(&slow(4), None).await.expect_err("one waits");
    let error = not_compiled(&error);
    assert!(matches!(error, CompileError::QueueFull(1)), "{error}");
    assert!(error.to_string().contains("raise `waiting` or `jobs` under [compile]"), "{error}");

    let begun = Instant::now();
    let stats = within("the end", server.shutdown()).await;
    assert_eq!(stats.connections_open, 0);
    for swap in [running, waiting] {
        let error = within("the end of a load", swap).await.expect("no panic").expect_err("it is given up");
        assert!(matches!(not_compiled(&error), CompileError::Stopped), "{error}");
    }
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_codec_leaves_a_place_to_another() {
    let lines = |number| {
        let wasm = wireplug_tests::versions::version(&Guest::new("lines").build(), number);
        CodecSource::bytes("lines", wasm, json!({}))
    };
    let server = start(CompileConfig::default(), [quick(1), lines(1)]).await;
    let slow_ones = [2, 3].map(|number| {
        let (slot, source) = (slot(&server, 0), slow(number));
        tokio::spawn(async move { slot.swap(&source, None).await })
    });
    until_jobs(&server, 1, 1).await;
    let report = the_end_of(slot(&server, 1).swap(&lines(2), None)).await;
    assert_eq!(report.expect("it is a good codec").to, 2);
    until_jobs(&server, 1, 1).await;
    server.shutdown().await;
    for slow in slow_ones {
        within("its end", slow).await.expect("no panic").expect_err("it is given up");
    }
}

/// If an embedder abandons the start of a server, for example because of a signal, no worker is
/// left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_is_given_up_ends_what_it_compiles() {
    let mark = slowed(&wireplug_tests::versions::pomelo(77), SLOW);
    let source = CodecSource::bytes("pomelo", mark, json!({}));
    let starting = super::about_to_start(CompileConfig::default(), [source]).start();
    let given_up = tokio::time::timeout(Duration::from_secs(2), starting).await;
    assert!(given_up.is_err(), "it compiles for longer");
    // Other tests of this process also start workers, so this waits until no zombie of any test is
    // left.
    let zombies = || children::of(std::process::id()).iter().filter(|child| child.is_zombie).count();
    wait_until("its worker to be reaped", AT_ONCE, || zombies() == 0);
}
