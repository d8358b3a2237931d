//! Swaps by handoff in which some sessions cannot move: they stay, the others move, and nothing is
//! lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use wireplug::config::LiveSessions::Handoff;
use wireplug_tests::hostile::Function::Save;
use wireplug_tests::server;

use super::super::guests::{REFUSE, SAVE, if_marked, marked};
use super::super::{sessions_by_generation, slot};
use super::lines::Lines;
use super::{EVERY, app, setup, swaps, two};

const CLIENTS: usize = 200;

/// One client in this many is marked, and its session cannot be saved.
const MARKED: usize = 4;

const PIPELINE: u64 = 5;
const PAUSE: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a soak: `cargo xtask soak some` runs it"]
async fn in_a_process_of_its_own() {
    let swaps = swaps(100);
    let [one, other] = ["one", "other"].map(|name| marked(name).with(Save, &if_marked(REFUSE, SAVE)).build());
    let sources = two(CLIENTS as u32, &one, &other);
    let server = server::serve(app(), setup(), [sources[0].clone()]).await;
    let mut clients = Vec::new();
    for n in 0..CLIENTS {
        let mut lines = Lines::connect(&server.tcp(), 0).await;
        lines.say(if n % MARKED == 0 { "!stays" } else { "moves" }).await;
        clients.push(lines);
    }
    let begun = Instant::now();
    let stop = Arc::new(AtomicBool::new(false));
    let playing: Vec<_> =
        clients.into_iter().map(|lines| tokio::spawn(play(lines, Arc::clone(&stop)))).collect();

    let slot = &slot(&server);
    let (stay, move_) = (CLIENTS / MARKED, CLIENTS - CLIENTS / MARKED);
    for n in 1..=swaps {
        let next = Instant::now() + EVERY;
        let report = slot.swap(&sources[n as usize % 2], Some(Handoff)).await.expect("a good codec");
        assert_eq!((report.moved, report.staying), (move_ as u64, stay as u64), "{report:?}");
        assert_eq!(report.reasons, [("refused: not me".to_owned(), stay as u64)]);
        let held = if n == 1 { vec![(1, stay), (2, move_)] } else { vec![(1, stay), (n, 0), (n + 1, move_)] };
        assert_eq!(sessions_by_generation(slot), held);
        sleep_until(next).await;
    }
    let took = begun.elapsed();
    stop.store(true, Ordering::Relaxed);
    let mut numbers = 0;
    for player in playing {
        numbers += player.await.expect("each number came once, in its order");
    }
    println!(
        "{swaps} swaps in {took:.1?}: {move_} sessions moved each time and {stay} stayed; \
         {numbers} numbers ({:.0}/s)",
        numbers as f64 / took.as_secs_f64()
    );
    let stats = server.until("all gone", |stats| stats.connections_open == 0).await;
    assert_eq!(stats.closes, [("client-closed", CLIENTS as u64)].into());
    assert_eq!((stats.messages_in, stats.drops), (numbers + CLIENTS as u64, [].into()));
}

/// Sends numbers until it is stopped. Returns how many it has sent.
async fn play(mut lines: Lines, stop: Arc<AtomicBool>) -> u64 {
    while !stop.load(Ordering::Relaxed) {
        lines.ask(PIPELINE).await;
        assert!(lines.answers().await, "the server closed after {} of {}", lines.answered, lines.sent);
        sleep(PAUSE).await;
    }
    lines.answered
}
