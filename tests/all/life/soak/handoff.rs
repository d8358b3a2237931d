//! A thousand swaps by handoff, of two codecs: Pomelo, and one that cuts its stream itself and
//! changes its framing once in each session.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};
use wireplug::config::LiveSessions::Handoff;
use wireplug::session::Message;
use wireplug_tests::process::resident;
use wireplug_tests::{server, soak_time};

use super::super::changed::{self, Change};
use super::super::pomelo_with;
use super::player::{Link, Player};
use super::{EVERY, ON_ALL, app, mib, setup, swaps, two_pomelos};

const CLIENTS: usize = POMELO + DIGITS;
const POMELO: usize = 400;

/// The clients of the codec that cuts its stream itself. What they send comes in pieces, so that
/// most swaps are in the middle of a packet.
const DIGITS: usize = 100;

/// The requests that are sent at once, and the pause between two batches: 8,000 requests a second
/// in all, if no batch takes longer.
const PIPELINE: u64 = 4;
const PAUSE: Duration = Duration::from_millis(250);

/// The number of swaps after which each sandbox has been used, and allocators have the memory that
/// they keep.
const WARM: u64 = 100;

/// The number of swaps after which a component is compiled, which is freed later.
const LOADS: u64 = 50;

/// The least number of swaps, however short the soak is.
const LEAST: u64 = 200;

/// The most bytes by which the process may grow after the first [`WARM`] swaps. It grows by about 2
/// MiB. A sandbox that is not freed takes 28 KiB: one at each swap would make 25 MiB, and one at
/// each move 12 GiB.
const GROWTH: usize = 16 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a soak: `cargo xtask soak handoff` runs it"]
async fn in_a_process_of_its_own() {
    let swaps = swaps(LEAST);
    let sources = two_pomelos(POMELO as u32);
    let digits = changed::digits(DIGITS as u32, [Change::Nothing; 2]);
    let codecs = [sources[0].clone(), digits[0].clone()];
    let server = Arc::new(server::serve(app(), setup(), codecs).await);
    let mut players = Vec::new();
    for _ in 0..POMELO {
        players.push(Player::connect(&server.tcp()).await);
    }
    // The clients change the framing one after the other, all before the end.
    let apart = EVERY * u32::try_from(swaps).expect("no soak lasts for ever") * 3 / 4 / DIGITS as u32;
    let connected = Instant::now();
    for n in 0..DIGITS {
        players.push(Player::digits(&server.tcp_of(1), n, connected + apart * n as u32).await);
    }
    server.until("all established", |_| server.sessions().len() == CLIENTS).await;
    let begun = Instant::now();

    // Set to the number of the last broadcast when there will be no more.
    let last = Arc::new(AtomicU64::new(0));
    let playing: Vec<_> = players
        .into_iter()
        .enumerate()
        .map(|(n, player)| {
            tokio::spawn(play(player, begun + PAUSE * n as u32 / CLIENTS as u32, last.clone()))
        })
        .collect();
    let broadcasting = tokio::spawn({
        let (server, last) = (Arc::clone(&server), Arc::clone(&last));
        async move {
            for n in 1.. {
                if last.load(Ordering::Relaxed) == u64::MAX {
                    return n - 1;
                }
                let taken = server.sessions().all().send(&Message::push(ON_ALL, n.to_string()));
                assert_eq!(taken, CLIENTS);
                sleep(Duration::from_millis(50)).await;
            }
            unreachable!("numbers do not end")
        }
    });

    let [slot, slot_of_digits] = &server.slots()[..] else { unreachable!("there are two codecs") };
    let (mut warm, mut most, mut longest, mut slowest) = (0, 0, 0, 0);
    let mut swapped = 0;
    for n in 1..=swaps {
        let next = Instant::now() + EVERY;
        let loaded = pomelo_with(n, json!({ "dictionary": false }));
        let source = if n % LOADS == 0 { &loaded } else { &sources[n as usize % 2] };
        let report = slot.swap(source, Some(Handoff)).await.expect("a good codec");
        let other = slot_of_digits.swap(&digits[n as usize % 2], Some(Handoff)).await.expect("a good codec");
        for (report, clients) in [(&report, POMELO), (&other, DIGITS)] {
            assert_eq!((report.moved, report.staying), (clients as u64, 0), "{report:?}");
            (longest, slowest) = (longest.max(report.longest_move_us), slowest.max(report.took_ms));
        }
        for slot in [slot, slot_of_digits] {
            let held = slot.status().generations.len();
            assert_eq!(held, 2, "the current one, and the one before it");
        }
        match n {
            WARM => warm = resident(),
            _ if n > WARM => most = most.max(resident()),
            _ => {}
        }
        swapped = n;
        if n >= LEAST && begun.elapsed() >= soak_time() {
            // On a slow machine, a swap of both codecs takes longer than it has.
            break;
        }
        sleep_until(next).await;
    }
    let (end, took) = (resident(), begun.elapsed());
    last.store(u64::MAX, Ordering::Relaxed);
    let broadcasts = broadcasting.await.expect("all sessions took each broadcast");
    last.store(broadcasts, Ordering::Relaxed);
    let (mut requests, mut questions) = (0, 0);
    for player in playing {
        let player = player.await.expect("each number came once, in its order");
        requests += player.sent;
        questions += player.questions;
        assert!(player.switch_at.is_none(), "the framing was changed");
    }
    println!(
        "{swapped} swaps of {POMELO} and {DIGITS} sessions in {took:.1?}: {requests} requests ({:.0}/s), \
         {questions} questions, {broadcasts} broadcasts; \
         the longest move {longest} us, the longest swap {slowest} ms; \
         resident {:.1} MiB at swap {WARM}, {:.1} at the most after it, {:.1} at the end",
        requests as f64 / took.as_secs_f64(),
        mib(warm),
        mib(most),
        mib(end),
    );
    assert!(questions >= DIGITS as u64 * PIPELINE, "{questions}");
    let read = requests + questions;
    let wanted = 2 * requests + questions + broadcasts * CLIENTS as u64;
    let stats = server.until("all counted", |stats| stats.messages_out >= wanted).await;
    assert_eq!((stats.messages_in, stats.messages_out, stats.drops), (read, wanted, [].into()));
    assert!(end.saturating_sub(warm) < GROWTH, "grown from {warm} to {end} bytes");
}

/// Plays until there are no more broadcasts.
async fn play(mut player: Player, mut next: Instant, last: Arc<AtomicU64>) -> Player {
    while last.load(Ordering::Relaxed) == 0 {
        assert_eq!(player.read_until(next).await, Link::Open);
        player.ask(PIPELINE).await;
        assert_eq!(player.answers().await, Link::Open);
        // If a batch is late, the later ones are not sent faster to make up for it.
        next = (next + PAUSE).max(Instant::now());
    }
    let number = loop {
        match last.load(Ordering::Relaxed) {
            u64::MAX => assert_eq!(player.read_until(Instant::now() + PAUSE).await, Link::Open),
            number => break number,
        }
    };
    player.broadcast(number).await;
    player
}
