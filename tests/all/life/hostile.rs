//! Generations that misbehave at a swap harm only the affected session, or make the swap fail.

use wireplug::CodecSource;
use wireplug::config::FaultLimits;
use wireplug::config::LiveSessions::Handoff;
use wireplug::session::Message;
use wireplug::slot::SwapReport;
use wireplug_tests::app::{self, ECHO, GUEST};
use wireplug_tests::client::Client;
use wireplug_tests::hostile::Function::{BroadcastClass, Decode, EncodeShared, Restore, Save};
use wireplug_tests::hostile::{Guest, bodies};
use wireplug_tests::raw::Raw;
use wireplug_tests::server::{self, TestServer};
use wireplug_tests::{log, versions};

use serde_json::json;

use super::guests::{REFUSE, SAVE, if_marked, marked, restore_if_marked};
use super::{echo, generation, guest, sessions_by_generation, slot};

/// A server with a guest on its first listener and Pomelo on its second. Both have honest clients,
/// and one session of the guest is marked, so that it misbehaves.
struct Scene {
    server: TestServer,
    neighbours: Vec<Raw>,
    other: Client,
    marked: Raw,
}

impl Scene {
    async fn set(first: &Guest) -> Self {
        let sources = [guest(first), CodecSource::pomelo(json!({}))];
        let server = server::serve(app::with_guests(), server::setup(), sources).await;
        let mut neighbours = Vec::new();
        for said in ["one", "two"] {
            let mut client = Raw::connect(&server.tcp()).await;
            echo(&mut client, said).await;
            neighbours.push(client);
        }
        let mut marked = Raw::connect(&server.tcp()).await;
        echo(&mut marked, "!").await;
        let other = Client::connect(&server.tcp_of(1)).await;
        server.until("all established", |_| server.sessions().len() == 4).await;
        Self { server, neighbours, other, marked }
    }

    async fn swap(&self, to: &Guest) -> SwapReport {
        slot(&self.server).swap(&guest(to), Some(Handoff)).await.expect("it fits")
    }

    /// Checks that only the marked session has ended, for this cause, and that the fault counts for
    /// this generation.
    async fn marked_is_lost(&mut self, cause: &'static str, on: u64) {
        assert_eq!(self.marked.rest().await, b"");
        let line = log::closing_line(self.marked.address()).await;
        assert!(line.contains(&format!("cause=\"codec-{cause}\"")), "{line}");
        let stats = self.server.until("it is counted", |stats| stats.connections_open == 3).await;
        assert_eq!(stats.closes.values().sum::<u64>(), 1, "{stats}");
        assert_eq!(generation(&slot(&self.server), on).faults, [(cause.to_owned(), 1)].into());
        self.neighbours_go_on().await;
    }

    async fn neighbours_go_on(&mut self) {
        for client in &mut self.neighbours {
            echo(client, "still here").await;
        }
        assert_eq!(self.other.call(ECHO, &json!("other")).await, json!("other"));
    }
}

/// Two results that are refused: a list that is longer than the memory, and a list in the memory
/// that is longer than an answer may be.
const BEYOND: &str =
    "(return (call $three (call $alloc (i32.const 16)) (i32.const 0) (i32.const 0) (i32.const 1073741824)))";
