//! WebSocket (RFC 6455), implemented with tokio-tungstenite.
//!
//! The library reads, and writes its control frames. Messages for the client are written without
//! it, because it would keep a buffer as large as the largest of them for each connection. They go
//! out before what the library writes next, and never into a frame that it has begun.

use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode as Code, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig as Limits};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::prefixed_stream::PrefixedStream;
use super::turn_away::TurnAway;
use super::upgrade::{HttpRules, upgrade};
use super::{ByteStream, CloseCode, MessageSocket, Opened, Socket, Traffic};

/// The size of the read buffer in bytes. Each connection allocates one, so it is small. A larger
/// message enlarges the buffer for a while.
const READ_BUFFER: usize = 2 << 10;

/// How many bytes of messages gather before they are written without a flush.
const WRITE_BUFFER: usize = 64 << 10;

/// The most bytes of control frames that wait in the library. A client that sends pings and reads
/// no pong cannot make it hold more.
const CONTROL_FRAMES: usize = 4 << 10;

/// The longest reason in a close frame, in bytes (RFC 6455, section 5.5: 125, less the code).
const MAX_REASON: usize = 123;

/// Performs the upgrade, and returns the open WebSocket.
pub(super) async fn open<S: ByteStream + 'static>(
    mut stream: PrefixedStream<S>,
    max_message: usize,
    rules: &HttpRules,
    peer: SocketAddr,
    turn_away: &TurnAway,
) -> io::Result<Opened> {
    let (attributes, client) = upgrade(&mut stream, rules, peer, turn_away).await?;
    let client = client.map(|client| client.to_string());
    let meter = Some(stream.meter().clone());
    let mut socket = over(stream, max_message).await;
    socket.ping = Ping::new(rules.ping_interval());
    let socket = Socket::Messages(Box::new(socket));
    Ok(Opened { transport: "ws", client, attributes, meter, starttls: None, socket })
}

/// Creates a WebSocket over a stream whose upgrade is done.
pub(super) async fn over<S: ByteStream>(
    mut stream: PrefixedStream<S>,
    max_message: usize,
) -> ClientSocket<S> {
    // The next byte begins the first frame.
    stream.begin_frames();
    let config = Limits::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(CONTROL_FRAMES)
        .max_message_size(Some(max_message))
        .max_frame_size(Some(max_message));
    let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    ClientSocket { socket, text: false, failed: None, late: None, closing: false, ping: None }
}

/// A client's WebSocket.
pub(super) struct ClientSocket<S> {
    socket: WebSocketStream<PrefixedStream<S>>,
    /// Whether the message received last was text.
    text: bool,
    /// The close code for a client that has broken the protocol. Everything that this client still
    /// sends is discarded.
    failed: Option<Code>,
    /// Set when the client has sent a close frame. From then on the library writes nothing but its
    /// own close frame. Responses that the client requested before must still be sent, which
    /// section 5.5.1 allows. They are written before the close frame, unless the library has begun
    /// a frame that the stream did not accept whole: then the value is [`Late::Blocked`].
    late: Option<Late>,
    closing: bool,
    ping: Option<Ping>,
}

/// How many pings in a row may be followed by nothing. Pings count as traffic, so `idle-timeout`
/// does not end a client that is gone.
const MAX_UNANSWERED: u32 = 2;

/// The pings to a client.
struct Ping {
    interval: Duration,
    timer: Pin<Box<Sleep>>,
    /// How many bytes had been read at the last ping. `None` before the first one.
    read: Option<u64>,
    /// How many pings in a row were followed by nothing.
    unanswered: u32,
    /// Whether a ping is not written yet.
    is_due: bool,
}

impl Ping {
    /// Returns `None` if the interval is zero.
    fn new(interval: Duration) -> Option<Self> {
        let timer = || Box::pin(sleep(interval));
        (!interval.is_zero()).then(|| Self {
            interval,
            timer: timer(),
            read: None,
            unanswered: 0,
            is_due: false,
        })
    }

    /// Returns whether the interval is over. `read` is how many bytes have been read so far.
    ///
    /// # Errors
    /// Returns an error if nothing came after several pings.
    fn poll(&mut self, read: u64, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut is_over = false;
        while self.timer.as_mut().poll(cx).is_ready() {
            is_over = true;
            self.timer.as_mut().reset(Instant::now() + self.interval);
        }
        if is_over {
            self.unanswered = if self.read == Some(read) { self.unanswered + 1 } else { 0 };
            self.read = Some(read);
        }
        if self.unanswered > MAX_UNANSWERED {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the client answers no ping"));
        }
        Ok(is_over)
    }
}

/// Whether messages can still be sent after the client's close frame.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Late {
    Open,
    /// The library has bytes that the stream did not accept. Then nothing can be written before its
    /// close frame.
    Blocked,
}

