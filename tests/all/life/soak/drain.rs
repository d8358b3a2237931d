//! Swaps by drain: clients come and go, and those that stay too long are closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use wireplug::config::LiveSessions::Drain;
use wireplug::config::SwapConfig;
use wireplug::session::Message;
use wireplug_tests::server::{self, Setup};

use super::super::slot;
use super::player::{Link, Player};
use super::{EVERY, ON_ALL, app, setup, swaps, two_pomelos};

const CLIENTS: usize = 300;
const PIPELINE: u64 = 4;
const PAUSE: Duration = Duration::from_millis(100);

/// The time to drain, which is three swaps long. Half of the clients live longer.
const LIMIT: Duration = Duration::from_millis(300);

/// The most generations that are held: those within the time to drain, and more on a busy machine.
/// If generations were never freed, there would be hundreds.
const HELD: usize = 30;

/// The counts of the clients.
#[derive(Default)]
struct Seen {
    connections: u64,
    kicked: u64,
    requests: u64,
    answered: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a soak: `cargo xtask soak drain` runs it"]
async fn in_a_process_of_its_own() {
    let swaps = swaps(100);
    let sources = two_pomelos(2 * CLIENTS as u32);
    let swap = SwapConfig { drain_timeout: LIMIT, ..SwapConfig::default() };
    let server = Arc::new(server::serve(app(), Setup { swap, ..setup() }, [sources[0].clone()]).await);
    let begun = Instant::now();
    let stop = Arc::new(AtomicBool::new(false));
    let playing: Vec<_> =
        (0..CLIENTS).map(|n| tokio::spawn(play(server.tcp(), n as u64, Arc::clone(&stop)))).collect();
    let broadcasting = tokio::spawn({
        let (server, stop) = (Arc::clone(&server), Arc::clone(&stop));
        async move {
            let mut number = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                server.sessions().all().send(&Message::push(ON_ALL, number.to_string()));
                sleep(Duration::from_millis(50)).await;
            }
            number
        }
    });

    let slot = &slot(&server);
    let mut most = 0;
    for n in 1..=swaps {
        let next = Instant::now() + EVERY;
        let report = slot.swap(&sources[n as usize % 2], Some(Drain)).await.expect("a good codec");
        assert_eq!(report.moved, 0);
        most = most.max(slot.status().generations.len());
        sleep_until(next).await;
    }
    let took = begun.elapsed();
    stop.store(true, Ordering::Relaxed);
    let broadcasts = broadcasting.await.expect("no panic");
    let mut all = Seen::default();
    for player in playing {
        let seen = player.await.unwrap_or_else(|error| panic!("{error}: {}", server.stats()));
        all.connections += seen.connections;
        all.kicked += seen.kicked;
        all.requests += seen.requests;
        all.answered += seen.answered;
    }
    println!(
        "{swaps} swaps in {took:.1?}: {} connections, {} closed by drain; {} requests ({:.0}/s), {} of them \
         sent too late for an answer; {broadcasts} broadcasts; {most} generations held at the most",
        all.connections,
        all.kicked,
        all.requests,
        all.requests as f64 / took.as_secs_f64(),
        all.requests - all.answered,
    );
    let stats = server.until("all gone", |stats| stats.connections_open == 0).await;
    // The server has counted each farewell that a client got. All other clients ended the
    // connection themselves.
    assert_eq!(stats.closes.get("replaced"), Some(&all.kicked), "{stats}");
    assert_eq!(stats.closes.values().sum::<u64>(), all.connections);
    assert!(stats.closes.keys().all(|&cause| ["replaced", "client-closed"].contains(&cause)), "{stats}");
    assert!(0 < all.kicked && all.kicked < all.connections, "some are closed, and some end by themselves");
    assert_eq!(stats.messages_in, all.answered, "what was read was answered");
    assert!(most <= HELD, "{most} generations");
    let held = slot.status().generations;
    assert_eq!(held.len(), 2, "{held:?}");
}

/// Connects again and again, each time for a number of rounds.
async fn play(url: String, number: u64, stop: Arc<AtomicBool>) -> Seen {
    let mut seen = Seen::default();
    sleep(PAUSE * number as u32 / CLIENTS as u32).await;
    while !stop.load(Ordering::Relaxed) {
        let mut player = Player::connect(&url).await;
        seen.connections += 1;
        let rounds = 1 + (number + seen.connections) % 5;
        let mut link = Link::Open;
        for _ in 0..rounds {
            player.ask(PIPELINE).await;
            link = player.answers().await;
            if link == Link::Open {
                link = player.read_until(Instant::now() + PAUSE).await;
            }
            if link == Link::Kicked {
                break;
            }
        }
        seen.requests += player.sent;
        seen.answered += player.answered;
        if link == Link::Open {
            link = player.leave().await;
        }
        seen.kicked += u64::from(link == Link::Kicked);
    }
    seen
}
