//! A WebSocket goes over to a second `ClientSocket` on a duplicate of its descriptor. The streams
//! are not those of TCP, which would use up the ports of the machine.

use std::future::poll_fn;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::task::JoinHandle;

use super::*;
use crate::handover::from_state;

const MAX: usize = 1 << 20;

/// A client's frame, whose mask changes nothing.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        long => {
            frame.push(0x80 | 126);
            frame.extend((long as u16).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// What a client sends, and what is expected of it.
#[derive(Default)]
struct Burst {
    bytes: Vec<u8>,
    /// Where no message and no frame is incomplete.
    boundaries: Vec<usize>,
    messages: Vec<Vec<u8>>,
    pongs: Vec<u8>,
}

impl Burst {
    /// Messages of several lengths, whole and in fragments, with pings between all of them.
    fn new() -> Self {
        let mut burst = Self { boundaries: vec![0], ..Self::default() };
        for number in 0..4_u8 {
            burst.message(&[frame(0x82, &[number; 5])], &[number; 5]);
            burst.ping(&[number]);
            burst.message(&[frame(0x81, b"")], b"");
            let long = vec![number; 130];
            burst.message(&[frame(0x82, &long)], &long);
            burst.ping(b"");
            burst.ping(b"two in a row");
            burst.message(
                &[frame(0x02, b"one "), frame(0x00, b""), frame(0x89, b"between"), frame(0x80, b"two")],
                b"one two",
            );
            burst.pong(b"between");
            burst.message(&[frame(0x82, b"last")], b"last");
        }
        burst
    }

    fn message(&mut self, frames: &[Vec<u8>], message: &[u8]) {
        self.bytes.extend(frames.concat());
        self.boundaries.push(self.bytes.len());
        self.messages.push(message.to_vec());
    }

    fn ping(&mut self, payload: &[u8]) {
        self.bytes.extend(frame(0x89, payload));
        self.boundaries.push(self.bytes.len());
        self.pong(payload);
    }

    /// Expects an answer to a ping.
    fn pong(&mut self, payload: &[u8]) {
        self.pongs.extend([0x8a, payload.len() as u8]);
        self.pongs.extend(payload);
    }
}

/// Returns a client's stream, and the socket of the server whose upgrade is done.
async fn pair() -> (UnixStream, ClientSocket<UnixStream>) {
    let (client, stream) = UnixStream::pair().expect("descriptors are left");
    (client, over(PrefixedStream::new(stream), MAX).await)
}

/// Hands the socket to another one, as to another process.
fn hand_over(socket: &ClientSocket<UnixStream>) -> ClientSocket<UnixStream> {
    let mut handed = socket.hand_over().expect("it is prepared");
    let descriptor = handed.take_descriptor().expect("it has one");
    let stream = UnixStream::from_std(descriptor.into()).expect("it is a socket");
    let SavedClient::WebSocket(saved) = from_state(&handed.state).expect("its state") else {
        panic!("the client speaks WebSocket")
    };
    resume(stream, RateMeter::default(), saved, MAX, &HttpRules::new(&ListenOptions::default()))
}

/// Receives messages until the socket has no more, and `is_done`.
async fn receive(
    socket: &mut ClientSocket<UnixStream>,
    messages: &mut Vec<Vec<u8>>,
    is_done: impl Fn(&ClientSocket<UnixStream>) -> bool,
) {
    poll_fn(|cx| {
        loop {
            match socket.poll_receive(cx) {
                Poll::Ready(message) => {
                    messages.push(message.expect("it lives").expect("the client is there").to_vec());
                }
                Poll::Pending if is_done(socket) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
}

fn read_all(mut client: OwnedReadHalf) -> JoinHandle<Vec<u8>> {
    tokio::spawn(async move {
        let mut read = Vec::new();
        client.read_to_end(&mut read).await.expect("the server closes");
        read
    })
}

/// Wherever the first socket stops reading, each message is received once, each ping is answered
/// once, and the first socket reads no byte beyond the message that it has begun.
#[tokio::test]
async fn no_message_is_lost_or_doubled_at_any_byte_of_a_burst() {
    let burst = Burst::new();
    for cut in 0..=burst.bytes.len() {
        let (client, mut first) = pair().await;
        let (reader, mut writer) = client.into_split();
        let answers = read_all(reader);
        let mut messages = Vec::new();
        writer.write_all(&burst.bytes[..cut]).await.expect("it lives");
        receive(&mut first, &mut messages, |first| first.traffic().read == cut as u64).await;

        first.prepare_handover().expect("it can be handed over");
        writer.write_all(&burst.bytes[cut..]).await.expect("it lives");
        receive(&mut first, &mut messages, ClientSocket::may_be_handed_over).await;
        let read = first.traffic().read;
        let boundary = *burst.boundaries.iter().find(|at| **at >= cut).expect("the last one is the end");
        assert_eq!(read, boundary as u64, "{cut}");

        let mut second = hand_over(&first);
        drop(first);
        assert_eq!(second.traffic().read, read, "{cut}");
        let all = burst.bytes.len() as u64;
        receive(&mut second, &mut messages, |second| second.traffic().read == all).await;
        assert_eq!(messages, burst.messages, "{cut}");
        assert_eq!(second.traffic().written, burst.pongs.len() as u64, "{cut}");
        drop((second, writer));
        assert_eq!(answers.await.expect("no panic"), burst.pongs, "{cut}");
    }
}

/// The library has read several messages at once, and has returned some of them.
#[tokio::test]
async fn what_the_library_has_read_is_received_before_the_socket_goes() {
    let burst = Burst::new();
    for taken in 1..burst.messages.len() {
        let (mut client, mut first) = pair().await;
        client.write_all(&burst.bytes).await.expect("it lives");
        let mut messages = Vec::new();
        while messages.len() < taken {
            let message = poll_fn(|cx| first.poll_receive(cx)).await.expect("it lives");
            messages.push(message.expect("one").to_vec());
        }
        first.prepare_handover().expect("it can be handed over");
        assert!(!first.may_be_handed_over(), "the library may hold more");
        receive(&mut first, &mut messages, ClientSocket::may_be_handed_over).await;
        let mut second = hand_over(&first);
        drop(first);
        let all = burst.bytes.len() as u64;
        receive(&mut second, &mut messages, |second| second.traffic().read == all).await;
        assert_eq!(messages, burst.messages, "{taken}");
    }
}

/// Messages to the client move along as far as they are not written, even if a part of one is.
#[tokio::test]
async fn what_waits_for_the_client_is_sent_by_the_other_socket() {
    let (client, mut first) = pair().await;
    // More than the buffers of the kernel hold.
    let long = vec![7; 16 << 20];
    first.send(long.clone().into(), false).expect("it lives");
    assert!(poll_fn(|cx| Poll::Ready(first.poll_flush(cx))).await.is_pending());
    first.send(Bytes::from_static(b"and another"), true).expect("it lives");
    first.prepare_handover().expect("it can be handed over");
    assert!(first.may_be_handed_over(), "the library holds nothing");
    let mut second = hand_over(&first);
    drop(first);
    assert_ne!(second.traffic().written, 0);

    let (reader, writer) = client.into_split();
    let answers = read_all(reader);
    // The other server knows of no message, so it only receives.
    let expected = [&[0x82, 127, 0, 0, 0, 0, 1, 0, 0, 0], &long[..], &[0x81, 11], b"and another"].concat();
    let all = expected.len() as u64;
    receive(&mut second, &mut Vec::new(), |second| second.traffic().written == all).await;
    drop((second, writer));
    assert!(answers.await.expect("no panic") == expected);
}

/// A pong that the stream did not accept is in the library, which gives nothing back.
#[tokio::test]
async fn a_pong_that_waits_keeps_the_socket_here() {
    let (mut client, mut first) = pair().await;
    first.send(vec![7; 16 << 20].into(), false).expect("it lives");
    assert!(poll_fn(|cx| Poll::Ready(first.poll_flush(cx))).await.is_pending());
    let ping = [frame(0x89, b"there?"), frame(0x82, b"message")].concat();
    client.write_all(&ping).await.expect("it lives");
    let mut messages = Vec::new();
    receive(&mut first, &mut messages, |first| first.traffic().read == ping.len() as u64).await;
    first.prepare_handover().expect("it can be handed over");
    assert!(!first.may_be_handed_over());

    let (reader, writer) = client.into_split();
    let answers = read_all(reader);
    poll_fn(|cx| first.poll_flush(cx)).await.expect("the client reads");
    assert!(first.may_be_handed_over());
    let second = hand_over(&first);
    drop((first, second, writer));
    let answers = answers.await.expect("no panic");
    assert!(answers.ends_with(b"\x8a\x06there?") && answers.len() == 10 + (16 << 20) + 8);
    assert_eq!(messages, [b"message"]);
}

#[tokio::test]
async fn a_socket_that_stays_reads_on() {
    let (mut client, mut socket) = pair().await;
    let message = frame(0x82, b"message");
    let mut messages = Vec::new();
    for _ in 0..2 {
        socket.prepare_handover().expect("it can be handed over");
        client.write_all(&message).await.expect("it lives");
        // Several turns, in which the runtime notices that there is something to read.
        for _ in 0..8 {
            receive(&mut socket, &mut messages, ClientSocket::may_be_handed_over).await;
            tokio::task::yield_now().await;
        }
        assert!(messages.is_empty(), "it is held");
        drop(hand_over(&socket));
        socket.cancel_handover();
        assert!(!socket.may_be_handed_over());
        receive(&mut socket, &mut messages, |socket| socket.traffic().read % message.len() as u64 == 0).await;
        // Without a byte it would be done at once.
        while messages.is_empty() {
            let received = poll_fn(|cx| socket.poll_receive(cx)).await.expect("it lives");
            messages.push(received.expect("one").to_vec());
        }
        assert_eq!(messages, [b"message"]);
        messages.clear();
    }
}

/// A client that closes, breaks the protocol or is closed does not go, and what it still sends is
/// read.
#[tokio::test]
async fn a_socket_that_ends_ends_here() {
    let close = frame(0x88, &1000_u16.to_be_bytes());
    let broken = frame(0x83, b"reserved");
    for end in [&close, &broken] {
        let (mut client, mut socket) = pair().await;
        client.write_all(&end[..3]).await.expect("it lives");
        receive(&mut socket, &mut Vec::new(), |socket| socket.traffic().read == 3).await;
        socket.prepare_handover().expect("it can be handed over");
        client.write_all(&[&end[3..], b"more"].concat()).await.expect("it lives");
        let received = poll_fn(|cx| socket.poll_receive(cx)).await;
        assert!(received.as_ref().is_err() || received.as_ref().is_ok_and(Option::is_none), "{received:?}");
        assert!(!socket.may_be_handed_over());
    }

    let (mut client, mut socket) = pair().await;
    socket.prepare_handover().expect("it can be handed over");
    poll_fn(|cx| socket.poll_close(CloseCode::RESTART, "", cx)).await.expect("it lives");
    assert!(!socket.may_be_handed_over());
    client.write_all(&[frame(0x82, b"late"), close].concat()).await.expect("it lives");
    let late = poll_fn(|cx| socket.poll_receive(cx)).await.expect("it lives");
    assert_eq!(late.as_deref(), Some(&b"late"[..]));
    assert_eq!(poll_fn(|cx| socket.poll_receive(cx)).await.expect("it lives"), None);
}
