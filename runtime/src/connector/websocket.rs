//! WebSocket (RFC 6455), by tokio-tungstenite.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{Sink, Stream};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

use super::frames::Frames;
use super::rewind::Rewind;
use super::{ByteStream, CloseCode, MessageSocket, Opened, Socket, Traffic};

/// Allocated for each connection, so it is small; a message that is larger grows it for a while.
const READ_BUFFER: usize = 4 << 10;

/// Messages gather up to this many bytes before they are written without a flush.
const WRITE_BUFFER: usize = 64 << 10;

/// The longest reason in a close frame, in bytes (RFC 6455, section 5.5: 125, less the code).
const MAX_REASON: usize = 123;

/// Does the server's part of the opening handshake.
pub(super) async fn upgrade<S: ByteStream + 'static>(
    stream: Rewind<S>,
    max_message: usize,
) -> io::Result<Opened> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        // A message is only taken when what was taken before it is written, so this is never reached.
        .max_write_buffer_size(WRITE_BUFFER + 2 * max_message)
        .max_message_size(Some(max_message))
        .max_frame_size(Some(max_message));
    let mut attributes = Vec::new();
    #[expect(clippy::result_large_err, reason = "the callback's type is the library's")]
    let callback = |request: &Request, response: Response| {
        attributes = request_attributes(request);
        Ok(response)
    };
    let mut socket = accept_hdr_async_with_config(stream, callback, Some(config)).await.map_err(into_io)?;
    // The library refuses a client that sends frames before it is answered, so the next byte begins the
    // first.
    socket.get_mut().frames = Some(Frames::default());
    let socket = ClientSocket { socket, closing: false };
    Ok(Opened { transport: "ws", client: None, attributes, socket: Socket::Messages(Box::new(socket)) })
}

fn request_attributes(request: &Request) -> Vec<(String, String)> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    [
        ("path", Some(request.uri().path())),
        ("query", request.uri().query()),
        ("host", header("host")),
        ("origin", header("origin")),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
    .collect()
}

struct ClientSocket<S> {
    socket: WebSocketStream<Rewind<S>>,
    closing: bool,
}

impl<S: ByteStream> MessageSocket for ClientSocket<S> {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        loop {
            let received = ready!(Pin::new(&mut self.socket).poll_next(cx));
            return Poll::Ready(match received {
                Some(Ok(Message::Binary(bytes))) => Ok(Some(bytes)),
                // Pomelo takes text for bytes too, and clients rely on it.
                Some(Ok(Message::Text(text))) => Ok(Some(text.into())),
                // The library has queued the pong already.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Ok(Message::Close(_))) | None => Ok(None),
                // Many a client just drops its connection.
                Some(Err(
                    Error::ConnectionClosed | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake),
                )) => Ok(None),
                Some(Err(error)) => Err(into_io(error)),
            });
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_ready(cx).map_err(into_io)
    }

    fn send(&mut self, message: Bytes, text: bool) -> io::Result<()> {
        let message = if text {
            Message::Text(
                Utf8Bytes::try_from(message)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?,
            )
        } else {
            Message::Binary(message)
        };
        Pin::new(&mut self.socket).start_send(message).map_err(into_io)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx).map_err(into_io)
    }

    fn traffic(&self) -> Traffic {
        let stream = self.socket.get_ref();
        let partial = stream.frames.as_ref().is_some_and(Frames::is_partial);
        Traffic { read: stream.read, written: stream.written, partial }
    }

    fn poll_close(&mut self, code: CloseCode, reason: &str, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closing {
            ready!(self.poll_ready(cx))?;
            let reason = &reason[..reason.floor_char_boundary(MAX_REASON)];
            let frame = CloseFrame { code: (code as u16).into(), reason: Utf8Bytes::from(reason) };
            self.closing = true;
            match Pin::new(&mut self.socket).start_send(Message::Close(Some(frame))) {
                // The client has closed already.
                Err(Error::ConnectionClosed | Error::Protocol(_)) => {}
                sent => sent.map_err(into_io)?,
            }
        }
        match ready!(Pin::new(&mut self.socket).poll_close(cx)) {
            Err(Error::ConnectionClosed) => Poll::Ready(Ok(())),
            closed => Poll::Ready(closed.map_err(into_io)),
        }
    }
}

fn into_io(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed | Error::AlreadyClosed => io::ErrorKind::ConnectionReset.into(),
        // What the client did wrong, and not what the socket did.
        error => io::Error::new(io::ErrorKind::InvalidData, error),
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::StreamExt as _;
    use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
    use tokio::sync::mpsc;
    use tokio_tungstenite::client_async;

    use super::*;

    /// Tells how many bytes each write has.
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

    /// Messages that are sent together are frames of their own, in one write.
    #[tokio::test]
    async fn a_batch_is_one_write_of_many_frames() {
        let (client, server) = duplex(4096);
        let (tell, mut writes) = mpsc::unbounded_channel();
        let upgrade = upgrade(Rewind::new(Counted(server, tell)), 1000);
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
        // A head of two bytes each.
        assert_eq!(writes.try_recv(), Ok(3 * (2 + "message 0".len())));
        assert!(writes.try_recv().is_err());
        for n in 0..3 {
            let message = client.next().await.expect("one").expect("whole");
            assert_eq!(message, Message::text(format!("message {n}")));
        }
    }
}
