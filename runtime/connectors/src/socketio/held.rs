//! A TCP connection that is not read while its client accepts none of the bytes that are written to
//! it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::room::Taken;
use crate::prefixed_stream::PrefixedStream;

/// How long a client may accept none of the bytes that are written to it: the default of
/// `write-timeout`. The answers to requests belong to no session, so no other limit applies to
/// them.
const STALLED: Duration = Duration::from_secs(10);

/// A connection below HTTP. It is not read while its client accepts nothing: each further request
/// would bring an answer that has to wait in memory. A client that has accepted nothing for too
/// long is given up.
pub(super) struct Held {
    pub(super) stream: PrefixedStream<TcpStream>,
    /// The room of the connection. It is given back with the connection, even if that is a
    /// WebSocket by then.
    pub(super) room: Taken,
    /// The task that reads once the client has accepted something.
    reader: Option<Waker>,
    /// Runs while the client accepts nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Held {
    pub(super) fn new(stream: PrefixedStream<TcpStream>, room: Taken) -> Self {
        Self { stream, room, reader: None, stalled: None }
    }
}

impl AsyncRead for Held {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.stream.blocked {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Held {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        if written.is_pending() {
            let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(STALLED)));
            ready!(stalled.as_mut().poll(cx));
            // The reader must also notice the end, so the stream no longer counts as blocked.
            self.stream.blocked = false;
        } else {
            self.stalled = None;
        }
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        match written {
            Poll::Pending => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            written => written,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
