//! Clients of one address make a codec fail again and again. The server refuses that address for a
//! while, and the codec continues for all others.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use wireplug::CodecSource;
use wireplug::config::LiveSessions::Drain;
use wireplug::config::{AccessConfig, FaultLimits};
use wireplug::slot::Slot;
use wireplug_tests::hostile::{Guest, bodies};
use wireplug_tests::raw::{Raw, RawWebSocket, UPGRADE};
use wireplug_tests::server::{self, Setup, TestServer};
use wireplug_tests::{app, log, within};

use super::trial::Trial;

/// The address from which the attacker connects. The honest clients connect from 127.0.0.1.
const ATTACKER: &str = "127.0.0.66";

/// The address of the trusted load balancer.
const PROXY: &str = "127.0.0.9";

/// A packet at which the guest traps.
const STRIKE: &[u8] = b"!\n";

/// A guest that traps at [`STRIKE`] and otherwise works.
fn guest() -> Guest {
    Guest::new("trapping").strike(bodies::TRAP)
}

fn setup(faults: FaultLimits) -> Setup {
    Setup { faults, ..server::setup() }
}

fn slot(server: &TestServer) -> Slot {
    server.slots().swap_remove(0)
}

async fn echoes(client: &mut Raw, line: &str) {
    client.send(format!("{line}\n").as_bytes()).await;
    assert_eq!(client.line().await, line);
}

/// Waits until this many addresses are refused.
async fn until_refused(server: &TestServer, count: usize) {
    let wait = async {
        while slot(server).status().refused_addresses != count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within("the refused addresses", wait).await;
}

/// Fault A7 with the default limits, except for a shorter window: 100 connections of one address,
/// and 10 more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_cannot_suspend_a_codec() {
    let faults = FaultLimits { window: Duration::from_secs(20), ..FaultLimits::default() };
    let trial = Trial::with(&guest(), setup(faults), 200).await;
    let server = &trial.server;
    let mut honest = Raw::connect(&server.tcp()).await;
    echoes(&mut honest, "before").await;

    let url = server.tcp();
    let attackers = join_all((0..100).map(|_| Raw::connect_from(ATTACKER, &url))).await;
    server.until("all attackers", |stats| stats.connections_open >= 103).await;
    join_all(attackers.into_iter().map(async |mut attacker| {
        attacker.send(STRIKE).await;
        assert_eq!(attacker.rest().await, b"");
    }))
    .await;
    let stats = server.until_closed("codec-trap", 100).await;
    assert_eq!(stats.faults().collect::<Vec<_>>(), [("codec-trap", 100)], "all of them are counted");
    assert_eq!(slot(server).status().generations[0].faults, [("trap".to_owned(), 100)].into());
    let status = slot(server).status();
    assert!(!status.suspended);
    assert_eq!(status.refused_addresses, 1);
    let lines = log::lines(&["the codec fails too often for one address", ATTACKER, "count=20"]);
    assert_eq!(lines.len(), 1, "{lines:?}");

    // The address is refused however often it connects. Other addresses are not refused.
    for _ in 0..10 {
        let mut refused = Raw::connect_from(ATTACKER, &server.tcp()).await;
        refused.send(STRIKE).await;
        assert_eq!(refused.rest().await, b"");
        let line = log::closing_line(refused.address()).await;
        assert!(line.contains("cause=\"faulty-address\""), "{line}");
    }
    echoes(&mut honest, "still here").await;
    let mut other = Raw::connect(&server.tcp()).await;
    echoes(&mut other, "let in").await;
    trial.neighbours_go_on().await;
    assert_eq!(server.stats().closes.get("faulty-address"), Some(&10));

    // The address is accepted again when the window is over.
    until_refused(server, 0).await;
    let mut back = Raw::connect_from(ATTACKER, &server.tcp()).await;
    echoes(&mut back, "back").await;
    drop((honest, other, back));
    trial.end().await;
}

