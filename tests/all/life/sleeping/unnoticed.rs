//! The same client gets the same bytes from a server whose sessions sleep at each pause, and from
//! one whose sessions never sleep.

use std::time::Duration;

use serde_json::json;
use wireplug::CodecSource;
use wireplug_tests::app::{self, ECHO, GUEST};
use wireplug_tests::digits::{Form, frame};
use wireplug_tests::raw::{ACK, HEARTBEAT, Raw, frame as ws_frame, hello, notification, package, request};
use wireplug_tests::server::{self, TestServer};
use wireplug_tests::versions::{DIGITS, POMELO};

use super::super::guests::marked;
use super::super::{generation, guest, slot};
use super::{asleep, setup};

/// The bytes that a client sends between two pauses, and the number of packets that are whole then.
type Steps = Vec<(Vec<u8>, u64)>;

/// Sends all steps, with a pause after each, and returns everything that the server sent. The
/// session sleeps in each pause, or never.
async fn play(server: &TestServer, steps: &Steps, upgrades: bool, sleeps: bool) -> Vec<u8> {
    let mut client = match upgrades {
        true => Raw::upgraded(&server.tcp()).await,
        false => Raw::connect(&server.tcp()).await,
    };
    let mut packets = 0;
    for (bytes, whole) in steps {
        client.send(bytes).await;
        packets += whole;
        server.until("the packets of a step", |stats| stats.packets_in == packets).await;
        if sleeps {
            asleep(&slot(server), 1, 1).await;
        }
    }
    client.finish().await;
    let got = client.rest().await;
    let sleep = generation(&slot(server), 1).sleep;
    assert_eq!(sleep.slept_idle > 0, sleeps, "{sleep:?}");
    got
}

async fn gets_the_same(codec: CodecSource, steps: Steps, upgrades: bool) {
    let mut awake = setup();
    awake.codec.sleep_after = Duration::ZERO;
    let mut got = Vec::new();
    for (setup, sleeps) in [(awake, false), (setup(), true)] {
        let server = server::serve(app::with_guests(), setup, [codec.clone()]).await;
        got.push(play(&server, &steps, upgrades, sleeps).await);
        let stats = server.shutdown().await;
        assert_eq!((stats.connections_open, stats.drops), (0, [].into()));
    }
    assert!(!got[0].is_empty());
    assert_eq!(got[0], got[1], "{} is not {}", got[0].escape_ascii(), got[1].escape_ascii());
}

/// Divides a packet in the middle, with a pause there.
fn in_two_parts(packet: &[u8]) -> [(Vec<u8>, u64); 2] {
    let (one, other) = packet.split_at(packet.len() / 2);
    [(one.to_vec(), 0), (other.to_vec(), 1)]
}

fn pomelo_packages() -> Vec<Vec<u8>> {
    let mut packages = vec![hello(), package(ACK, "")];
    for id in 1..=4 {
        packages.push(package(HEARTBEAT, ""));
        packages.push(request(id, ECHO, format!("body {id}")));
        packages.push(notification(ECHO, "nothing"));
    }
    packages
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pomelo_over_tcp() {
    let steps = pomelo_packages().iter().flat_map(|package| in_two_parts(package)).collect();
    // The heartbeats are far apart, so that no timer adds bytes.
    gets_the_same(CodecSource::bytes("pomelo", POMELO, json!({ "heartbeat": 3600 })), steps, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pomelo_over_websocket() {
    let steps = pomelo_packages().iter().map(|package| (ws_frame(package), 1)).collect();
    gets_the_same(CodecSource::bytes("pomelo", POMELO, json!({ "heartbeat": 3600 })), steps, true).await;
}

/// The codec cuts its stream itself, and changes its framing in the middle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn digits() {
    let asked = |form: Form, id| form.write(&frame("REQ", id, GUEST, format!("body {id}")));
    let mut steps: Steps = Vec::new();
    for id in 1..=3 {
        steps.extend(in_two_parts(&asked(Form::Text, id)));
    }
    steps.push((Form::Text.write(&frame("BIN", 0, "", "")), 1));
    for id in 4..=6 {
        steps.extend(in_two_parts(&asked(Form::Binary, id)));
    }
    gets_the_same(CodecSource::bytes("digits", DIGITS, json!({})), steps, false).await;
}

/// The codec is called for each packet, without batches.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines() {
    let mut steps: Steps = Vec::new();
    for n in 0..3 {
        steps.extend(in_two_parts(format!("line {n}\n").as_bytes()));
        steps.push((b"one\ntwo\nthree\n".to_vec(), 3));
    }
    gets_the_same(guest(&marked("lines")), steps, false).await;
}
