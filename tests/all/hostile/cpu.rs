//! Guests that use all CPU time they get: the budgets of sessions and codecs, beside honest clients
//! of another codec.

use std::time::{Duration, Instant};

use serde_json::json;
use wireplug::CodecSource;
use wireplug::codec::CpuStatus;
use wireplug::session::Message;
use wireplug_tests::app::{self, ECHO, GUEST};
use wireplug_tests::client::Client;
use wireplug_tests::hostile::Function::{BroadcastClass, Decode, Encode, EncodeShared, Farewell, Open, Tick};
use wireplug_tests::hostile::{Guest, bodies};
use wireplug_tests::raw::Raw;
use wireplug_tests::server::{self, Setup, TestServer};
use wireplug_tests::{log, within};

fn burn(millis: u64) -> String {
    bodies::burn(Duration::from_millis(millis))
}

fn guest(name: &str) -> Guest {
    Guest::new(name).items(bodies::BURN)
}

/// A guest whose sessions each have their own broadcast class, taken from the session's random
/// seed.
fn classy(name: &str) -> Guest {
    let class = "(call $two (call $alloc (i32.const 8)) (i32.const 1) (global.get $class))";
    guest(name)
        .items("(global $class (mut i32) (i32.const 0))")
        .with(Open, "(global.set $class (i32.load (local.get $seed))) (call $honest-open)")
        .with(BroadcastClass, class)
}

/// Starts a server with a guest on its first listener and Pomelo, with the ordinary limits, on its
/// second. Slow calls end no session, because other tests test that limit.
async fn serve(guest: &Guest, mut setup: Setup) -> TestServer {
    setup.codec.slow_calls = 1000;
    let hostile = CodecSource::bytes("hostile", guest.build(), json!({}));
    server::serve(app::with_guests(), setup, [hostile, CodecSource::pomelo(json!({}))]).await
}

fn cpu(server: &TestServer) -> CpuStatus {
    server.slots()[0].status().cpu
}

async fn until_delayed(server: &TestServer, turns: u64) {
    let delayed = async {
        while cpu(server).delayed < turns {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within("turns to be delayed", delayed).await;
}

/// Connects clients, and waits until each has an answer and so an open session.
async fn connect(server: &TestServer, count: usize) -> Vec<Raw> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = Raw::connect(&server.tcp()).await;
        client.send(b"here\n").await;
        clients.push(client);
    }
    for client in &mut clients {
        assert_eq!(client.line().await, "here");
    }
    clients
}

/// A hundred idle connections with a timer of zero that burns 2 ms each time. They would need more
/// than twenty processors, although no session is over its own budget.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timers_without_rest_slow_their_own_codec() {
    let body = format!(
        "(local $event i32)
         {}
         (local.set $event (call $alloc (i32.const 48)))
         (call $event (local.get $event) (i32.const 4))
         (call $two (call $alloc (i32.const 8)) (local.get $event) (i32.const 1))",
        burn(2)
    );
    let server = serve(&guest("restless").with(Tick, &body), server::setup()).await;
    let mut honest = Client::connect(&server.tcp_of(1)).await;
    let clients = connect(&server, 100).await;
    until_delayed(&server, 200).await;
    let cpu = cpu(&server);
    assert!(cpu.times_over > 0 && cpu.sessions_ended == 0, "{cpu:?}");
    for n in 0..20 {
        assert_eq!(honest.call(ECHO, &json!(n)).await, json!(n));
    }
    assert_eq!(server.stats().closes, [].into());
    drop(clients);
    server.until("all gone", |stats| stats.connections_open == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_over_its_budget_is_slowed_and_then_ended() {
    const AHEAD: usize = 50;
    let mut setup = server::setup();
    (setup.codec.session_cpu, setup.codec.over_cpu_timeout) = (5, Duration::from_secs(1));
    // On a slow machine, calls may take much longer than 5 ms.
    setup.codec.call_cpu = Duration::from_millis(200);
    let server = serve(&guest("busy").strike(&format!("{} {}", burn(5), Decode.honest())), setup).await;
    let mut honest = Client::connect(&server.tcp_of(1)).await;
    let mut client = Raw::connect(&server.tcp()).await;
    let mut answered = 0;
    // Some packets always wait. A session that pauses for a moment would be within its budget
    // again.
    client.send(&b"!\n".repeat(AHEAD)).await;
    while client.try_line().await.is_some() {
        client.send(b"!\n").await;
        answered += 1;
        assert_eq!(honest.call(ECHO, &json!({ "n": answered })).await, json!({ "n": answered }));
    }
    let line = log::closing_line(client.address()).await;
    assert!(line.contains("cause=\"codec-budget\""), "{line}");
    assert!(line.contains("more than 5 % of a processor for 1 s (limits.session-cpu"), "{line}");
    server.until_closed("codec-budget", 1).await;
    // A second's worth of calls may pass at once, or twice as many because ticks are only an
    // estimate. After that, ten calls pass in a second.
    assert!((5..500).contains(&answered), "{answered}");
    let cpu = cpu(&server);
    assert_eq!((cpu.sessions_over, cpu.sessions_ended), (1, 1));
    let faults = &server.slots()[0].status().generations[0].faults;
    assert_eq!(*faults, [("budget".to_owned(), 1)].into());
}

/// Without `batch`, the runtime makes a call for each packet. It makes few calls in a turn, so that
/// other connections on the same thread get their turns.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_packets_at_once_are_many_turns() {
    const PACKETS: usize = 200;
    let body = format!("{} {}", burn(1), Decode.honest());
    let server = serve(&guest("piecemeal").strike(&body), server::setup()).await;
    let mut honest = Client::connect(&server.tcp_of(1)).await;
    let mut clients = connect(&server, 4).await;
    for client in &mut clients {
        let lines: String = (0..PACKETS).map(|n| format!("!{n}\n")).collect();
        client.send(lines.as_bytes()).await;
    }
    for n in 0..PACKETS {
        assert_eq!(honest.call(ECHO, &json!(n)).await, json!(n));
        for client in &mut clients {
            assert_eq!(client.line().await, format!("!{n}"));
        }
    }
}

