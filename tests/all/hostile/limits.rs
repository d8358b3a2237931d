//! The limits of a codec in its configuration, each with a guest that reaches the limit and one
//! that stays below it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use wireplug_tests::app;
use wireplug_tests::hostile::heavy::{globals, with_instances};
use wireplug_tests::hostile::{Guest, bodies};
use wireplug_tests::log;
use wireplug_tests::raw::Raw;
use wireplug_tests::server::{self, Setup, TestServer};

use wireplug::CodecSource;
use wireplug_core::codec::{Codec as _, Events};
use wireplug_core::framing::Packets;
use wireplug_wasm::{WasmEngine, WasmLoader};

const PAGE: usize = 64 << 10;

async fn serve(guest: &Guest, setup: Setup) -> TestServer {
    let source = CodecSource::bytes("guest", guest.build(), json!({}));
    server::serve(app::with_guests(), setup, [source]).await
}

/// Sends bytes as a client, and returns the log line that says how its connection ended.
async fn ends(server: &TestServer, said: &[u8]) -> String {
    let mut client = Raw::connect(&server.tcp()).await;
    client.send(said).await;
    assert_eq!(client.rest().await, b"");
    log::closing_line(client.address()).await
}

/// Returns a body that counts to this many millions and then decodes honestly.
fn counting(millions: u32) -> String {
    format!(
        "(local $left i32)
         (local.set $left (i32.const {millions}000000))
         (loop $again (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
         (call $honest-decode (local.get $packet) (local.get $length))"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cpu_time_of_a_call() {
    let mut setup = server::setup();
    setup.codec.call_cpu = Duration::from_millis(40);
    let server = serve(&Guest::new("cpu").strike(bodies::LOOP), setup).await;
    let line = ends(&server, b"!\n").await;
    assert!(
        line.contains("cause=\"codec-deadline\"") && line.contains("more than 40 ms of CPU time"),
        "{line}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wall_time_of_a_call() {
    let mut setup = server::setup();
    (setup.codec.call_cpu, setup.codec.call_wall) = (Duration::from_secs(20), Duration::from_millis(50));
    let server = serve(&Guest::new("wall").strike(bodies::LOOP), setup).await;
    let line = ends(&server, b"!\n").await;
    assert!(
        line.contains("cause=\"codec-deadline\"") && line.contains("more than 50 ms of wall time"),
        "{line}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_calls_in_a_second() {
    let mut setup = server::setup();
    // Each call has enough time on any machine, so only the number of slow calls ends the
    // connection.
    (setup.codec.call_cpu, setup.codec.slow_calls) = (Duration::from_secs(10), 3);
    // The session is not slowed down, so that its calls fall into one second.
    (setup.codec.session_cpu, setup.codec.total_cpu) = (0, 0);
    let server = serve(&Guest::new("slow").strike(&counting(40)), setup).await;
    let mut client = Raw::connect(&server.tcp()).await;
    // Three slow calls are allowed, and any number of quick calls.
    for n in 0..3 {
        client.send(format!("!{n}\n{n}\n").as_bytes()).await;
        assert_eq!(client.line().await, format!("!{n}"));
        assert_eq!(client.line().await, n.to_string());
    }
    // Twenty calls at once, so that at least four fall into one second on any machine.
    client.send(&b"!\n".repeat(20)).await;
    client.rest().await;
    let line = log::closing_line(client.address()).await;
    assert!(
        line.contains("cause=\"codec-slow\"") && line.contains("more than 3 slow calls in a second"),
        "{line}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_of_a_sandbox() {
    let mut setup = server::setup();
    // Each call takes one more page. The guest has two.
    let body = "(if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
        (call $honest-decode (local.get $packet) (local.get $length))";
    let guest = Guest::new("grower").strike(body);
    let (beside, _) = charged_beside_pages(&guest);
    setup.codec.memory = 4 * PAGE + beside;
    let server = serve(&guest, setup).await;
    let mut client = Raw::connect(&server.tcp()).await;
    for packet in ["!1", "!2"] {
        client.send(format!("{packet}\n").as_bytes()).await;
        assert_eq!(client.line().await, packet);
    }
    client.send(b"!3\n").await;
    assert_eq!(client.rest().await, b"");
    let line = log::closing_line(client.address()).await;
    assert!(line.contains("cause=\"codec-memory\""), "{line}");
    assert!(
        line.contains(&format!("{} bytes wanted, {} allowed", 5 * PAGE + beside, 4 * PAGE + beside)),
        "{line}"
    );
}

/// Returns what a sandbox of a guest with two pages is charged for in addition to its pages, and
/// what the guest's code is charged with.
fn charged_beside_pages(guest: &Guest) -> (usize, usize) {
    let codec = super::load(guest);
    let _session = codec.open(super::peer(), super::at(0)).expect("it opens");
    (codec.memory() - 2 * PAGE, codec.code())
}

/// The guest's sandboxes have two pages each. The limit has room for ten pages in addition to their
/// instances and the code. So four clients connect, and the last tenth is reserved for sessions at
/// work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_of_all_sandboxes() {
    let mut setup = server::setup();
    let body = "(if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
        (call $honest-decode (local.get $packet) (local.get $length))";
    let guest = Guest::new("crowd").strike(body);
    let (beside, code) = charged_beside_pages(&guest);
    // Half a page more, because the code may become a little larger when its options are set.
    let total = code + 4 * beside + 10 * PAGE + PAGE / 2;
    setup.codec.total_memory = total;
    let server = serve(&guest, setup).await;
    let mut clients = Vec::new();
    for n in 0..4 {
        let mut client = Raw::connect(&server.tcp()).await;
        client.send(format!("{n}\n").as_bytes()).await;
        assert_eq!(client.line().await, n.to_string());
        clients.push(client);
    }
    // Two clients take a page more each. Then all ten pages are taken, and no other client is
    // accepted.
    for client in &mut clients[..2] {
        client.send(b"!more\n").await;
        assert_eq!(client.line().await, "!more");
    }
    let line = ends(&server, b"one too many\n").await;
    assert!(
        line.contains("cause=\"no-sandbox\"") && line.contains(&format!("nine tenths of {total} bytes")),
        "{line}"
    );
    // A session at work wants more memory than is left.
    clients[3].send(b"!more\n").await;
    assert_eq!(clients[3].rest().await, b"");
    let line = log::closing_line(clients[3].address()).await;
    assert!(line.contains("cause=\"no-sandbox\"") && line.contains("together"), "{line}");
    // The other sessions are not affected, and the memory is given back.
    for client in &mut clients[..3] {
        client.send(b"still here\n").await;
        assert_eq!(client.line().await, "still here");
    }
    drop(clients);
    server.until("all gone", |stats| stats.connections_open == 0).await;
    let mut client = Raw::connect(&server.tcp()).await;
    client.send(b"again\n").await;
    assert_eq!(client.line().await, "again");
}

/// A body that answers a packet with sixteen replies of 48 KiB. That is far below the limit of one
/// call, and above the limit of a batch for a batch of four.
const TALKER: &str = "(local $events i32) (local $at i32) (local $left i32)
    (if (i32.lt_u (memory.size) (i32.const 8)) (then (drop (memory.grow (i32.const 6)))))
    (local.set $events (call $alloc (i32.const 768)))
    (local.set $at (local.get $events))
    (local.set $left (i32.const 16))
    (loop $again
      (call $event (local.get $at) (i32.const 3))
      (drop (call $two (i32.add (local.get $at) (i32.const 8)) (i32.const 65536) (i32.const 49152)))
      (local.set $at (i32.add (local.get $at) (i32.const 48)))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (call $three (call $alloc (i32.const 16)) (i32.const 0) (local.get $events) (i32.const 16))";

/// A codec without `batch` is called once for each packet of a batch. The limit applies to the
/// answers of all these calls together.
#[test]
fn answers_of_a_batch_of_calls() {
    let limits = server::setup().codec;
    let engine = WasmEngine::new(2, limits.memory).expect("room for few sandboxes");
    let loader = WasmLoader::new(&engine, limits);
    let codec = loader.load(&Guest::new("talker").strike(TALKER).build(), "{}".into()).expect("it is good");
    let mut session = codec.open(super::peer(), super::at(0)).expect("every client is welcome");
    let packets = |count| Arc::new(Packets::from_iter(std::iter::repeat_n(&b"!"[..], count)));
    session
        .decode(&packets(1), super::at(0), &mut Events::new())
        .expect("the answer to one is below the limit");
    let error = session
        .decode(&packets(4), super::at(1), &mut Events::new())
        .expect_err("the answers to four are above");
    assert_eq!(error.cause(), "oversized");
}

/// Packets that arrive together are decoded one by one, and none is decoded while too much output
/// waits for the client. So three gigabytes of answers do not pile up for a client that reads
/// nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_to_packets_that_come_together() {
    const PACKETS: usize = 4096;
    let mut setup = server::setup();
    setup.client.write_timeout = Duration::from_secs(1);
    let server = serve(&Guest::new("talker").strike(TALKER), setup).await;
    let mut client = Raw::connect(&server.tcp()).await;
    client.send(&b"!\n".repeat(PACKETS)).await;
    let stats = server.until_closed("write-timeout", 1).await;
    // The packets whose answers the kernel took, about 10 MB, and a few more.
    assert!((1..100).contains(&stats.packets_in), "{stats}");
}

/// Two codecs that need more core instances than the standard pool has share the large pool. One of
/// them takes its own part and the shared part. The other's part stays reserved.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_of_the_large_pool() {
    let mut setup = server::setup();
    setup.server.large_sandboxes = 4;
    let source = |name: &str| {
        let wasm = with_instances(&Guest::new(name).build(), &globals(1), 5);
        CodecSource::bytes(name, wasm, json!({}))
    };
    let server = server::serve(app::with_guests(), setup, [source("greedy"), source("other")]).await;
    let mut clients = Vec::new();
    for n in 0..3 {
        let mut client = Raw::connect(&server.tcp()).await;
        client.send(format!("{n}\n").as_bytes()).await;
        assert_eq!(client.line().await, n.to_string());
        clients.push(client);
    }
    let line = ends(&server, b"one too many\n").await;
    assert!(line.contains("cause=\"no-sandbox\""), "{line}");
    assert!(line.contains("this codec has 3 of the 4 places for sandboxes of the large pool"), "{line}");
    let mut other = Raw::connect(&server.tcp_of(1)).await;
    other.send(b"its own\n").await;
    assert_eq!(other.line().await, "its own");
    // Places that were given back can be used again.
    drop(clients);
    server.until("the greedy are gone", |stats| stats.connections_open == 1).await;
    let mut client = Raw::connect(&server.tcp()).await;
    client.send(b"again\n").await;
    assert_eq!(client.line().await, "again");
}
