//! Generations that keep failing are rolled back, automatically or by an operator. If there is no
//! previous generation, the codec is suspended.

use std::time::Duration;

use serde_json::json;
use wireplug::CodecSource;
use wireplug::config::FaultLimits;
use wireplug::config::LiveSessions::{Drain, Handoff};
use wireplug::slot::{Role, SwapError};
use wireplug_tests::folder::Folder;
use wireplug_tests::hostile::Function::{Decode, Restore};
use wireplug_tests::hostile::Guest;
use wireplug_tests::raw::{Raw, RawWebSocket};
use wireplug_tests::server::{self, Setup, TestServer};
use wireplug_tests::versions;
use wireplug_tests::{app, log};

use super::guests::{REFUSE, decode, marked, restore_if_marked};
use super::{echo, forgive, generation, guest, sessions_by_generation, slot, until, until_sessions};

const THRESHOLD: u32 = 3;

/// Returns a guest that traps at packets that begin with `?`.
fn bad() -> Guest {
    let trap = "(if (i32.eq (i32.load8_u (local.get $packet)) (i32.const 63)) (then unreachable))";
    marked("bad").with(Decode, &decode(trap))
}

async fn serve(source: CodecSource, faults: FaultLimits) -> TestServer {
    server::serve(app::with_guests(), Setup { faults, ..server::setup() }, [source]).await
}

fn limits(rollback: u32, suspend: u32, window: u64) -> FaultLimits {
    FaultLimits { rollback, suspend, per_address: 0, window: Duration::from_secs(window) }
}

/// Connects a client that sends this line.
async fn client(server: &TestServer, said: &str) -> Raw {
    let mut client = Raw::connect(&server.tcp()).await;
    echo(&mut client, said).await;
    client
}

