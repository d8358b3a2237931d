//! The deadlines of a client: first byte, handshake, packet, idle.
//!
//! Clients that keep a deadline run beside those that miss it. They stay well below it, because a
//! busy machine may delay them by more than a second.

use std::time::{Duration, Instant};

use futures_util::SinkExt as _;
use futures_util::future::join;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use wireplug::Session;
use wireplug::config::ClientLimits;
use wireplug::session::Message as Push;
use wireplug_tests::app::{self, ECHO};
use wireplug_tests::raw::{ACK, Raw, RawWebSocket, frame, hello, notification, package, request, response};
use wireplug_tests::server::Setup;

use super::{LimitedServer, closed, limits, ordinary};

/// The route whose handler passes its session to the test.
const WHO: &str = "a.b.who";

const LIMIT: Duration = Duration::from_secs(3);

/// Well below the limit.
const PAUSE: Duration = Duration::from_millis(500);

/// How long the clients that keep a deadline continue.
const LONGER: Duration = Duration::from_millis(4500);

/// Waits until the server closes with this cause and reason. Checks that this does not happen
/// before the limit.
async fn misses(mut raw: Raw, since: Instant, cause: &str, reason: &str) {
    raw.rest().await;
    assert!(since.elapsed() >= LIMIT, "{cause} after {:?}", since.elapsed());
    closed(raw.address(), cause, reason).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_byte() {
    let limits = limits(ClientLimits { first_byte_timeout: LIMIT, ..ordinary() });
    let test = |url: &'static str| {
        let setup = Setup { url, ..limits.clone() };
        async move {
            let limited = LimitedServer::open(app::demo(), setup).await;
            let (since, tcp) = (Instant::now(), limited.tcp());
            let silent = Raw::connect(&tcp).await;
            let keeps = async {
                let mut raw = Raw::connect(&tcp).await;
                sleep(2 * PAUSE).await;
                if url.starts_with("ws") {
                    raw.send(b"G").await;
                } else {
                    raw.send(&hello()[..1]).await;
                }
                // After its first byte, the client must keep another deadline.
                sleep(LONGER - 2 * PAUSE).await;
                assert_eq!(limited.server.stats().connections_open, 2, "{url}");
            };
            join(misses(silent, since, "first-byte-timeout", "no first byte in time"), keeps).await;
            let cause = if url.starts_with("ws") { "transport" } else { "client-closed" };
            limited.end(&[("first-byte-timeout", 1), (cause, 1)]).await;
        }
    };
    futures_util::join!(test("tcp://127.0.0.1:0"), test("ws://127.0.0.1:0"), test("hybrid://127.0.0.1:0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_handshake() {
    let limited =
        LimitedServer::open(app::demo(), limits(ClientLimits { handshake_timeout: LIMIT, ..ordinary() }))
            .await;
    let (since, tcp) = (Instant::now(), limited.tcp());
    let (cause, reason) = ("handshake-timeout", "the handshake took too long");
    let mut unacknowledged = Raw::connect(&tcp).await;
    unacknowledged.send(&hello()).await;
    let mut half = Raw::connect(&tcp).await;
    half.send(&hello()[..5]).await;
    let mut upgrading = Raw::connect(&tcp).await;
    upgrading.send(b"GET / HTTP/1.1\r\nHost: here\r\n").await;
    let upgraded = Raw::upgraded(&tcp).await;
    // A byte from time to time does not complete the handshake.
    let drips = async {
        let mut raw = Raw::connect(&tcp).await;
        for byte in hello().iter().cycle().take(14) {
            raw.send(&[*byte]).await;
            sleep(PAUSE).await;
        }
        misses(raw, since, cause, reason).await;
    };
    let keeps = async {
        let mut raw = Raw::connect(&tcp).await;
        raw.send(&hello()).await;
        raw.package().await;
        sleep(2 * PAUSE).await;
        raw.send(&package(ACK, "")).await;
        sleep(LONGER - 2 * PAUSE).await;
        raw.send(&request(1, ECHO, "[]")).await;
        raw.expect(&response(1, "[]")).await;
    };
    futures_util::join!(
        misses(unacknowledged, since, cause, reason),
        misses(half, since, cause, reason),
        misses(upgrading, since, cause, reason),
        misses(upgraded, since, cause, reason),
        drips,
        keeps
    );
    limited.end(&[("client-closed", 1), ("handshake-timeout", 5)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_packet() {
    let limited =
        LimitedServer::open(app::demo(), limits(ClientLimits { packet_timeout: LIMIT, ..ordinary() })).await;
    let (tcp, ws) = (limited.tcp(), limited.ws());
    let (cause, reason) = ("packet-timeout", "a packet took too long to come");
    let packet = request(1, ECHO, "[\"so long that it does not end while it drips\"]");

    // A packet arrives byte by byte, in a stream or in a message.
    let drips = async |mut raw: Raw, bytes: Vec<u8>| {
        let since = Instant::now();
        for byte in bytes.iter().take(8) {
            raw.send(&[*byte]).await;
            sleep(PAUSE).await;
        }
        misses(raw, since, cause, reason).await;
    };
    // A packet arrives byte by byte. Between the bytes come whole frames that are not packets.
    let fragments = async |control: Option<Message>| {
        let mut socket = RawWebSocket::pomelo(&ws).await;
        let (peer, since) = (socket.address(), Instant::now());
        for (n, &byte) in packet.iter().enumerate().take(8) {
            let code = OpCode::Data(if n == 0 { Data::Binary } else { Data::Continue });
            socket.send(Message::Frame(Frame::message(vec![byte], code, false))).await;
            if let Some(control) = &control {
                socket.send(control.clone()).await;
            }
            sleep(PAUSE).await;
        }
        closed(peer, cause, reason).await;
        assert!(since.elapsed() >= LIMIT, "{:?}", since.elapsed());
    };
    // A packet begins in the same bytes in which another one ends.
    let behind = async {
        let mut raw = Raw::pomelo(&tcp).await;
        let since = Instant::now();
        raw.send(&[&packet[..], &packet[..7]].concat()).await;
        misses(raw, since, cause, reason).await;
    };
    let behind_message = async {
        let mut raw = Raw::upgraded(&tcp).await;
        let since = Instant::now();
        raw.send(&[&frame(&hello())[..], &frame(&packet)[..7]].concat()).await;
        misses(raw, since, cause, reason).await;
    };
    // Packets arrive slowly one after the other, and each is complete in time.
    let keeps = async |mut raw: Raw, ended: &dyn Fn(&[u8]) -> Vec<u8>| {
        let since = Instant::now();
        let bytes = ended(&packet);
        while since.elapsed() < LONGER {
            for piece in bytes.chunks(bytes.len().div_ceil(3)) {
                raw.send(piece).await;
                sleep(PAUSE).await;
            }
        }
        raw
    };
    let keeps_stream = async {
        let mut raw = keeps(Raw::pomelo(&tcp).await, &|packet| packet.to_vec()).await;
        raw.finish().await;
        let answer = response(1, "[\"so long that it does not end while it drips\"]");
        let rest = raw.rest().await;
        assert!(rest.len() > answer.len() && rest.chunks(answer.len()).all(|chunk| chunk == answer));
    };
    let keeps_messages = async {
        let mut raw = Raw::upgraded(&tcp).await;
        raw.send(&frame(&hello())).await;
        raw.expect(&[0x82, 126]).await;
        raw.send(&frame(&package(ACK, ""))).await;
        raw = keeps(raw, &|packet| frame(packet)).await;
        raw.send(b"\x88\x80\0\0\0\0").await;
        assert!(!raw.rest().await.is_empty());
    };
    futures_util::join!(
        async { drips(Raw::pomelo(&tcp).await, packet.clone()).await },
        async { drips(Raw::upgraded(&tcp).await, frame(&packet)).await },
        fragments(None),
        fragments(Some(Message::Ping("here".into()))),
        fragments(Some(Message::Pong("".into()))),
        behind,
        behind_message,
        keeps_stream,
        keeps_messages
    );
    limited.end(&[("client-closed", 2), ("packet-timeout", 7)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_passes() {
    let (sender, mut sessions) = unbounded_channel();
    let app = app::demo().route(WHO, move |session: Session| {
        let sender = sender.clone();
        async move { drop(sender.send(session)) }
    });
    let limited = LimitedServer::open(app, limits(ClientLimits { idle_timeout: LIMIT, ..ordinary() })).await;
    let (tcp, ws) = (limited.tcp(), limited.ws());
    let (cause, reason) = ("idle-timeout", "nothing passed for too long");
    let silent = async {
        let raw = Raw::connect(&tcp).await;
        let since = Instant::now();
        misses(raw.shake_hands().await, since, cause, reason).await;
    };
    let silent_messages = async {
        let since = Instant::now();
        let mut socket = RawWebSocket::pomelo(&ws).await;
        assert_eq!(socket.close_frame().await, (1008, cause.to_owned()));
        assert!(since.elapsed() >= LIMIT, "{:?}", since.elapsed());
        closed(socket.address(), cause, reason).await;
    };
    // Only the client sends messages.
    let says = async {
        let mut raw = Raw::pomelo(&tcp).await;
        let since = Instant::now();
        while since.elapsed() < LONGER {
            raw.send(&notification(ECHO, "[]")).await;
            sleep(PAUSE).await;
        }
        raw.send(&request(1, ECHO, "[]")).await;
        raw.expect(&response(1, "[]")).await;
    };
    // Only the transport sends pings.
    let pings = async {
        let mut socket = RawWebSocket::pomelo(&ws).await.into_stream();
        let since = Instant::now();
        while since.elapsed() < LONGER {
            socket.send(Message::Pong("".into())).await.expect("the connection lives");
            sleep(PAUSE).await;
        }
        socket.close(None).await.expect("the connection lives");
    };
    // Only the server sends messages to the client.
    let listens = async {
        let mut raw = Raw::pomelo(&tcp).await;
        raw.send(&request(1, WHO, "")).await;
        raw.expect(&response(1, "{}")).await;
        let session = sessions.recv().await.expect("the handler has sent it");
        let since = Instant::now();
        while since.elapsed() < LONGER {
            session.send(Push::push("onAny", "{}")).expect("the connection lives");
            raw.package().await;
            sleep(PAUSE).await;
        }
    };
    futures_util::join!(silent, silent_messages, says, pings, listens);
    limited.end(&[("client-closed", 3), ("idle-timeout", 2)]).await;
}
