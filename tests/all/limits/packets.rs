//! The limit on the size of a packet.

use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use wireplug::config::CodecLimits;
use wireplug_tests::app::{self, ECHO};
use wireplug_tests::process::{alone, reserved, resident};
use wireplug_tests::raw::{Raw, RawWebSocket, request, response};
use wireplug_tests::server::{self, Setup};

use super::{LimitedServer, closed};

const MAX: usize = 4096;

/// Returns a request with a packet of this many bytes, not counting its length field, and its
/// response.
fn of_length(length: usize) -> (Vec<u8>, Vec<u8>) {
    let body = vec![b'x'; length - (request(1, ECHO, "").len() - 3)];
    assert_eq!(request(1, ECHO, &body).len(), length + 3);
    (request(1, ECHO, &body), response(1, &body))
}

fn setup() -> Setup {
    let setup = server::setup();
    Setup { codec: CodecLimits { max_packet: MAX, ..setup.codec }, ..setup }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_passes_and_one_byte_more_does_not() {
    let limited = LimitedServer::open(app::demo(), setup()).await;
    let (largest, answer) = of_length(MAX);
    let reason = "a packet of 4097 bytes is over the maximum of 4096";

    let mut tcp = Raw::pomelo(&limited.tcp()).await;
    tcp.send(&largest).await;
    tcp.expect(&answer).await;
    tcp.send(&of_length(MAX + 1).0).await;
    assert_eq!(tcp.rest().await, b"");
    closed(tcp.address(), "framing", reason).await;

    let mut ws = RawWebSocket::pomelo(&limited.ws()).await;
    ws.send(Message::binary(largest)).await;
    assert_eq!(ws.message().await.expect("a response"), answer);
    ws.send(Message::binary(of_length(MAX + 1).0)).await;
    assert_eq!(ws.close_frame().await, (1002, "framing".to_owned()));
    closed(ws.address(), "framing", reason).await;
    limited.end(&[("framing", 2)]).await;
}

/// A message that is too long is refused while it arrives, before it is complete.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_grows_too_long() {
    let limited = LimitedServer::open(app::demo(), setup()).await;
    let reason = "transport: ";

    let mut whole = RawWebSocket::pomelo(&limited.ws()).await;
    whole.send(Message::binary(vec![4; 2 * MAX])).await;
    assert_eq!(whole.message().await, None);
    closed(whole.address(), "transport", reason).await;

    let mut fragments = RawWebSocket::pomelo(&limited.ws()).await;
    let peer = fragments.address();
    for n in 0..2 * MAX / 512 {
        let code = OpCode::Data(if n == 0 { Data::Binary } else { Data::Continue });
        fragments.send(Message::Frame(Frame::message(vec![4; 512], code, false))).await;
    }
    assert_eq!(fragments.message().await, None);
    closed(peer, "transport", reason).await;
    limited.end(&[("transport", 2)]).await;
}

#[test]
fn a_claimed_length_allocates_nothing() {
    alone("limits::packets::claims_in_a_process_of_their_own");
}

/// Clients send heads that claim an allowed length and never send the rest, or claim more than is
/// allowed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures its process: run by a_claimed_length_allocates_nothing"]
async fn claims_in_a_process_of_their_own() {
    const CLIENTS: usize = 50;
    const GROWTH: usize = 64 << 20;
    let setup = server::setup();
    let setup = Setup { codec: CodecLimits { max_packet: 15 << 20, ..setup.codec }, ..setup };
    let server = server::pomelo_with(app::demo(), setup).await;
    // A packet of 15 MiB minus one byte, and a frame of the same size.
    let allowed: [&[u8]; 2] = [b"\x04\xef\xff\xfe", b"\x82\xff\0\0\0\0\0\xef\xff\xff\0\0\0\0\x04"];
    // A packet of 16 MiB, and a frame of 2^62 bytes.
    let refused: [&[u8]; 2] = [b"\x04\xff\xff\xff", b"\x82\xff\x40\0\0\0\0\0\0\0\0\0\0\0\x04"];
    let connect = async |transport: usize| match transport {
        0 => Raw::pomelo(&server.tcp()).await,
        _ => Raw::upgraded(&server.tcp()).await,
    };
    let mut claimants = Vec::new();
    for (transport, cause) in ["framing", "transport"].into_iter().enumerate() {
        // The fixed costs of a connection are allocated before the measurement.
        let first = claimants.len();
        for _ in 0..CLIENTS {
            claimants.push(connect(transport).await);
        }
        let before = (reserved(), resident());
        for claimant in &mut claimants[first..] {
            claimant.send(allowed[transport]).await;
        }
        for _ in 0..CLIENTS {
            let mut liar = connect(transport).await;
            liar.send(refused[transport]).await;
            liar.rest().await;
        }
        server.until_closed(cause, CLIENTS as u64).await;
        let growth = (reserved().saturating_sub(before.0), resident().saturating_sub(before.1));
        println!("{cause}: grown by {growth:?} (reserved, resident)");
        assert!(growth.1 < GROWTH, "{growth:?}");
        // The WebSocket library reserves the length that a head claims, if it is allowed. Memory
        // that is never touched costs nothing.
        assert!(transport == 1 || growth.0 < GROWTH, "{growth:?}");
    }
    let closes = server.shutdown().await.closes;
    let liars = CLIENTS as u64;
    assert_eq!(closes, [("framing", liars), ("shutdown", 2 * liars), ("transport", liars)].into());
}
