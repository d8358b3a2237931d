//! The transports that carry a client's frames: a WebSocket connection, or the requests of a
//! polling session.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::net::TcpStream;

use super::held::Held;
use super::packet::{Broken, Frame};
use super::polling::Registered;
use super::room::Taken;
use crate::meter::RateMeter;
use crate::prefixed_stream::PrefixedStream;
use crate::websocket::{ClientSocket, over};
use crate::{CloseCode, MessageSocket as _, Traffic};

/// A client's WebSocket connection.
pub(super) struct WebSocket {
    socket: ClientSocket<PrefixedStream<TcpStream>>,
    /// The room of the connection. It is given back with the connection.
    _room: Taken,
}

/// The transport that carries a client's frames.
pub(super) enum Transport {
    WebSocket(Box<WebSocket>),
    Polling(Registered),
}

impl WebSocket {
    /// Creates a WebSocket over a connection whose upgrade is done, for messages of at most
    /// `max_payload` bytes. The meter counts its frames and their bytes.
    pub(super) async fn over(connection: Held, max_payload: usize, meter: RateMeter) -> Self {
        let Held { stream, room, .. } = connection;
        let stream = PrefixedStream::metered(stream, meter);
        Self { socket: over(stream, max_payload).await, _room: room }
    }

    /// Returns the next frame, or `None` if the client has closed. While a client accepts nothing
    /// that is written to it, it is not read, because its frames may cause answers, as pings do.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Frame>>> {
        ready!(self.socket.poll_flush(cx))?;
        self.socket.poll_receive(cx).map_ok(|message| {
            message.map(|bytes| match self.socket.is_text() {
                true => Frame::Text(bytes),
                false => Frame::Binary(bytes),
            })
        })
    }

    fn send(&mut self, frame: Frame) -> io::Result<()> {
        match frame {
            Frame::Text(bytes) => self.socket.send(bytes, true),
            Frame::Binary(bytes) => self.socket.send(bytes, false),
        }
    }

    /// Performs the probe by which a polling session changes to WebSocket.
    ///
    /// # Errors
    /// Returns an error if the client does not perform its part.
    pub(super) async fn probe(&mut self) -> io::Result<()> {
        self.expect(b"2probe").await?;
        poll_fn(|cx| self.socket.poll_ready(cx)).await?;
        self.send(Frame::Text(Bytes::from_static(b"3probe")))?;
        poll_fn(|cx| self.socket.poll_flush(cx)).await?;
        self.expect(b"5").await
    }

    async fn expect(&mut self, packet: &'static [u8]) -> io::Result<()> {
        match poll_fn(|cx| self.poll_frame(cx)).await? {
            Some(Frame::Text(text)) if text == packet => Ok(()),
            _ => Err(Broken("no probe of the change to WebSocket").into()),
        }
    }
}

impl Transport {
    /// Returns the next frame, or `None` if the client has closed.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Frame>>> {
        match self {
            Transport::WebSocket(websocket) => websocket.poll_frame(cx),
            Transport::Polling(polling) => polling.poll_frame(cx).map_ok(Some),
        }
    }

    /// Waits until a frame may be sent.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Transport::WebSocket(websocket) => websocket.socket.poll_ready(cx),
            Transport::Polling(polling) => polling.poll_ready(cx).map(Ok),
        }
    }

    pub(super) fn send(&mut self, frame: Frame) -> io::Result<()> {
        match self {
            Transport::WebSocket(websocket) => websocket.send(frame),
            Transport::Polling(polling) => {
                polling.send(frame);
                Ok(())
            }
        }
    }

    /// Waits until everything that was sent has been written or fetched.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Transport::WebSocket(websocket) => websocket.socket.poll_flush(cx),
            Transport::Polling(polling) => polling.poll_fetched(cx).map(Ok),
        }
    }

    pub(super) fn poll_close(
        &mut self,
        code: CloseCode,
        reason: &str,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Transport::WebSocket(websocket) => websocket.socket.poll_close(code, reason, cx),
            Transport::Polling(polling) => polling.poll_fetched(cx).map(Ok),
        }
    }

    /// Discards what arrives. Ready when the client has closed; a polling client never closes.
    pub(super) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Transport::WebSocket(websocket) = self else { return Poll::Ready(Ok(())) };
        while ready!(websocket.socket.poll_receive(cx))?.is_some() {}
        Poll::Ready(Ok(()))
    }

    pub(super) fn traffic(&self) -> Traffic {
        match self {
            Transport::WebSocket(websocket) => websocket.socket.traffic(),
            Transport::Polling(polling) => {
                let (read, written) = polling.passed();
                Traffic { read, written, partial: false }
            }
        }
    }
}
