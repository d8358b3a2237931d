//! A change that is requested while another version loads is made at once, and the slow load cannot
//! undo it.

use std::time::{Duration, Instant};

use serde_json::json;
use wireplug::CodecSource;
use wireplug::config::{CompileConfig, SwapConfig};
use wireplug::slot::{SwapError, Trial};
use wireplug_tests::app::ECHO;
use wireplug_tests::client::Client;
use wireplug_tests::folder::Folder;
use wireplug_tests::hostile::heavy::slowed;
use wireplug_tests::{versions, within};

use super::{quick, slot, slow, start, tcp, the_end_of, until_jobs};

/// The time within which a rollback must answer, whatever is being compiled.
const A_SECOND: Duration = Duration::from_secs(1);

/// A number of functions that takes a few seconds to compile.
const RATHER_SLOW: usize = 3000;

fn rather_slow(number: u64) -> CodecSource {
    CodecSource::bytes("pomelo", slowed(&versions::pomelo(number), RATHER_SLOW), json!({}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_answers_at_once_and_a_slow_swap_does_not_undo_it() {
    let server = start(CompileConfig::default(), [quick(1)]).await;
    let slot = slot(&server, 0);
    let mut client = Client::connect(&tcp(&server, 0)).await;
    assert_eq!(slot.swap(&quick(2), None).await.expect("a good codec").moved, 1);

    let swap = tokio::spawn({
        let slot = slot.clone();
        async move { slot.swap(&rather_slow(3), None).await }
    });
    until_jobs(&server, 1, 0).await;
    let begun = Instant::now();
    let report = slot.roll_back().await.expect("there is one to go back to");
    assert!(begun.elapsed() < A_SECOND, "{:?}", begun.elapsed());
    assert_eq!((report.to, report.moved), (1, 1));
    assert_eq!(client.call(ECHO, &json!(1)).await, json!(1));

    let error = the_end_of(swap).await.expect("no panic").expect_err("overtaken");
    assert!(matches!(error, SwapError::Overtaken), "{error}");
    assert!(error.to_string().contains("a later change of this codec overtook it"), "{error}");
    assert_eq!(slot.status().current, 1);
    // The operator can request the swap again.
    assert_eq!(slot.swap(&rather_slow(3), None).await.expect("nothing is in its way").moved, 1);
    assert_eq!(client.call(ECHO, &json!(2)).await, json!(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trials_begin_and_end_while_another_version_compiles() {
    let server = start(CompileConfig::default(), [quick(1)]).await;
    let slot = slot(&server, 0);
    slot.try_out(&quick(2), Trial::Canary, 0.5).await.expect("a good codec");
    let swap = tokio::spawn({
        let slot = slot.clone();
        async move { slot.swap(&slow(3), None).await }
    });
    until_jobs(&server, 1, 0).await;
    let begun = Instant::now();
    slot.end_trial().await.expect("one is on trial");
    assert!(begun.elapsed() < A_SECOND, "{:?}", begun.elapsed());
    within("the end", server.shutdown()).await;
    swap.await.expect("no panic").expect_err("the server stops");
}

/// A component that was rolled back while it loaded again is refused, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_rolled_back_meanwhile_is_refused_at_the_end_too() {
    let server = start(CompileConfig::default(), [quick(1)]).await;
    let slot = slot(&server, 0);
    slot.swap(&rather_slow(2), None).await.expect("a good codec");
    // There is no cache, so the component compiles again.
    let swap = tokio::spawn({
        let slot = slot.clone();
        async move { slot.swap(&rather_slow(2), None).await }
    });
    until_jobs(&server, 1, 0).await;
    slot.roll_back().await.expect("there is one to go back to");
    let error = the_end_of(swap).await.expect("no panic").expect_err("rolled back");
    assert!(matches!(error, SwapError::Overtaken), "{error}");
    assert_eq!(slot.status().current, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_watcher_reads_a_file_again_whose_change_was_overtaken() {
    let folder = Folder::new("compile-overtaken");
    let file = folder.write("pomelo.wasm", versions::pomelo(1));
    let source = CodecSource::file(&file, json!({}));
    let source = source.swaps(SwapConfig { watch: true, ..SwapConfig::default() });
    let server = start(CompileConfig::default(), [source]).await;
    let slot = slot(&server, 0);
    slot.swap(&quick(2), None).await.expect("a good codec");

    let next = slowed(&versions::pomelo(3), RATHER_SLOW);
    folder.replace("pomelo.wasm", &next);
    until_jobs(&server, 1, 0).await;
    slot.roll_back().await.expect("there is one to go back to");
    assert_eq!(slot.status().current, 1);
    let wait = async {
        while slot.status().current == 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    the_end_of(wait).await;
    let status = slot.status();
    let current = status.generations.iter().find(|generation| generation.number == status.current);
    assert_eq!(current.and_then(|current| current.size), Some(next.len()));
}
