//! A soak: the server is upgraded again and again under clients that count.
//!
//! `cargo xtask soak upgrade [SECONDS]` runs it. Clients over TCP and WebSocket send numbered
//! requests, and numbered pushes go to all of them. None may be disconnected, and nothing may be
//! lost, doubled or out of order.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use wireplug_tests::client::Client;
use wireplug_tests::running::{PATIENCE, wait_for};
use wireplug_tests::{soak_time, within};

use super::{DEMO, REST, Successor, Upgradable, join};

/// The number of clients. `WIREPLUG_SOAK_SESSIONS` sets another one.
const CLIENTS: usize = 200;

#[test]
#[ignore = "a soak: `cargo xtask soak upgrade` runs it"]
fn in_a_process_of_its_own() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(upgrades());
}

async fn upgrades() {
    let clients =
        std::env::var("WIREPLUG_SOAK_SESSIONS").map_or(CLIENTS, |text| text.parse().expect("a number"));
    let limits = "[server]\nmax-connections = 20000\n";
    let mut old = Upgradable::start("upgrade-soak", &DEMO.replace("[codecs", &format!("{limits}[codecs")));
    let end = Instant::now() + soak_time();
    let (stop, pushed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));

    // One client says numbers, and all hear them.
    let mut listeners = Vec::new();
    for number in 0..clients {
        let scheme = if number % 2 == 0 { "tcp" } else { "ws" };
        let mut client = Client::open(&old.server.url(scheme)).await;
        client.handshake(None).await;
        join(&mut client, &format!("client {number}")).await;
        let (stop, pushed) = (Arc::clone(&stop), Arc::clone(&pushed));
        listeners.push(tokio::spawn(async move { listen(client, number, stop, pushed).await }));
    }
    let mut speaker = Client::open(&old.server.url("tcp")).await;
    speaker.handshake(None).await;
    join(&mut speaker, "speaker").await;
    let speaking = {
        let (stop, pushed) = (Arc::clone(&stop), Arc::clone(&pushed));
        tokio::spawn(async move {
            let mut number = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                let body = json!({ "text": number.to_string() }).to_string();
                within("an answer", speaker.request("chat.chatHandler.send", body)).await;
                number += 1;
                pushed.store(number, Ordering::Relaxed);
                sleep(REST / 20).await;
            }
            number
        })
    };

    let (mut upgrades, mut longest): (u64, u64) = (0, 0);
    let mut used = Vec::new();
    let mut last: Option<Successor> = None;
    while Instant::now() < end || upgrades < 3 {
        let (new, report) = tokio::task::block_in_place(|| old.upgrade());
        assert_eq!(report["moved"], json!(clients + 1), "{report}");
        longest = longest.max(report["took-ms"].as_u64().expect("a number"));
        upgrades += 1;
        // The one before has no session, and ends by itself.
        tokio::task::block_in_place(|| match last.replace(new) {
            Some(before) => {
                wait_for("the end of the process before", PATIENCE, || (!before.is_running()).then_some(()));
            }
            None => assert_eq!(old.server.exit_code(), Some(0)),
        });
        sleep(REST).await;
        used.push(Used::by(last.as_ref().expect("there was an upgrade")));
    }
    stop.store(true, Ordering::Relaxed);
    let said = speaking.await.expect("the speaker goes on");
    let mut asked = 0;
    for listener in listeners {
        asked += within("the listeners", listener).await.expect("a client goes on");
    }
    println!("{upgrades} upgrades of {clients} sessions, at most {longest} ms each");
    println!("{said} pushes to each, {asked} requests");
    assert!(said > 0 && asked > 0);
    let (first, now) = (used[1], used[used.len() - 1]);
    println!("the second process: {first:?}, the last: {now:?}");
    // Each process begins anew, so what it has does not depend on how many there were before.
    assert!(now.descriptors <= first.descriptors + 8 && now.kib <= first.kib + first.kib / 4);
    last.expect("there was an upgrade").end();
}

/// What a process uses.
#[derive(Clone, Copy, Debug)]
struct Used {
    descriptors: usize,
    /// Its own memory, without what it shares.
    kib: u64,
}

impl Used {
    fn by(process: &Successor) -> Self {
        let folder = format!("/proc/{}", process.0);
        let descriptors = fs::read_dir(format!("{folder}/fd")).expect("it runs").count();
        let status = fs::read_to_string(format!("{folder}/status")).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a line for it");
        Self { descriptors, kib: line.trim().trim_end_matches(" kB").parse().expect("a number") }
    }
}

/// Sends numbered requests, and hears the numbers in order. Returns the number of requests.
async fn listen(mut client: Client, own: usize, stop: Arc<AtomicBool>, pushed: Arc<AtomicU64>) -> u64 {
    let (mut asked, mut heard) = (0_u64, None::<u64>);
    loop {
        let (is_over, wanted) = (stop.load(Ordering::Relaxed), pushed.load(Ordering::Relaxed));
        let body = asked.to_string();
        let answer = within("an answer", client.request("connector.entryHandler.echo", &body)).await;
        assert_eq!(answer, body.into_bytes(), "client {own}");
        asked += 1;
        for push in client.take_pushes() {
            hear(&push, &mut heard, own);
        }
        if is_over {
            // A push from one process to the other takes longer than an answer.
            while heard.is_none_or(|heard| heard + 1 < wanted) {
                let push = within("the last push", client.next_push_body()).await;
                hear(&push, &mut heard, own);
            }
            return asked;
        }
        sleep(REST / 2).await;
    }
}

/// Checks that a push is the next one.
fn hear(push: &[u8], heard: &mut Option<u64>, own: usize) {
    let push: Value = serde_json::from_slice(push).expect("it is JSON");
    let number: u64 = push["text"].as_str().expect("text").parse().expect("a number");
    if let Some(before) = heard.replace(number) {
        assert_eq!(number, before + 1, "client {own} hears {number} after {before}");
    }
}