/// Two hundred sessions have a class each, and encoding takes nearly 10 ms for each class. The
/// caller of a push waits for no encoding.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_to_many_classes_costs_its_caller_nothing() {
    const SESSIONS: usize = 200;
    let mut setup = server::setup();
    setup.codec.min_broadcast = 1;
    let body = format!("{} {}", burn(9), EncodeShared.honest());
    let server = serve(&classy("classy").with(EncodeShared, &body), setup).await;
    let mut honest = Client::connect(&server.tcp_of(1)).await;
    let mut clients = connect(&server, SESSIONS).await;
    server.until("all established", |_| server.sessions().len() == SESSIONS + 1).await;
    let message = Message::push(GUEST, "to all");
    for round in 0..3 {
        let begun = Instant::now();
        assert_eq!(server.sessions().all().send(&message), SESSIONS + 1);
        let took = begun.elapsed();
        assert!(took < Duration::from_millis(500), "{took:?}");
        assert_eq!(honest.next_push_body().await, b"to all");
        assert_eq!(honest.call(ECHO, &json!(round)).await, json!(round));
        for client in &mut clients {
            assert_eq!(client.line().await, "to all");
        }
    }
    // Sixteen classes of a push share encodings; the other sessions encode for themselves.
    assert_eq!(server.slots()[0].status().generations[0].shared, 3 * 16);
    assert_eq!(server.stats().drops, [].into());
}

/// Encoding a push is a call too. Pushes wait for their turn in the outbox, and no push is lost or
/// overtaken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushes_of_a_codec_over_its_budget_wait_for_their_turn() {
    const SESSIONS: usize = 20;
    let mut setup = server::setup();
    (setup.codec.total_cpu, setup.codec.min_broadcast) = (20, 1000);
    let server = serve(&guest("slow").with(Encode, &format!("{} {}", burn(1), Encode.honest())), setup).await;
    let mut honest = Client::connect(&server.tcp_of(1)).await;
    let mut clients = connect(&server, SESSIONS).await;
    server.until("all established", |_| server.sessions().len() == SESSIONS + 1).await;
    const PUSHES: usize = 40;
    for n in 0..PUSHES {
        assert_eq!(server.sessions().all().send(&Message::push(GUEST, n.to_string())), SESSIONS + 1);
    }
    for n in 0..PUSHES {
        assert_eq!(honest.next_push_body().await, n.to_string().as_bytes());
        assert_eq!(honest.call(ECHO, &json!(n)).await, json!(n));
    }
    for client in &mut clients {
        for n in 0..PUSHES {
            assert_eq!(client.line().await, n.to_string());
        }
    }
    assert!(cpu(&server).delayed > 0, "{:?}", cpu(&server));
    assert_eq!(server.stats().drops, [].into());
}

/// Twenty sessions of a codec over its budget are thrown out, with more pushes before that than can
/// be encoded in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_codec_over_its_budget_still_says_farewell() {
    const SESSIONS: usize = 20;
    let mut setup = server::setup();
    (setup.codec.total_cpu, setup.codec.min_broadcast) = (5, 1000);
    let farewell = "(local $event i32)
         (local.set $event (call $alloc (i32.const 48)))
         (call $event (local.get $event) (i32.const 3))
         (drop (call $two (i32.add (local.get $event) (i32.const 8)) (local.get $reason) (local.get $length)))
         (call $two (call $alloc (i32.const 8)) (local.get $event) (i32.const 1))";
    let encode = format!("{} {}", burn(5), Encode.honest());
    let server = serve(&guest("polite").with(Encode, &encode).with(Farewell, farewell), setup).await;
    let mut clients = connect(&server, SESSIONS).await;
    for n in 0..100 {
        assert_eq!(server.sessions().all().send(&Message::push(GUEST, n.to_string())), SESSIONS);
    }
    until_delayed(&server, 10).await;
    server.sessions().all().kick("bye");
    for client in &mut clients {
        let mut last = String::new();
        while let Some(line) = client.try_line().await {
            last = line;
        }
        assert_eq!(last, "bye");
    }
    let stats = server.until_closed("kicked", SESSIONS as u64).await;
    assert!(stats.drops.contains_key("unsent"), "{stats}");
}

/// Sessions that wait for a turn end at once when the server stops, and new sessions open when they
/// get a turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_codec_over_its_budget_still_opens_and_stops() {
    let mut setup = server::setup();
    setup.codec.total_cpu = 10;
    setup.server.drain_timeout = Duration::from_secs(2);
    let body = format!("{} {}", burn(5), Decode.honest());
    let server = serve(&guest("crowd").strike(&body), setup).await;
    let mut clients = connect(&server, 20).await;
    for client in &mut clients {
        client.send(b"!\n!\n").await;
    }
    until_delayed(&server, 10).await;
    let mut honest = Client::connect(&server.tcp_of(1)).await;
    assert_eq!(honest.call(ECHO, &json!("here")).await, json!("here"));
    let mut late = Raw::connect(&server.tcp()).await;
    late.send(b"late\n").await;
    assert_eq!(late.line().await, "late");
    for client in &mut clients {
        client.send(&b"!\n".repeat(100)).await;
    }
    let begun = Instant::now();
    server.shutdown().await;
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}
