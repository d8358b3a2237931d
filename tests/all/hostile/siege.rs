//! Many honest clients use one process with all hostile guests, also on a busy machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use tokio::task::JoinHandle;
use wireplug::CodecSource;
use wireplug_tests::app::{self, ECHO};
use wireplug_tests::client::Client;
use wireplug_tests::raw::Raw;
use wireplug_tests::server;

use super::calls;

const HONEST: usize = 200;

/// No answer of an honest client takes longer. A guest may occupy a worker thread for a quarter of
/// a second when it opens, several do so at once, and the machine of this test has few threads and
/// much to do.
const BOUND: Duration = Duration::from_secs(20);

/// How often each hostile guest strikes.
const STRIKES: usize = 3;

/// Sends numbered requests one after the other until `stop` is set. Returns their number and the
/// longest time of an answer.
fn honest(url: String, stop: &Arc<AtomicBool>) -> JoinHandle<(u64, Duration)> {
    let stop = Arc::clone(stop);
    tokio::spawn(async move {
        let mut client = Client::connect(&url).await;
        let (mut count, mut slowest) = (0, Duration::ZERO);
        loop {
            let asked = Instant::now();
            assert_eq!(client.call(ECHO, &json!({ "n": count })).await, json!({ "n": count }));
            slowest = slowest.max(asked.elapsed());
            count += 1;
            if stop.load(Ordering::Relaxed) {
                return (count, slowest);
            }
        }
    })
}

async fn all_were_served(clients: Vec<JoinHandle<(u64, Duration)>>) {
    for client in clients {
        let (_, slowest) = client.await.expect("every answer was right");
        assert!(slowest < BOUND, "an answer took {slowest:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_library_beside_two_hundred_honest_clients() {
    let library: Vec<_> = calls::strikers().into_iter().chain(calls::rogues()).collect();
    let guests = library
        .iter()
        .enumerate()
        .map(|(index, (guest, ..))| CodecSource::bytes(&format!("guest-{index}"), guest.build(), json!({})))
        // One guest imports a function that it must not call, and calls it.
        .map(|source| source.allow_unused_wasi(true));
    let sources = [CodecSource::pomelo(json!({}))].into_iter().chain(guests);
    let mut setup = server::setup();
    setup.server.max_connections = 400;
    let server = server::serve(app::with_guests(), setup, sources).await;

    let stop = Arc::default();
    let clients =
        (0..HONEST).map(|n| honest(if n % 2 == 0 { server.tcp() } else { server.ws() }, &stop)).collect();
    server.until("all honest clients", |stats| stats.messages_in as usize >= HONEST).await;

    // All guests strike at once.
    let attacks = library.iter().enumerate().map(|(n, (_, said, _))| {
        let url = server.tcp_of(n + 1);
        async move {
            for _ in 0..STRIKES {
                let mut client = Raw::connect(&url).await;
                client.send(*said).await;
                assert_eq!(client.rest().await, b"");
            }
        }
    });
    join_all(attacks).await;

    // Each strike ended its own connection for its own cause, and nothing else.
    let strikes = (library.len() * STRIKES) as u64;
    let stats = server.until("every strike", |stats| stats.closes.values().sum::<u64>() >= strikes).await;
    for (_, _, cause) in &library {
        let expected = library.iter().filter(|(_, _, other)| other == cause).count() * STRIKES;
        assert_eq!(stats.closes.get(cause), Some(&(expected as u64)), "{cause}: {:?}", stats.closes);
    }
    assert_eq!(stats.connections_open as usize, HONEST);

    stop.store(true, Ordering::Relaxed);
    all_were_served(clients).await;
    server.until("all gone", |stats| stats.connections_open == 0).await;
    assert_eq!(server.stats().drops, [].into());
}

/// Twice as many threads as processors only burn CPU time. With the default limits, no honest codec
/// is stopped because of that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_machine_is_not_the_codec_s_fault() {
    let mut setup = server::setup();
    setup.codec = wireplug::config::CodecLimits::default();
    let server = server::serve(app::demo(), setup, [CodecSource::pomelo(json!({}))]).await;
    let stop = Arc::<AtomicBool>::default();
    let processors = thread::available_parallelism().map_or(2, usize::from);
    let burners: Vec<_> = (0..2 * processors)
        .map(|_| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    let clients = (0..20).map(|_| honest(server.tcp(), &stop)).collect();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(server.stats().closes, [].into());
    stop.store(true, Ordering::Relaxed);
    burners.into_iter().for_each(|burner| burner.join().expect("a burner only burns"));
    all_were_served(clients).await;
    let stats = server.until("all gone", |stats| stats.connections_open == 0).await;
    assert_eq!(stats.closes.keys().collect::<Vec<_>>(), [&"client-closed"]);
}