/// Behind a load balancer, faults count for the client's own address, and for IPv6 for its network.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_address_is_the_one_that_a_load_balancer_tells() {
    let faults = FaultLimits { per_address: 3, window: Duration::from_secs(600), ..FaultLimits::default() };
    let proxies = vec![format!("{PROXY}/32").parse().expect("a network")];
    let access = AccessConfig { proxies, ..AccessConfig::default() };
    let setup = Setup { access, url: "tcp://127.0.0.1:0", ..setup(faults) };
    let source = CodecSource::bytes("trapping", guest().build(), json!({}));
    let server = server::serve(app::with_guests(), setup, [source]).await;
    let connect = async |client: &str| {
        let family = if client.contains(':') { "TCP6 {} 2001:db8::99" } else { "TCP4 {} 192.0.2.99" };
        let mut raw = Raw::connect_from(PROXY, &server.tcp()).await;
        raw.send(format!("PROXY {} 40000 3010\r\n", family.replace("{}", client)).as_bytes()).await;
        raw
    };
    let strike = async |client: &str| {
        let mut raw = connect(client).await;
        raw.send(STRIKE).await;
        assert_eq!(raw.rest().await, b"");
        log::closing_line(raw.address()).await
    };
    for _ in 0..3 {
        assert!(strike("203.0.113.7").await.contains("codec-trap"));
    }
    assert!(strike("203.0.113.7").await.contains("faulty-address"));
    assert!(strike("203.0.113.8").await.contains("codec-trap"), "another address");
    for host in 1..=3 {
        assert!(strike(&format!("2001:db8:0:1::{host}")).await.contains("codec-trap"));
    }
    assert!(strike("2001:db8:0:1::4").await.contains("faulty-address"), "another host of the network");
    assert_eq!(slot(&server).status().refused_addresses, 2);
    for honest in ["203.0.113.9", "2001:db8:0:2::1"] {
        echoes(&mut connect(honest).await, "served").await;
    }
    // The load balancer's own address is served as well.
    let mut raw = Raw::connect_from(PROXY, &server.tcp()).await;
    raw.send(b"PROXY UNKNOWN\r\n").await;
    echoes(&mut raw, "served").await;
}

/// A bad version may fail for a single address. It is rolled back, and the address is accepted
/// again, because faults count only for the version that caused them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_one_address_roll_a_version_back() {
    let faults = FaultLimits { rollback: 10, per_address: 3, ..FaultLimits::default() };
    let source = |guest: &Guest| CodecSource::bytes("lines", guest.build(), json!({}));
    let server = server::serve(app::with_guests(), setup(faults), [source(&Guest::new("good"))]).await;
    slot(&server).swap(&source(&guest()), None).await.expect("nothing is wrong with it yet");
    let url = server.tcp();
    let mut clients = join_all((0..10).map(|_| Raw::connect(&url))).await;
    for client in &mut clients {
        echoes(client, "here").await;
    }
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(STRIKE).await;
        assert_eq!(client.rest().await, b"");
        server.until_closed("codec-trap", n as u64 + 1).await;
        assert_eq!(slot(&server).status().refused_addresses, usize::from((2..9).contains(&n)), "{n}");
    }
    let status = slot(&server).status();
    assert_eq!((status.current, status.rolled_back.len(), status.suspended), (1, 1, false));
    echoes(&mut Raw::connect(&server.tcp()).await, "!").await;
}

/// A swap also forgets refused addresses. A WebSocket client is refused before its upgrade.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_version_begins_with_no_address_refused() {
    let faults = FaultLimits {
        rollback: 0,
        per_address: 1,
        window: Duration::from_secs(600),
        ..FaultLimits::default()
    };
    let source = |guest: &Guest| CodecSource::bytes("lines", guest.build(), json!({}));
    let server = server::serve(app::with_guests(), setup(faults), [source(&guest())]).await;
    let mut socket = RawWebSocket::connect(&server.ws()).await;
    let mut raw = Raw::connect(&server.tcp()).await;
    raw.send(STRIKE).await;
    assert_eq!(raw.rest().await, b"");
    until_refused(&server, 1).await;
    let mut upgrade = Raw::connect(&server.tcp()).await;
    upgrade.send(UPGRADE).await;
    assert_eq!(upgrade.rest().await, b"");
    // Open connections stay open.
    socket.send(Message::binary(&b"here"[..])).await;
    assert_eq!(socket.message().await.expect("an echo"), &b"here"[..]);

    let mended = Guest::new("mended");
    slot(&server).swap(&source(&mended), Some(Drain)).await.expect("it is good");
    assert_eq!(slot(&server).status().refused_addresses, 0);
    echoes(&mut Raw::connect(&server.tcp()).await, "!").await;
    assert_eq!(server.stats().closes.get("faulty-address"), Some(&1));
}
