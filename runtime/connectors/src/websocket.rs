//! WebSocket (RFC 6455), implemented with tokio-tungstenite.
//!
//! The library reads, and writes its control frames. Messages for the client are written without
//! it, because it would keep a buffer as large as the largest of them for each connection. They go
//! out before what the library writes next, and never into a frame that it has begun.

mod ping;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{FutureExt as _, Sink, Stream};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode as Code, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig as Limits};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use self::ping::{Ping, SavedPing};
use super::meter::RateMeter;
use super::prefixed_stream::{PrefixedStream, SavedStream};
use super::protocol::SavedClient;
use super::turn_away::TurnAway;
use super::upgrade::{HttpRules, upgrade};
use super::{ByteStream, CloseCode, HandedSocket, MessageSocket, Opened, Socket, Traffic};

/// The name of the transport of a client that speaks WebSocket.
pub(super) const TRANSPORT: &str = "ws";

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
    Ok(Opened { transport: TRANSPORT, client, attributes, meter, starttls: None, socket })
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
    ClientSocket {
        socket,
        drained: true,
        text: false,
        failed: None,
        late: None,
        closing: false,
        ping: None,
        flush_due: false,
    }
}

/// The state of a client's WebSocket on its way to another process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SavedWebSocket {
    stream: SavedStream,
    ping: Option<SavedPing>,
}

/// Continues with a WebSocket of another process, over its socket of the system.
pub(super) fn resume<S: ByteStream>(
    stream: S,
    meter: RateMeter,
    saved: SavedWebSocket,
    max_message: usize,
    rules: &HttpRules,
) -> ClientSocket<S> {
    let stream = PrefixedStream::resume(stream, meter, saved.stream);
    let socket = over(stream, max_message).now_or_never().expect("without an upgrade nothing is awaited");
    let ping = Ping::resume(rules.ping_interval(), saved.ping);
    // The server has sent what waits in the stream, so it might not flush before it sends more.
    ClientSocket { ping, flush_due: true, ..socket }
}

/// A client's WebSocket.
pub(super) struct ClientSocket<S> {
    socket: WebSocketStream<PrefixedStream<S>>,
    /// Whether the library has returned every message that it has read whole.
    drained: bool,
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
    /// Whether bytes wait in the stream that the server does not know of, such as a ping.
    flush_due: bool,
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
            let received = Pin::new(&mut self.socket).poll_next(cx);
            self.drained = received.is_pending();
            let received = ready!(received);
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
                    // What the client still sends must be read, to be discarded.
                    self.cancel_handover();
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
            self.cancel_handover();
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

    fn prepare_handover(&mut self) -> Result<(), &'static str> {
        self.socket.get_mut().prepare_handover()
    }

    /// The library gives nothing back. So it must hold nothing: neither bytes that it has read, nor
    /// a pong that the stream has not accepted whole. Messages to the client that wait in the
    /// stream move along.
    fn may_be_handed_over(&self) -> bool {
        let stream = self.socket.get_ref();
        let is_open = self.failed.is_none() && self.late.is_none() && !self.closing;
        is_open && self.drained && !stream.blocked && stream.may_be_handed_over()
    }

    fn cancel_handover(&mut self) {
        self.socket.get_mut().cancel_handover();
    }

    fn hand_over(&self) -> io::Result<HandedSocket> {
        let ping = self.ping.as_ref().map(Ping::saved);
        let client = |stream| SavedClient::WebSocket(SavedWebSocket { stream, ping });
        self.socket.get_ref().hand_over_as(client)
    }
}

impl<S: ByteStream> ClientSocket<S> {
    /// Sends a ping if the interval is over. It goes the way of messages. While the library is in a
    /// frame, no ping is needed: bytes are on their way.
    fn ping(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let stream = self.socket.get_mut();
        if let Some(ping) = &mut self.ping
            && ping.poll(stream.read, cx)?
            && self.late.is_none()
            && !self.closing
            && !stream.blocked
        {
            Frame::ping(Bytes::new()).format(stream.first_out()).map_err(into_io)?;
            self.flush_due = true;
        }
        if self.flush_due && Pin::new(stream).poll_flush(cx)?.is_ready() {
            self.flush_due = false;
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
