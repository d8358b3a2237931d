//! Rates count all bytes that are read: frames of WebSocket without a message, bytes of incomplete
//! packets, and the request that opens a WebSocket.

use std::time::{Duration, Instant};

use wireplug::config::{ClientLimits, CodecLimits, OverRate};
use wireplug_tests::app::{self, ECHO};
use wireplug_tests::raw::{Raw, UPGRADE, frame, hello, package, request, response};
use wireplug_tests::server::Setup;

use super::{LimitedServer, closed, limits, ordinary};

/// Returns a client's frame without a payload. `first` is its first byte, and the mask changes
/// nothing.
fn empty(first: u8) -> [u8; 6] {
    [first, 0x80, 0, 0, 0, 0]
}

/// Returns the first fragments of a message, all empty and none of them the last.
fn fragments(count: usize) -> Vec<u8> {
    [&empty(0x02)[..], &empty(0x00).repeat(count - 1)].concat()
}

const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// Returns the close frame for a client over its rates.
fn policy() -> Vec<u8> {
    [&[0x88, 11][..], &1008_u16.to_be_bytes(), b"over-rate"].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_carry_no_message_are_packets() {
    let client = ClientLimits { packets_per_second: 10, over_rate: OverRate::Close, ..ordinary() };
    let whole_ping = [&[PING, 0x85, 0, 0, 0, 0][..], b"hello"].concat();
    let floods = [
        ("pings", empty(PING).repeat(100)),
        ("pings that say something", whole_ping.repeat(100)),
        ("pongs", empty(PONG).repeat(100)),
        ("empty fragments", fragments(100)),
        ("empty messages", empty(0x82).repeat(100)),
    ];
    for url in ["ws://127.0.0.1:0", "hybrid://127.0.0.1:0"] {
        let limited = LimitedServer::open(app::demo(), Setup { url, ..limits(client) }).await;
        for (what, flood) in &floods {
            println!("{url} {what}");
            let mut raw = Raw::upgraded(&limited.tcp()).await;
            raw.send(flood).await;
            let rest = raw.rest().await;
            assert!(rest.ends_with(&policy()), "{what}: {}", rest.escape_ascii());
            closed(raw.address(), "over-rate", "over the rate of packets or bytes").await;
        }
        limited.end(&[("over-rate", floods.len() as u64)]).await;
    }
}

/// A client that sends only pings, within its rate, is served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_s_pings_pass() {
    let client = ClientLimits { packets_per_second: 30, over_rate: OverRate::Close, ..ordinary() };
    let limited = LimitedServer::open(app::demo(), limits(client)).await;
    let mut raw = Raw::upgraded(&limited.tcp()).await;
    raw.send(&empty(PING).repeat(25)).await;
    raw.expect(&[PONG, 0].repeat(25)).await;
    // The handshake, its acknowledgement and a request are the other packets. Each was counted
    // once, as a frame.
    raw.send(&frame(&hello())).await;
    let head = raw.bytes(2).await;
    let length = match head[1] {
        126 => usize::from(u16::from_be_bytes(raw.bytes(2).await.try_into().expect("2 bytes"))),
        length => length.into(),
    };
    raw.bytes(length).await;
    raw.send(&[frame(&package(2, "")), frame(&request(1, ECHO, "x"))].concat()).await;
    let answer = response(1, "x");
    raw.expect(&[&[0x82, answer.len() as u8][..], &answer].concat()).await;
    drop(raw);
    limited.end(&[("client-closed", 1)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_are_delayed_and_each_is_answered() {
    const RATE: usize = 30;
    const BURST: usize = 60;
    let client = ClientLimits { packets_per_second: RATE as u32, ..ordinary() };
    let limited = LimitedServer::open(app::demo(), limits(client)).await;
    let start = Instant::now();
    let mut raw = Raw::upgraded(&limited.tcp()).await;
    for _ in 0..3 {
        raw.send(&empty(PING).repeat(BURST)).await;
        raw.expect(&[PONG, 0].repeat(BURST)).await;
    }
    // The last burst is read only when the earlier ones are within the rate.
    let least = Duration::from_secs_f64((2 * BURST - RATE) as f64 / RATE as f64);
    assert!(start.elapsed() >= least, "{:?} is less than {least:?}", start.elapsed());
    drop(raw);
    limited.end(&[("client-closed", 1)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_of_pings_and_of_half_a_packet_count() {
    let client = ClientLimits { bytes_per_second: 64 << 10, over_rate: OverRate::Close, ..ordinary() };
    let codec = CodecLimits { max_packet: 1 << 20, ..CodecLimits::default() };
    let limited = LimitedServer::open(app::demo(), Setup { codec, ..limits(client) }).await;

    let ping = [&[PING, 0x80 | 125, 0, 0, 0, 0][..], &[b'x'; 125]].concat();
    let mut raw = Raw::upgraded(&limited.tcp()).await;
    raw.send(&ping.repeat(2000)).await;
    let rest = raw.rest().await;
    assert!(rest.ends_with(&policy()), "{}", rest.len());
    closed(raw.address(), "over-rate", "").await;

    // A packet that is shorter than its length says, over TCP and as half of a frame.
    let half = package(4, vec![0; 500 << 10]);
    let mut raw = Raw::pomelo(&limited.tcp()).await;
    raw.send(&half[..200 << 10]).await;
    raw.rest().await;
    closed(raw.address(), "over-rate", "").await;
    let mut raw = Raw::upgraded(&limited.tcp()).await;
    raw.send(&[&[0x82, 0xff][..], &(500_u64 << 10).to_be_bytes(), &half[..200 << 10]].concat()).await;
    raw.rest().await;
    closed(raw.address(), "over-rate", "").await;
    limited.end(&[("over-rate", 3)]).await;
}

/// The request is counted with the bytes that follow it, however slowly it arrives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_request_for_a_websocket_counts() {
    // With the additional allowance, 17,408 bytes may come at once.
    let client = ClientLimits { bytes_per_second: 1 << 10, over_rate: OverRate::Close, ..ordinary() };
    let limited = LimitedServer::open(app::demo(), limits(client)).await;
    let message = frame(&package(6, vec![b'x'; 9 << 10]));
    for (filler, passes) in [(0, true), (12 << 10, false)] {
        let (line, fields) = UPGRADE.split_at(b"GET / HTTP/1.1\r\n".len());
        let head = [line, b"X: ", &vec![b'x'; filler][..], b"\r\n", fields].concat();
        let mut raw = Raw::connect(&limited.tcp()).await;
        for piece in head.chunks(head.len() / 20 + 1) {
            raw.send(piece).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(raw.line().await, "HTTP/1.1 101 Switching Protocols\r");
        while raw.line().await != "\r" {}
        raw.send(&message).await;
        raw.rest().await;
        // The package type does not exist, which ends the session for another reason.
        closed(raw.address(), if passes { "protocol" } else { "over-rate" }, "").await;
    }
    limited.end(&[("over-rate", 1), ("protocol", 1)]).await;
}
