//! There are fewer sandboxes than sessions. Those that were idle for longest sleep, and the others
//! wait for their turn.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use wireplug::status::AwakeStatus;
use wireplug_tests::app::{self, ECHO};
use wireplug_tests::client::Client;
use wireplug_tests::hostile::Function::Save;
use wireplug_tests::hostile::Guest;
use wireplug_tests::raw::Raw;
use wireplug_tests::server::{self, Setup, TestServer};

use super::super::guests::{REFUSE, SAVE, if_marked, marked};
use super::super::{echo, generation, guest, pomelo, slot};
use super::clients;

/// Returns a setup with this many sandboxes for sessions. Sessions sleep only if others need them.
fn crowded(max_awake: u32) -> Setup {
    let mut setup = server::setup();
    setup.codec.sleep_after = Duration::from_secs(3600);
    setup.server.max_awake = Some(max_awake);
    setup
}

async fn awake(server: &TestServer) -> AwakeStatus {
    server.nodes().status().await.remove(0).awake
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_are_served_with_few_sandboxes() {
    const CLIENTS: usize = 40;
    let server = server::serve(app::demo(), crowded(4), [pomelo(1)]).await;
    let mut clients = clients(&server, CLIENTS).await;
    for round in 0..10 {
        let asked = clients.iter_mut().enumerate().map(|(n, client)| async move {
            let body = json!([round, n]).to_string();
            assert_eq!(client.request(ECHO, &body).await, body.as_bytes());
        });
        join_all(asked).await;
        let status = awake(&server).await;
        assert!(status.awake <= 4 && status.max_awake == 4, "{status:?}");
    }
    let sleep = generation(&slot(&server), 1).sleep;
    assert!(sleep.asleep >= CLIENTS as u64 - 4, "{sleep:?}");
    assert!(sleep.slept_pressure > CLIENTS as u64 && sleep.slept_idle == 0, "{sleep:?}");
    assert!(sleep.woken_packet > 0, "{sleep:?}");
    // Each of them gets its farewell.
    let stopping = tokio::spawn(server.shutdown());
    for client in &mut clients {
        client.closed().await;
    }
    let stats = stopping.await.expect("it stops");
    assert_eq!((stats.closes, stats.drops), ([("shutdown", CLIENTS as u64)].into(), [].into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_session_that_was_idle_for_longest_sleeps() {
    let server = server::serve(app::with_guests(), crowded(2), [guest(&marked("marked"))]).await;
    let slot = &slot(&server);
    let [mut one, mut two] = [Raw::connect(&server.tcp()).await, Raw::connect(&server.tcp()).await];
    for n in [1, 2, 1] {
        echo(if n == 1 { &mut one } else { &mut two }, "a").await;
        // The uses are compared in milliseconds.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut three = Raw::connect(&server.tcp()).await;
    echo(&mut three, "a").await;
    assert_eq!(generation(slot, 1).sleep.slept_pressure, 1);
    echo(&mut one, "b").await;
    assert_eq!(generation(slot, 1).sleep.woken_packet, 0, "it was awake");
    echo(&mut two, "b").await;
    assert_eq!(generation(slot, 1).sleep.woken_packet, 1);
}

/// Nobody can sleep, so a new client waits, and is refused after a while. The others are not
/// affected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_client_waits_and_is_refused_in_the_end() {
    let settled = marked("settled").with(Save, &if_marked(REFUSE, SAVE));
    let codecs = [guest(&Guest::new("plain")), guest(&settled).named("settled")];
    let server = server::serve(app::with_guests(), crowded(2), codecs).await;
    let mut plain = Raw::connect(&server.tcp_of(0)).await;
    echo(&mut plain, "a").await;
    let mut settled = Raw::connect(&server.tcp_of(1)).await;
    echo(&mut settled, "!").await;

    let mut waiting = Raw::connect(&server.tcp_of(1)).await;
    waiting.send(b"is there room?\n").await;
    assert!(waiting.rest().await.is_empty());
    server.until_closed("server-full", 1).await;
    assert!(generation(&server.slots()[1], 1).sleep.refused > 0);

    let mut waiting = Raw::connect(&server.tcp_of(1)).await;
    waiting.send(b"is there room?\n").await;
    wireplug_tests::until("it waits", async || awake(&server).await.waiting == 1).await;
    for client in [&mut plain, &mut settled] {
        echo(client, "still here").await;
    }
    drop(settled);
    assert_eq!(waiting.line().await, "is there room?");
    echo(&mut plain, "still here").await;
}

/// The sandboxes are all taken by sessions that cannot sleep. A session that sleeps waits, and
/// nothing of what its client sends is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_sleeps_waits_for_a_sandbox() {
    let settled = marked("settled").with(Save, &if_marked(REFUSE, SAVE));
    let server = server::serve(app::with_guests(), crowded(1), [guest(&settled)]).await;
    let mut sleeper = Raw::connect(&server.tcp()).await;
    echo(&mut sleeper, "a").await;
    let mut settled = Raw::connect(&server.tcp()).await;
    echo(&mut settled, "!").await;
    assert_eq!(generation(&slot(&server), 1).sleep.asleep, 1);
    sleeper.send(b"one\ntwo\n").await;
    wireplug_tests::until("it waits", async || awake(&server).await.waiting == 1).await;
    sleeper.send(b"three\n").await;
    echo(&mut settled, "still here").await;
    drop(settled);
    for line in ["one", "two", "three"] {
        assert_eq!(sleeper.line().await, line);
    }
    assert_eq!(awake(&server).await, {
        let mut status = AwakeStatus::default();
        (status.awake, status.max_awake) = (1, 1);
        status
    });
}

/// A session that cannot wake for its farewell ends without one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_without_a_sandbox_ends_without_a_farewell() {
    let codecs = [pomelo(1), guest(&Guest::new("plain"))];
    let server = server::serve(app::with_guests(), crowded(1), codecs).await;
    let mut sleeper = Client::connect(&server.tcp_of(0)).await;
    server.until("it is established", |_| server.sessions().len() == 1).await;
    let mut plain = Raw::connect(&server.tcp_of(1)).await;
    echo(&mut plain, "a").await;
    let session = server.sessions().get(wireplug::session::SessionId(1)).expect("it is there");
    session.kick("enough");
    sleeper.closed().await;
    server.until_closed("kicked", 1).await;
    let sleep = generation(&server.slots()[0], 1).sleep;
    assert_eq!((sleep.asleep, sleep.woken_farewell), (0, 0));
    assert_eq!(awake(&server).await.waiting, 0);
}
