//! Sessions of codecs that leak memory continue in new sandboxes, if they can be moved by a
//! handoff.

use serde_json::json;
use wireplug_tests::app;
use wireplug_tests::hostile::Function::{Decode, Restore, Save};
use wireplug_tests::hostile::{Guest, bodies};
use wireplug_tests::raw::Raw;
use wireplug_tests::server::{self, TestServer};

use super::guests::{REFUSE, decode, marked};
use super::{echo, generation, guest, slot};

/// The pages of 64 KiB that a sandbox may have.
const PAGES: u64 = 256;

/// Returns a guest that loses a page with every line, and traps when it gets no more pages. It also
/// traps in a session that has forgotten its first line, `a`, and would take the next one for it.
fn leaking(name: &str) -> Guest {
    let lose = "(if (i32.eq (global.get $mark) (i32.const 98)) (then unreachable))
        (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))";
    marked(name).with(Decode, &decode(lose))
}

async fn serve(codec: &Guest) -> (TestServer, Raw) {
    let server = server::serve(app::with_guests(), server::setup(), [guest(codec)]).await;
    let mut client = Raw::connect(&server.tcp()).await;
    echo(&mut client, "a").await;
    (server, client)
}

/// Sends lines until the connection ends. Returns how many came back.
async fn say_until_closed(client: &mut Raw) -> u64 {
    let mut lines = 0;
    loop {
        client.send(b"b\n").await;
        if client.try_line().await.is_none() {
            return lines;
        }
        lines += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_outlives_many_sandboxes() {
    let (server, mut client) = serve(&leaking("leaking")).await;
    let slot = &slot(&server);
    for line in 0..10 * PAGES {
        echo(&mut client, &format!("b{line}")).await;
    }
    let renewed = generation(slot, 1).renewed;
    // Each sandbox serves for three quarters of its pages.
    assert!((10..=14).contains(&renewed), "{renewed}");
    assert_eq!(generation(slot, 1).faults, [].into());
    // A session that has memory left is not renewed.
    let mut neighbour = Raw::connect(&server.tcp()).await;
    echo(&mut neighbour, "a").await;
    assert_eq!(generation(slot, 1).renewed, renewed);
    drop((client, neighbour));
    server.until_closed("client-closed", 2).await;
}

/// The session cannot be saved, so it stays in its sandbox and ends at the limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_cannot_be_saved_ends_at_the_limit() {
    let (server, mut client) = serve(&leaking("settled").with(Save, REFUSE)).await;
    let lines = say_until_closed(&mut client).await;
    assert!((PAGES - 10..PAGES).contains(&lines), "{lines}");
    server.until_closed("codec-memory", 1).await;
    let generation = generation(&slot(&server), 1);
    assert_eq!((generation.renewed, json!(generation.faults)), (0, json!({ "memory": 1 })));
}

/// The renewal is tried once, its failure is counted, and the session continues.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_cannot_be_restored_ends_at_the_limit() {
    let (server, mut client) = serve(&leaking("broken").with(Restore, bodies::TRAP)).await;
    let lines = say_until_closed(&mut client).await;
    assert!((PAGES - 10..PAGES).contains(&lines), "{lines}");
    server.until_closed("codec-memory", 1).await;
    let generation = generation(&slot(&server), 1);
    assert_eq!((generation.renewed, json!(generation.faults)), (0, json!({ "memory": 1, "trap": 1 })));
}