impl<S: ByteStream> MessageSocket for ClientSocket<S> {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        if self.failed.is_some() {
            return self.poll_discard(cx).map_ok(|()| None);
        }
        self.ping(cx)?;
        loop {
            let received = ready!(Pin::new(&mut self.socket).poll_next(cx));
            self.text = matches!(received, Some(Ok(Message::Text(_))));
            return Poll::Ready(match received {
                Some(Ok(Message::Binary(bytes))) => Ok(Some(bytes)),
                // Pomelo treats text as bytes too, and clients rely on that.
                Some(Ok(Message::Text(text))) => Ok(Some(text.into())),
                // The library has queued the pong already.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Ok(Message::Close(_))) => {
                    let late = if self.socket.get_ref().blocked { Late::Blocked } else { Late::Open };
                    self.late.get_or_insert(late);
                    Ok(None)
                }
                None => Ok(None),
                // Many clients just drop their connection.
                Some(Err(
                    Error::ConnectionClosed | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake),
                )) => Ok(None),
                Some(Err(error)) => {
                    self.failed = Some(match &error {
                        Error::Utf8(_) => Code::Invalid,
                        Error::Capacity(_) => Code::Size,
                        Error::Io(error) if error.kind() == io::ErrorKind::QuotaExceeded => Code::Policy,
                        _ => Code::Protocol,
                    });
                    Err(into_io(error))
                }
            });
        }
    }

    fn is_text(&self) -> bool {
        self.text
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.socket.get_ref();
        if self.late.is_none() && stream.blocked {
            // The library has begun a frame.
            return Pin::new(&mut self.socket).poll_flush(cx).map_err(into_io);
        }
        if stream.first_out_len() < WRITE_BUFFER {
            return Poll::Ready(Ok(()));
        }
        Pin::new(self.socket.get_mut()).poll_flush(cx)
    }

    fn send(&mut self, message: Bytes, text: bool) -> io::Result<()> {
        if self.late == Some(Late::Blocked) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if text {
            str::from_utf8(&message).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
        let data = if text { Data::Text } else { Data::Binary };
        let frame = Frame::message(message, OpCode::Data(data), true);
        frame.format(self.socket.get_mut().first_out()).map_err(into_io)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.late.is_some() {
            // The library would write its close frame.
            return Pin::new(self.socket.get_mut()).poll_flush(cx);
        }
        Pin::new(&mut self.socket).poll_flush(cx).map_err(into_io)
    }

    fn traffic(&self) -> Traffic {
        let stream = self.socket.get_ref();
        Traffic { read: stream.read, written: stream.written, partial: stream.is_partial() }
    }

    fn poll_close(&mut self, code: CloseCode, reason: &str, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closing {
            ready!(self.poll_ready(cx))?;
            let reason = &reason[..reason.floor_char_boundary(MAX_REASON)];
            if self.socket.get_ref().meter().was_over() {
                // Further input of a client that was over its rates is discarded, since processing
                // it is what the limit prevents.
                self.failed.get_or_insert(Code::Policy);
            }
            let code = self.failed.unwrap_or_else(|| code.0.into());
            let frame = CloseFrame { code, reason: Utf8Bytes::from(reason) };
            self.closing = true;
            match Pin::new(&mut self.socket).start_send(Message::Close(Some(frame))) {
                // The client has closed already.
                Err(Error::ConnectionClosed | Error::Protocol(_)) => {}
                sent => sent.map_err(into_io)?,
            }
        }
        match ready!(Pin::new(&mut self.socket).poll_close(cx)) {
            Ok(()) | Err(Error::ConnectionClosed) => {}
            Err(error) => return Poll::Ready(Err(into_io(error))),
        }
        if self.failed.is_some() {
            // The client's close frame would mean nothing, so the connection ends at once (section
            // 7.1.7).
            return Pin::new(self.socket.get_mut()).poll_shutdown(cx);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: ByteStream> ClientSocket<S> {
    /// Sends a ping if the interval is over. It goes the way of messages. While the library is in a
    /// frame, no ping is needed: bytes are on their way.
    fn ping(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(ping) = &mut self.ping else { return Ok(()) };
        let stream = self.socket.get_mut();
        if ping.poll(stream.read, cx)? && self.late.is_none() && !self.closing && !stream.blocked {
            Frame::ping(Bytes::new()).format(stream.first_out()).map_err(into_io)?;
            ping.is_due = true;
        }
        if ping.is_due && Pin::new(stream).poll_flush(cx)?.is_ready() {
            ping.is_due = false;
        }
        Ok(())
    }

    /// Reads and discards input until the client has closed. If a socket is dropped with unread
    /// input, the connection is reset, and the client may lose the close frame that says why.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            ready!(Pin::new(self.socket.get_mut()).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

fn into_io(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed | Error::AlreadyClosed => io::ErrorKind::ConnectionReset.into(),
        // The client has broken the protocol. It is not an error of the socket.
        error => io::Error::new(io::ErrorKind::InvalidData, error),
    }
}

#[cfg(test)]
mod tests {

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
}
