//! Idle sessions sleep: they are saved, and have no sandbox until something happens. Their clients
//! notice nothing.

mod pressure;
mod unnoticed;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use wireplug::CodecSource;
use wireplug::config::CodecLimits;
use wireplug::config::LiveSessions::Handoff;
use wireplug::session::{Message, SessionId};
use wireplug::slot::{SleepStatus, Slot};
use wireplug_tests::app::{self, ECHO, ON_CHAT};
use wireplug_tests::client::Client;
use wireplug_tests::hostile::Function::{Restore, Save};
use wireplug_tests::hostile::{Guest, bodies};
use wireplug_tests::raw::{KICK, Raw};
use wireplug_tests::server::{self, Setup, TestServer};
use wireplug_tests::versions::POMELO;
use wireplug_wasm::{WasmEngine, WasmLoader};

use super::guests::{REFUSE, if_marked, marked, restore_if_marked};
use super::{echo, generation, guest, pomelo, pomelo_with, slot, until};

/// Returns a setup in which a session sleeps after each pause.
fn setup() -> Setup {
    let mut setup = server::setup();
    setup.codec.sleep_after = Duration::from_millis(1);
    setup
}

/// Waits until this many sessions of a generation sleep.
async fn asleep(slot: &Slot, number: u64, sessions: u64) -> SleepStatus {
    let reached = |of: &wireplug::slot::GenerationStatus| of.number == number && of.sleep.asleep == sessions;
    until(slot, &format!("{sessions} asleep"), |status| status.generations.iter().any(reached)).await;
    generation(slot, number).sleep
}

