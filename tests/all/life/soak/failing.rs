//! Versions that trap at one packet in a thousand, one after the other. Each is rolled back
//! automatically.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};
use wireplug::CodecSource;
use wireplug::config::FaultLimits;
use wireplug::config::LiveSessions::Handoff;
use wireplug::status::Stats;
use wireplug_tests::hostile::Function::Decode;
use wireplug_tests::hostile::Guest;
use wireplug_tests::server::{self, Setup};
use wireplug_tests::soak_time;
use wireplug_tests::versions;

use super::super::guests::{decode, marked};
use super::super::{guest, slot, until};
use super::lines::Lines;
use super::{app, setup};

const CLIENTS: usize = 100;
const PIPELINE: u64 = 10;
const PAUSE: Duration = Duration::from_millis(100);

/// The number of faults at which a version is rolled back.
const THRESHOLD: u32 = 5;

/// Returns a guest that traps at lines that end in three zeros, as one number in a thousand does.
fn bad() -> Guest {
    let zero = |from_the_end: u32| {
        format!(
            "(i32.eq (i32.load8_u (i32.sub (i32.add (local.get $packet) (local.get $length)) \
             (i32.const {from_the_end}))) (i32.const 48))"
        )
    };
    let [one, two, three] = [1, 2, 3].map(zero);
    let trap = format!(
        "(if (i32.ge_u (local.get $length) (i32.const 3))
           (then (if (i32.and {one} (i32.and {two} {three})) (then unreachable))))"
    );
    marked("bad").with(Decode, &decode(&trap))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a soak: `cargo xtask soak failing` runs it"]
async fn in_a_process_of_its_own() {
    // Each version takes about a second.
    let versions = soak_time().as_secs().max(10);
    let faults =
        FaultLimits { rollback: THRESHOLD, suspend: 0, per_address: 0, window: Duration::from_secs(600) };
    let server = server::serve(app(), Setup { faults, ..setup() }, [guest(&marked("good"))]).await;
    let begun = Instant::now();
    let stop = Arc::new(AtomicBool::new(false));
    let playing: Vec<_> =
        (0..CLIENTS).map(|n| tokio::spawn(play(server.tcp(), n as u64, Arc::clone(&stop)))).collect();
    server.until("all there", |_| server.sessions().len() == CLIENTS).await;

    let slot = &slot(&server);
    let bad = bad().build();
    let mut faults = 0;
    for n in 0..versions {
        let version = versions::version(&bad, n);
        let source = CodecSource::bytes("guest", version.clone(), json!({}));
        slot.swap(&source, Some(Handoff)).await.expect("nothing is wrong with it yet");
        let status = until(slot, "the rollback", |status| {
            status.current == 1
                && status.generations.iter().all(|held| held.number == 1 || held.sessions == 0)
        })
        .await;
        assert_eq!(status.rolled_back.last(), Some(&versions::digest(&version)));
        assert!(status.generations.len() <= 2, "{status:?}");
        let error = slot.swap(&source, Some(Handoff)).await.expect_err("it was rolled back");
        assert!(error.to_string().contains("is not taken again"), "{error}");
        let trapped = |stats: &Stats| stats.closes.get("codec-trap").copied().unwrap_or(0);
        let enough = |stats: &Stats| trapped(stats) >= faults + u64::from(THRESHOLD);
        faults = trapped(&server.until("what it was rolled back for", enough).await);
    }
    let took = begun.elapsed();
    stop.store(true, Ordering::Relaxed);
    let (mut lost, mut numbers) = (0, 0);
    for player in playing {
        let played = player.await.expect("each number came once, in its order");
        (lost, numbers) = (lost + played.0, numbers + played.1);
    }
    let moved = slot.status().generations[0].moved_in;
    println!(
        "{versions} bad versions in {took:.1?}: {numbers} numbers ({:.0}/s), {lost} sessions lost, \
         {moved} moved back",
        numbers as f64 / took.as_secs_f64()
    );
    let stats = server.until("all gone", |stats| stats.connections_open == 0).await;
    // Each lost connection trapped. There are no other faults, and all other connections were
    // closed by the clients.
    assert_eq!(stats.closes.get("codec-trap"), Some(&lost), "{stats}");
    assert_eq!(stats.faults().collect::<Vec<_>>(), [("codec-trap", lost)]);
    assert!(stats.closes.keys().all(|&cause| ["codec-trap", "client-closed"].contains(&cause)), "{stats}");
    assert!(moved > 0);
}

/// Sends numbers, and connects again after a number that traps. Returns the number of traps and of
/// answers.
async fn play(url: String, number: u64, stop: Arc<AtomicBool>) -> (u64, u64) {
    let (mut lost, mut answered) = (0, 0);
    // The clients start at different numbers, so that they reach a multiple of a thousand at
    // different times.
    let mut next = 10 * number;
    while !stop.load(Ordering::Relaxed) {
        let mut lines = Lines::connect(&url, next).await;
        let start = next;
        while !stop.load(Ordering::Relaxed) {
            lines.ask(PIPELINE).await;
            if !lines.answers().await {
                let unanswered = lines.answered + 1..=lines.sent;
                assert!(unanswered.clone().any(|n| n % 1000 == 0), "closed at {unanswered:?}");
                lost += 1;
                break;
            }
            sleep(PAUSE).await;
        }
        answered += lines.answered - start;
        next = lines.sent;
    }
    (lost, answered)
}