/// Connects this many clients that make the codec trap, and waits until each fault is counted.
async fn strike(server: &TestServer, times: u32) {
    for _ in 0..times {
        let before = server.stats().faults().map(|(_, count)| count).sum::<u64>();
        let mut client = Raw::connect(&server.tcp()).await;
        client.send(b"?\n").await;
        assert_eq!(client.rest().await, b"");
        server.until_closed("codec-trap", before + 1).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_fails_too_often_is_rolled_back() {
    // The older version refuses to restore sessions that are marked.
    let older = marked("older").with(Restore, &restore_if_marked(REFUSE));
    let server = serve(guest(&older), limits(THRESHOLD, 0, 600)).await;
    let slot = &slot(&server);
    let mut clients = Vec::new();
    for said in ["one", "two", "!three", "four", "!five"] {
        clients.push(client(&server, said).await);
    }
    assert_eq!(slot.swap(&guest(&bad()), Some(Handoff)).await.expect("it fits").moved, 5);

    strike(&server, THRESHOLD - 1).await;
    assert_eq!(generation(slot, 2).faults, [("trap".to_owned(), u64::from(THRESHOLD) - 1)].into());
    assert_eq!((slot.status().current, sessions_by_generation(slot)), (2, vec![(1, 0), (2, 5)]));
    strike(&server, 1).await;
    // Three sessions move back, and the two marked ones drain.
    until_sessions(slot, &[(1, 3), (2, 2)]).await;
    let digest = versions::digest(&bad().build());
    let status = slot.status();
    assert_eq!((status.current, status.rolled_back, status.suspended), (1, vec![digest], false));
    assert_eq!(generation(slot, 2).role, Role::Leaving);
    let from = format!("from=2 from_sha256=\"{digest}\" to=1 ");
    let audited = ["wireplug::audit", "who=\"fault-policy\"", "change=\"rollback\"", &from];
    assert!(!log::lines(&audited).is_empty(), "{:?}", log::lines(&audited[..1]));
    for client in &mut clients {
        echo(client, "here").await;
    }
    let mut new = client(&server, "?").await;
    echo(&mut new, "on the older").await;
    assert_eq!(sessions_by_generation(slot), [(1, 4), (2, 2)]);
    let closes = server.until_closed("codec-trap", u64::from(THRESHOLD)).await.closes;
    assert_eq!(closes, [("codec-trap", u64::from(THRESHOLD))].into());

    let error = slot.swap(&guest(&bad()), None).await.expect_err("it was rolled back").to_string();
    let wanted = format!("the component {digest} was rolled back in the slot guest, and is not taken again");
    assert!(error.contains(&wanted), "{error}");
    forgive(slot);
    assert!(slot.status().rolled_back.is_empty());
    assert_eq!(slot.swap(&guest(&bad()), Some(Handoff)).await.expect("forgiven").to, 3);
    drop(clients);
    until_sessions(slot, &[(1, 0), (3, 1)]).await;
}

/// Faults of `restore` count too. A version that cannot restore sessions is rolled back while they
/// move.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_fails_to_take_sessions_over_is_rolled_back_at_once() {
    const CLIENTS: usize = 200;
    let server = serve(guest(&marked("older")), limits(THRESHOLD, 0, 600)).await;
    let slot = &slot(&server);
    let mut clients = Vec::new();
    for n in 0..CLIENTS {
        clients.push(client(&server, &n.to_string()).await);
    }
    let report = slot
        .swap(&guest(&marked("bad").with(Restore, "unreachable")), Some(Handoff))
        .await
        .expect("nothing is wrong with it yet");
    assert!(report.rolled_back, "{report:?}");
    assert_eq!(report.moved, 0);
    until_sessions(slot, &[(1, CLIENTS)]).await;
    assert_eq!((slot.status().current, slot.status().rolled_back.len()), (1, 1));
    for client in &mut clients {
        echo(client, "still here").await;
    }
    assert_eq!(server.stats().closes, [].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_by_hand() {
    let server = serve(guest(&marked("older")), limits(0, 0, 600)).await;
    let slot = &slot(&server);
    let none = |error: SwapError| {
        assert!(error.to_string().contains("guest has no generation to go back to"), "{error}");
    };
    none(slot.roll_back().await.expect_err("there was no swap"));
    let mut old = client(&server, "one").await;
    let newer = guest(&marked("newer"));
    slot.swap(&newer, Some(Handoff)).await.expect("it fits");
    let mut new = client(&server, "two").await;
    let report = slot.roll_back().await.expect("there is one before");
    assert_eq!((report.from, report.to, report.moved, report.staying), (2, 1, 2, 0));
    assert_eq!((slot.status().current, sessions_by_generation(slot)), (1, vec![(1, 2)]));
    echo(&mut old, "back").await;
    echo(&mut new, "on the older").await;
    none(slot.roll_back().await.expect_err("one before is kept, once"));
    assert!(slot.swap(&newer, None).await.is_err(), "it was rolled back");
    forgive(slot);
    slot.swap(&newer, Some(Drain)).await.expect("forgiven");
    // The sessions that drained are already on the generation that is current again.
    let report = slot.roll_back().await.expect("there is one before");
    assert_eq!((report.moved, sessions_by_generation(slot)), (0, vec![(1, 2)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_rolled_back_is_not_read_again() {
    let folder = Folder::new("codec");
    let source = CodecSource::file(folder.path("lines.wasm"), json!({}));
    folder.replace("lines.wasm", marked("older").build());
    let mut setup = Setup { faults: limits(THRESHOLD, 0, 600), ..server::setup() };
    setup.swap.watch = false;
    let server = server::serve(app::with_guests(), setup, [source]).await;
    let slot = &slot(&server);
    assert_eq!((slot.name(), slot.reload().await.expect("it is read")), ("lines", None));
    folder.replace("lines.wasm", bad().build());
    assert_eq!(slot.reload().await.expect("it is another").map(|report| report.to), Some(2));
    strike(&server, THRESHOLD).await;
    until(slot, "the rollback", |status| status.current == 1).await;
    let error = slot.reload().await.expect_err("it was rolled back").to_string();
    assert!(error.contains("was rolled back in the slot lines"), "{error}");
    assert_eq!(sessions_by_generation(slot), [(1, 0)]);
    forgive(slot);
    assert!(slot.reload().await.expect("forgiven").is_some());
}

/// Without a previous generation, existing sessions continue and new ones are refused until the
/// window is over. Then some are accepted, until the first fault.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_codec_that_keeps_failing_is_suspended_for_a_while() {
    let server = serve(guest(&bad()), limits(THRESHOLD, THRESHOLD, 10)).await;
    let slot = &slot(&server);
    let mut clients = [client(&server, "one").await, client(&server, "two").await];
    strike(&server, THRESHOLD - 1).await;
    let mut more = client(&server, "three").await;
    assert!(!slot.status().suspended);
    strike(&server, 1).await;
    until(slot, "the suspension", |status| status.suspended).await;

    let mut tcp = Raw::connect(&server.tcp()).await;
    tcp.send(b"let me in\n").await;
    assert_eq!(tcp.rest().await, b"");
    let mut ws = RawWebSocket::connect(&server.ws()).await;
    assert_eq!(ws.close_frame().await, (1013, "suspended".to_owned()));
    let stats = server.until_closed("suspended", 2).await;
    assert_eq!(stats.closes, [("codec-trap", u64::from(THRESHOLD)), ("suspended", 2)].into());
    for client in clients.iter_mut().chain([&mut more]) {
        echo(client, "still here").await;
    }
    assert_eq!((slot.status().current, sessions_by_generation(slot)), (1, vec![(1, 3)]));

    until(slot, "the end of the suspension", |status| !status.suspended).await;
    let mut new = client(&server, "let in").await;
    strike(&server, 1).await;
    until(slot, "the next suspension", |status| status.suspended).await;
    echo(&mut new, "still here").await;
    // A better version opens sessions at once.
    slot.swap(&guest(&marked("better")), Some(Handoff)).await.expect("it fits");
    assert!(!slot.status().suspended);
    let mut better = client(&server, "?").await;
    echo(&mut better, "?").await;
    assert_eq!(generation(slot, 2).sessions, 5);
}
