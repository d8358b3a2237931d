//! Rates of packets and bytes.
//!
//! A connection may use a second's worth at once, and then its rate. If it uses more, the server
//! does not read it until it is within the rate again. Each test sends more only when everything
//! before is answered, so it knows how early the last answer may come.

use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::Message;
use wireplug::config::{ClientLimits, CodecLimits, OverRate};
use wireplug_tests::app::{self, ECHO};
use wireplug_tests::raw::{Raw, RawWebSocket, package, request, response};
use wireplug_tests::server::Setup;

use super::{LimitedServer, closed, limits, ordinary};

/// The number of packets of a handshake, and their bytes over TCP.
const HANDSHAKE: (u64, usize) = (2, 18);

/// The bytes that may come at once in addition to a second's worth.
const BESIDE: usize = 16 << 10;

/// Returns requests with bodies of this many bytes, and their answers.
fn burst(first: u64, count: u64, body: usize) -> (Vec<u8>, Vec<u8>) {
    let body = vec![b'x'; body];
    let ids = first..first + count;
    let asked = ids.clone().flat_map(|id| request(id, ECHO, &body)).collect();
    (asked, ids.flat_map(|id| response(id, &body)).collect())
}

fn seconds(of: f64) -> Duration {
    Duration::from_secs_f64(of)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_are_delayed_and_none_is_lost() {
    const RATE: u64 = 30;
    const BURST: u64 = 40;
    let setup = limits(ClientLimits { packets_per_second: RATE as u32, ..ordinary() });
    let limited = LimitedServer::open(app::demo(), setup).await;

    let start = Instant::now();
    let mut tcp = Raw::pomelo(&limited.tcp()).await;
    let mut ws = RawWebSocket::pomelo(&limited.ws()).await;
    for first in [1, 1 + BURST, 1 + 2 * BURST] {
        let (asked, answers) = burst(first, BURST, 10);
        tcp.send(&asked).await;
        ws.send(Message::binary(asked)).await;
        tcp.expect(&answers).await;
        for answer in answers.chunks(answers.len() / BURST as usize) {
            assert_eq!(ws.message().await.expect("a response").len(), answer.len());
        }
    }
    // The last burst is read only when the earlier ones are within the rate.
    let least = seconds((HANDSHAKE.0 + 2 * BURST - RATE) as f64 / RATE as f64);
    assert!(start.elapsed() >= least, "{:?} is less than {least:?}", start.elapsed());
    drop((tcp, ws));
    // A connection over its rate can end too.
    let stats = limited.end(&[("client-closed", 2)]).await;
    assert_eq!(stats.drops, [].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_are_delayed_and_none_is_lost() {
    const RATE: usize = 64 << 10;
    const BODY: usize = 100 << 10;
    let client = ClientLimits { bytes_per_second: RATE, ..ordinary() };
    let setup =
        Setup { codec: CodecLimits { max_packet: 1 << 20, ..CodecLimits::default() }, ..limits(client) };
    let limited = LimitedServer::open(app::demo(), setup).await;
    let start = Instant::now();
    let mut tcp = Raw::pomelo(&limited.tcp()).await;
    let mut ws = RawWebSocket::pomelo(&limited.ws()).await;
    for id in 1..=3 {
        let (asked, answer) = burst(id, 1, BODY);
        tcp.send(&asked).await;
        ws.send(Message::binary(asked)).await;
        tcp.expect(&answer).await;
        assert_eq!(ws.message().await.expect("a response"), answer);
    }
    let least = seconds((HANDSHAKE.1 + 2 * BODY - RATE - BESIDE) as f64 / RATE as f64);
    assert!(start.elapsed() >= least, "{:?} is less than {least:?}", start.elapsed());
    drop((tcp, ws));
    limited.end(&[("client-closed", 2)]).await;
}

/// A client sends everything at once and then reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_at_once_is_answered_in_order() {
    let client = ClientLimits { packets_per_second: 20, bytes_per_second: 300 << 10, ..ordinary() };
    let limited = LimitedServer::open(app::demo(), limits(client)).await;
    let start = Instant::now();
    let mut tcp = Raw::pomelo(&limited.tcp()).await;
    let (asked, answers) = burst(1, 60, 16 << 10);
    tcp.send(&asked).await;
    tcp.expect(&answers).await;
    // The bytes take longer than the packets. If the client is within its rate, one turn reads up
    // to 256 KiB.
    let total = asked.len();
    let least =
        seconds((total - (256 << 10) - (16 << 10) - BESIDE - (300 << 10)) as f64 / (300 << 10) as f64);
    assert!(start.elapsed() >= least, "{:?} is less than {least:?}", start.elapsed());
    drop(tcp);
    limited.end(&[("client-closed", 1)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_s_packets_pass_and_many_more_close() {
    const RATE: u64 = 50;
    let client = ClientLimits { packets_per_second: RATE as u32, over_rate: OverRate::Close, ..ordinary() };
    let limited = LimitedServer::open(app::demo(), limits(client)).await;
    let mut tcp = Raw::pomelo(&limited.tcp()).await;
    let mut ws = RawWebSocket::pomelo(&limited.ws()).await;
    let (asked, answers) = burst(1, RATE - HANDSHAKE.0, 10);
    tcp.send(&asked).await;
    tcp.expect(&answers).await;
    ws.send(Message::binary(asked)).await;
    for _ in 0..RATE - HANDSHAKE.0 {
        ws.message().await.expect("a response");
    }
    // More than a second's worth is too much, even after a long pause.
    let (asked, _) = burst(100, RATE + 2, 10);
    tcp.send(&asked).await;
    ws.send(Message::binary(asked)).await;
    tcp.rest().await;
    closed(tcp.address(), "over-rate", "over the rate of packets or bytes").await;
    closed(ws.address(), "over-rate", "").await;
    while ws.message().await.is_some() {}
    limited.end(&[("over-rate", 2)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_s_bytes_pass_and_more_close() {
    const RATE: usize = 48 << 10;
    let client = ClientLimits { bytes_per_second: RATE, over_rate: OverRate::Close, ..ordinary() };
    let limited = LimitedServer::open(app::demo(), limits(client)).await;
    let mut tcp = Raw::pomelo(&limited.tcp()).await;
    let head = request(1, ECHO, "").len();
    let (asked, answer) = burst(1, 1, RATE + BESIDE - HANDSHAKE.1 - head);
    assert_eq!(HANDSHAKE.1 + asked.len(), RATE + BESIDE);
    tcp.send(&asked).await;
    tcp.expect(&answer).await;
    tcp.send(&burst(2, 1, RATE).0).await;
    tcp.rest().await;
    closed(tcp.address(), "over-rate", "").await;
    limited.end(&[("over-rate", 1)]).await;
}

/// Empty packets count as packets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_count() {
    let client = ClientLimits { packets_per_second: 10, over_rate: OverRate::Close, ..ordinary() };
    let limited = LimitedServer::open(app::demo(), limits(client)).await;
    let mut tcp = Raw::pomelo(&limited.tcp()).await;
    tcp.send(&package(3, "").repeat(12)).await;
    tcp.rest().await;
    closed(tcp.address(), "over-rate", "").await;
    limited.end(&[("over-rate", 1)]).await;
}