const HEAVY: &str = "(drop (memory.grow (i32.const 126)))
    (return (call $three (call $alloc (i32.const 16)) (i32.const 0) (i32.const 0) (i32.const 8388608)))";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_that_misbehaves_costs_its_own_session() {
    let cases = [
        (bodies::TRAP, "trap"),
        (bodies::LOOP, "deadline"),
        // The guest requests a gibibyte at once.
        (bodies::LEAP, "memory"),
        (BEYOND, "trap"),
        (HEAVY, "oversized"),
    ];
    for (body, cause) in cases {
        let mut scene = Scene::set(&marked("old").with(Save, &if_marked(body, SAVE))).await;
        let report = scene.swap(&marked("new")).await;
        assert_eq!((report.moved, report.rolled_back), (2, false), "{report:?}");
        scene.marked_is_lost(cause, 1).await;
        assert_eq!(sessions_by_generation(&slot(&scene.server)), [(1, 0), (2, 2)]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_that_refuses_keeps_its_session_where_it_is() {
    let mut scene = Scene::set(&marked("old").with(Save, &if_marked(REFUSE, SAVE))).await;
    let report = scene.swap(&marked("new")).await;
    assert_eq!((report.moved, report.staying), (2, 1));
    assert_eq!(report.reasons, [("refused: not me".to_owned(), 1)]);
    assert_eq!(sessions_by_generation(&slot(&scene.server)), [(1, 1), (2, 2)]);
    echo(&mut scene.marked, "still here").await;
    scene.neighbours_go_on().await;
    assert!(generation(&slot(&scene.server), 1).faults.is_empty(), "to refuse is no fault");
    assert_eq!(scene.server.stats().closes, [].into());
}

/// The session stays on its generation, and a later version may take it over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_that_misbehaves_costs_no_session() {
    let cases = [
        (bodies::TRAP, "trap: ", Some("trap")),
        (bodies::LOOP, "deadline: ", Some("deadline")),
        (bodies::LEAP, "memory: ", Some("memory")),
        // Refusing is not a fault.
        (REFUSE, "refused: not me", None),
    ];
    for (body, reason, fault) in cases {
        let mut scene = Scene::set(&marked("old")).await;
        let report = scene.swap(&marked("new").with(Restore, &restore_if_marked(body))).await;
        assert_eq!((report.moved, report.staying), (2, 1));
        assert!(matches!(&report.reasons[..], [(why, 1)] if why.starts_with(reason)), "{report:?}");
        let slot = &slot(&scene.server);
        assert_eq!(
            generation(slot, 2).faults,
            fault.map(|cause: &str| (cause.to_owned(), 1)).into_iter().collect()
        );
        assert_eq!(sessions_by_generation(slot), [(1, 1), (2, 2)]);
        echo(&mut scene.marked, "still here").await;
        scene.neighbours_go_on().await;

        let report = scene.swap(&marked("newer")).await;
        assert_eq!((report.moved, report.staying), (3, 0));
        echo(&mut scene.marked, "moved").await;
        scene.neighbours_go_on().await;
        assert_eq!(scene.server.stats().closes, [].into());
    }
}

/// The restored session has forgotten that the handshake is over, and reports its end again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_that_ignores_the_state_is_found_out() {
    let shakes_hands = "(local $event i32)
        (if (i32.eqz (global.get $mark)) (then
          (global.set $mark (i32.load8_u (local.get $packet)))
          (local.set $event (call $alloc (i32.const 48)))
          (call $event (local.get $event) (i32.const 1))
          (return (call $three (call $alloc (i32.const 16)) (i32.const 0) (local.get $event) (i32.const 1)))))
        (call $honest-decode (local.get $packet) (local.get $length))";
    let shaking = |name: &str| marked(name).handshake().with(Decode, shakes_hands);
    let server = server::serve(app::with_guests(), server::setup(), [guest(&shaking("old"))]).await;
    let mut clients = Vec::new();
    for said in ["!\n", "one\n"] {
        let mut client = Raw::connect(&server.tcp()).await;
        client.send(said.as_bytes()).await;
        echo(&mut client, "hello").await;
        clients.push(client);
    }
    let forgets =
        if_marked("(global.set $mark (i32.const 0)) (return (call $honest-open))", "(call $honest-open)");
    let forgets = format!("(global.set $mark (i32.load8_u (local.get $state))) {forgets}");
    let forgetful = guest(&shaking("forgetful").with(Restore, &forgets));
    let slot = &slot(&server);
    assert_eq!(slot.swap(&forgetful, Some(Handoff)).await.expect("it fits").moved, 2);
    for client in &mut clients {
        client.send(b"after\n").await;
    }
    assert_eq!(clients[0].rest().await, b"");
    assert_eq!(clients[1].line().await, "after");
    let stats = server.until_closed("codec-violation", 1).await;
    assert_eq!(stats.closes, [("codec-violation", 1)].into());
    assert_eq!(generation(slot, 2).faults, [("violation".to_owned(), 1)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_class_that_misbehaves_costs_its_own_session() {
    for (body, cause) in [(bodies::TRAP, "trap"), (bodies::LOOP, "deadline")] {
        let mut scene = Scene::set(&marked("old")).await;
        let sharing = marked("new").with(BroadcastClass, &if_marked(body, BroadcastClass.honest()));
        scene.swap(&sharing).await;
        scene.marked_is_lost(cause, 2).await;
        let all = Message::push(GUEST, "to all");
        assert_eq!(scene.server.sessions().all().send(&all), 3);
        for client in &mut scene.neighbours {
            assert_eq!(client.line().await, "to all");
        }
        assert_eq!(generation(&slot(&scene.server), 2).shared, 1);
    }
}

/// Each session then encodes for itself, and the next push is shared again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_encoding_that_misbehaves_costs_nobody() {
    for (body, cause) in [(bodies::TRAP, "trap"), (bodies::LOOP, "deadline"), (bodies::LEAP, "memory")] {
        let strike = format!(
            "(if (call $strikes (local.get $body) (local.get $body-length)) (then {body})) {}",
            EncodeShared.honest()
        );
        let mut scene = Scene::set(&marked("sharing").with(EncodeShared, &strike)).await;
        for (n, text) in ["one", "!two", "three", "!four", "five"].into_iter().enumerate() {
            assert_eq!(scene.server.sessions().all().send(&Message::push(GUEST, text)), 4);
            for client in scene.neighbours.iter_mut().chain([&mut scene.marked]) {
                assert_eq!(client.line().await, text);
            }
            assert_eq!(scene.other.next_push_body().await, text.as_bytes());
            assert_eq!(generation(&slot(&scene.server), 1).shared, n as u64 + 1);
        }
        assert_eq!(generation(&slot(&scene.server), 1).faults, [(cause.to_owned(), 2)].into());
        assert_eq!(scene.server.stats().closes, [].into());
    }
}

/// So many sessions that some have not moved yet when the next push fails.
const CLIENTS: usize = 100;

/// Each push adds a fault. A candidate or a new version is rolled back because of that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_cannot_share_is_rolled_back() {
    let faults = FaultLimits { rollback: 3, suspend: 0, per_address: 0, ..FaultLimits::default() };
    let setup = server::Setup { faults, ..server::setup() };
    let server = server::serve(app::with_guests(), setup, [guest(&marked("old"))]).await;
    let slot = &slot(&server);
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = Raw::connect(&server.tcp()).await;
        echo(&mut client, "hello").await;
        clients.push(client);
    }
    let broken = marked("broken").with(EncodeShared, bodies::TRAP);
    slot.swap(&guest(&broken), Some(Handoff)).await.expect("it fits");
    // Later pushes fail while sessions move back, and do not delay them.
    for n in 0..10 {
        assert_eq!(server.sessions().all().send(&Message::push(GUEST, n.to_string())), CLIENTS);
    }
    super::until_sessions(slot, &[(1, CLIENTS)]).await;
    assert_eq!(slot.status().rolled_back, [versions::digest(&broken.build())]);
    for client in &mut clients {
        for n in 0..10 {
            assert_eq!(client.line().await, n.to_string());
        }
        echo(client, "back").await;
    }
}