/// Connects clients to a server that speaks Pomelo, and waits until they are established.
async fn clients(server: &TestServer, count: usize) -> Vec<Client> {
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(Client::connect(&server.tcp()).await);
    }
    server.until("all established", |_| server.sessions().len() == count).await;
    clients
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_packet_wakes_a_session_and_half_a_packet_does_not() {
    let server = server::serve(app::with_guests(), setup(), [guest(&marked("marked"))]).await;
    let slot = &slot(&server);
    let mut client = Raw::connect(&server.tcp()).await;
    echo(&mut client, "a").await;
    for n in 1..=3 {
        let before = asleep(slot, 1, 1).await;
        assert!(before.saved_bytes == 1 && before.slept_idle >= n, "{before:?}");
        client.send(b"half ").await;
        server.until("the half to come", |stats| stats.packets_in == n).await;
        assert_eq!(asleep(slot, 1, 1).await.woken_packet, before.woken_packet);
        client.send(b"and half\n").await;
        assert_eq!(client.line().await, "half and half");
        let after = generation(slot, 1).sleep;
        assert_eq!(after.woken_packet, before.woken_packet + 1);
    }
    drop(client);
    server.until_closed("client-closed", 1).await;
    asleep(slot, 1, 0).await;
    assert_eq!(generation(slot, 1).sleep.saved_bytes, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_timer_of_the_codec_wakes_a_session() {
    let codec = pomelo_with(1, json!({ "heartbeat": 1 }));
    let server = server::serve(app::demo(), setup(), [codec]).await;
    let mut client = Client::connect(&server.tcp()).await;
    asleep(&slot(&server), 1, 1).await;
    // Pomelo ends a session whose client sends no heartbeat. Only its timer can find that out.
    client.closed().await;
    server.until_closed("protocol", 1).await;
    assert!(generation(&slot(&server), 1).sleep.woken_timer > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_to_one_wakes_it_and_a_push_to_many_wakes_nobody() {
    const CLIENTS: usize = 20;
    let server = server::serve(app::demo(), setup(), [pomelo(1)]).await;
    let slot = &slot(&server);
    let mut clients = clients(&server, CLIENTS).await;
    let before = asleep(slot, 1, CLIENTS as u64).await;
    for n in 0..50 {
        let message = Message::push(ON_CHAT, n.to_string());
        assert_eq!(server.sessions().all().send(&message), CLIENTS);
    }
    for client in &mut clients {
        for n in 0..50 {
            assert_eq!(client.next_push().await, (ON_CHAT.to_owned(), json!(n)));
        }
    }
    assert_eq!(generation(slot, 1).sleep, before, "nobody has woken");
    assert_eq!(generation(slot, 1).shared, 50);

    let session = server.sessions().get(SessionId(1)).expect("it is there");
    session.push(ON_CHAT, "for you").expect("there is room");
    assert_eq!(clients[0].next_push().await, (ON_CHAT.to_owned(), json!("for you")));
    let after = asleep(slot, 1, CLIENTS as u64).await;
    assert_eq!(after.woken_message, before.woken_message + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_sleeps_moves_and_sleeps_on() {
    let server = server::serve(app::with_guests(), setup(), [guest(&marked("one"))]).await;
    let slot = &slot(&server);
    let mut clients = [Raw::connect(&server.tcp()).await, Raw::connect(&server.tcp()).await];
    for (client, line) in clients.iter_mut().zip(["a", "!"]) {
        echo(client, line).await;
    }
    let old = asleep(slot, 1, 2).await;
    // The session with the mark `!` cannot move, so it sleeps on where it is.
    let picky = marked("picky").with(Restore, &restore_if_marked(REFUSE));
    let report = slot.swap(&guest(&picky), Some(Handoff)).await.expect("a good codec");
    assert_eq!((report.moved, report.staying), (1, 1), "{report:?}");
    let [left, new] = [1, 2].map(|number| generation(slot, number).sleep);
    assert_eq!((left.asleep, new.asleep), (1, 1), "{left:?} {new:?}");
    assert_eq!(left.woken_swap, 1);
    assert_eq!(left.woken_packet, old.woken_packet, "the old codec was not called");
    for (client, line) in clients.iter_mut().zip(["a", "!"]) {
        echo(client, line).await;
    }
    assert!(generation(slot, 1).faults.is_empty() && generation(slot, 2).faults.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_whose_codec_refuses_to_save_stays_awake() {
    let settled = marked("settled").with(Save, &if_marked(REFUSE, super::guests::SAVE));
    let server = server::serve(app::with_guests(), setup(), [guest(&settled)]).await;
    let slot = &slot(&server);
    let mut client = Raw::connect(&server.tcp()).await;
    echo(&mut client, "!").await;
    until(slot, "refusals", |status| status.generations[0].sleep.refused >= 2).await;
    echo(&mut client, "still here").await;
    let sleep = generation(slot, 1).sleep;
    assert_eq!((sleep.asleep, sleep.slept_idle), (0, 0), "{sleep:?}");
    // Another session of the same codec sleeps.
    let mut other = Raw::connect(&server.tcp()).await;
    echo(&mut other, "a").await;
    asleep(slot, 1, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_in_save_or_restore_ends_the_session_alone() {
    let fragile = |function, body: &str| marked("fragile").with(function, body);
    let save = fragile(Save, &if_marked(bodies::TRAP, super::guests::SAVE));
    let restore = fragile(Restore, &restore_if_marked(bodies::TRAP));
    for codec in [save, restore] {
        let server = server::serve(app::with_guests(), setup(), [guest(&codec)]).await;
        let slot = &slot(&server);
        let [mut client, mut other] = [Raw::connect(&server.tcp()).await, Raw::connect(&server.tcp()).await];
        echo(&mut other, "a").await;
        echo(&mut client, "!").await;
        // Both sleep, unless the codec fails to save one of them.
        until(slot, "the fault or the sleep", |status| {
            let of = &status.generations[0];
            of.sleep.asleep == 2 || of.sleep.asleep == 1 && !of.faults.is_empty()
        })
        .await;
        client.send(b"b\n").await;
        assert!(client.rest().await.is_empty());
        server.until_closed("codec-trap", 1).await;
        assert_eq!(json!(generation(slot, 1).faults), json!({ "trap": 1 }));
        echo(&mut other, "well").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_codec_without_handoff_does_not_sleep() {
    let codecs = [guest(&Guest::new("plain")), guest(&marked("marked")).named("marked")];
    let server = server::serve(app::with_guests(), setup(), codecs).await;
    let mut plain = Raw::connect(&server.tcp_of(0)).await;
    let mut marked = Raw::connect(&server.tcp_of(1)).await;
    for client in [&mut plain, &mut marked] {
        echo(client, "a").await;
    }
    let [slot, slot_of_marked] = &server.slots()[..] else { unreachable!("there are two codecs") };
    let slept = asleep(slot_of_marked, 1, 1).await.slept_idle;
    // The one sleeps several times, and the other one not at all.
    for _ in 0..5 {
        echo(&mut marked, "b").await;
        asleep(slot_of_marked, 1, 1).await;
    }
    assert!(generation(slot_of_marked, 1).sleep.slept_idle >= slept + 5);
    assert_eq!(generation(slot, 1).sleep, SleepStatus::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zero_means_never() {
    let mut setup = setup();
    setup.codec.sleep_after = Duration::ZERO;
    let sleepless = CodecSource::bytes("sleepless", marked("sleepless").build(), json!({}));
    let server = server::serve(app::with_guests(), setup, [sleepless]).await;
    let mut client = Raw::connect(&server.tcp()).await;
    for _ in 0..5 {
        echo(&mut client, "a").await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(generation(&slot(&server), 1).sleep, SleepStatus::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_wakes_for_its_farewell() {
    let server = server::serve(app::demo(), setup(), [pomelo(1)]).await;
    let mut client = Raw::pomelo(&server.tcp()).await;
    server.until("it is established", |_| server.sessions().len() == 1).await;
    asleep(&slot(&server), 1, 1).await;
    server.sessions().get(SessionId(1)).expect("it is there").kick("enough");
    assert_eq!(client.package().await, (KICK, br#"{"reason":"enough"}"#.to_vec()));
    server.until_closed("kicked", 1).await;
    let sleep = generation(&slot(&server), 1).sleep;
    assert_eq!((sleep.asleep, sleep.woken_farewell), (0, 1));
}

/// A handler may run for as long as it likes. Its response wakes the session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_sleeps_while_its_handler_runs() {
    let latch = Arc::new(tokio::sync::Notify::new());
    let opened = Arc::clone(&latch);
    let app = app::demo().route("wait", move |body: bytes::Bytes| {
        let latch = Arc::clone(&opened);
        async move {
            latch.notified().await;
            body
        }
    });
    let server = server::serve(app, setup(), [pomelo(1)]).await;
    let mut client = Client::connect(&server.tcp()).await;
    let id = client.ask("wait", "1").await;
    server.until("the request", |stats| stats.messages_in == 1).await;
    let before = asleep(&slot(&server), 1, 1).await;
    latch.notify_one();
    assert_eq!(client.response(id).await, b"1");
    assert!(generation(&slot(&server), 1).sleep.woken_message > before.woken_message);
}

/// The memory of a sandbox is given back, and so is the state when the session wakes or ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_sleeps_takes_no_memory_of_its_codec() {
    let limits = CodecLimits { call_wall: Duration::from_secs(20), ..CodecLimits::default() };
    let engine = WasmEngine::new(20, limits.memory).expect("room for the sandboxes");
    let codec = WasmLoader::new(&engine, limits).load(POMELO, "{}".to_owned().into()).expect("a good codec");
    let codec = Arc::new(codec);
    let source = CodecSource::native(codec.clone()).named("pomelo");
    let server = server::serve(app::demo(), setup(), [source]).await;
    let mut clients = clients(&server, 10).await;
    let sleep = asleep(&slot(&server), 1, 10).await;
    assert!(sleep.saved_bytes > 0);
    wireplug_tests::until("only the states are left", async || {
        codec.memory() as u64 == generation(&slot(&server), 1).sleep.saved_bytes
    })
    .await;
    assert_eq!(clients[0].request(ECHO, "1").await, b"1");
    drop(clients);
    server.until_closed("client-closed", 10).await;
    wireplug_tests::until("all is given back", async || codec.memory() == 0).await;
}
