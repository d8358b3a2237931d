mod handover;

use std::future::poll_fn;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::sync::mpsc;
use tokio_tungstenite::client_async;

use super::*;
use crate::ListenOptions;

/// A stream that reports how many bytes each write has.
struct Counted(DuplexStream, mpsc::UnboundedSender<usize>);

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.0).poll_write(cx, buf))?;
        let _ = self.1.send(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl ByteStream for Counted {}

fn peer() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 1))
}

/// Messages that are sent together become separate frames in one write.
#[tokio::test]
async fn a_batch_is_one_write_of_many_frames() {
    let (client, server) = duplex(4096);
    let (tell, mut writes) = mpsc::unbounded_channel();
    let rules = HttpRules::new(&ListenOptions::default());
    let turn_away = TurnAway::default();
    let upgrade = open(PrefixedStream::new(Counted(server, tell)), 1000, &rules, peer(), &turn_away);
    let (client, opened) = tokio::join!(client_async("ws://here/", client), upgrade);
    let (mut client, _) = client.expect("it upgrades");
    let Socket::Messages(mut socket) = opened.expect("it upgrades").socket else {
        panic!("WebSocket has messages")
    };
    while writes.try_recv().is_ok() {}

    for n in 0..3 {
        poll_fn(|cx| socket.poll_ready(cx)).await.expect("it lives");
        socket.send(Bytes::from(format!("message {n}")), true).expect("it lives");
    }
    poll_fn(|cx| socket.poll_flush(cx)).await.expect("it lives");
    // Each frame has a head of two bytes.
    assert_eq!(writes.try_recv(), Ok(3 * (2 + "message 0".len())));
    assert!(writes.try_recv().is_err());
    for n in 0..3 {
        let message = client.next().await.expect("one").expect("whole");
        assert_eq!(message, Message::text(format!("message {n}")));
    }
}

/// The library answers a ping while a message is written in part. The pong comes behind the
/// message, and the next message behind the pong that has begun.
#[tokio::test]
async fn a_pong_does_not_come_into_a_message() {
    let (client, server) = duplex(64);
    let rules = HttpRules::new(&ListenOptions::default());
    let turn_away = TurnAway::default();
    let upgrade = open(PrefixedStream::new(server), 1000, &rules, peer(), &turn_away);
    let (client, opened) = tokio::join!(client_async("ws://here/", client), upgrade);
    let (mut client, _) = client.expect("it upgrades");
    let Socket::Messages(mut socket) = opened.expect("it upgrades").socket else {
        panic!("WebSocket has messages")
    };

    let first = Bytes::from(vec![1; 1000]);
    poll_fn(|cx| socket.poll_ready(cx)).await.expect("it lives");
    socket.send(first.clone(), false).expect("it lives");
    assert!(poll_fn(|cx| Poll::Ready(socket.poll_flush(cx))).await.is_pending());
    client.send(Message::Ping("still there?".into())).await.expect("it lives");
    assert!(poll_fn(|cx| Poll::Ready(socket.poll_receive(cx))).await.is_pending());

    let second = Bytes::from(vec![2; 100]);
    let sending = async {
        poll_fn(|cx| socket.poll_ready(cx)).await.expect("it lives");
        socket.send(second.clone(), false).expect("it lives");
        poll_fn(|cx| socket.poll_flush(cx)).await.expect("it lives");
    };
    let receiving = async {
        let mut received = Vec::new();
        while received.len() < 3 {
            received.push(client.next().await.expect("one").expect("whole"));
        }
        received
    };
    let ((), received) = tokio::join!(sending, receiving);
    let pong = Message::Pong("still there?".into());
    assert_eq!(received, [Message::Binary(first), pong, Message::Binary(second.clone())]);
}
