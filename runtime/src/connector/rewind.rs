//! A stream that can be given bytes back, and counts what passes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::ByteStream;
use super::frames::Frames;
use crate::running_time::RunningTime;

/// Gives the bytes first that it was given back, then what the stream itself gives.
pub(super) struct Rewind<S> {
    stream: S,
    unread: Vec<u8>,
    /// Bytes read from the stream.
    pub(super) read: u64,
    /// Bytes written to the stream.
    pub(super) written: u64,
    /// What was to be written last was not taken: whoever wrote it holds the rest.
    pub(super) blocked: bool,
    /// Follows the frames of a WebSocket client, from its upgrade on.
    pub(super) frames: Option<Frames>,
}

impl<S: ByteStream> Rewind<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, unread: Vec::new(), read: 0, written: 0, blocked: false, frames: None }
    }

    /// Gives bytes back that were read last.
    pub(super) fn unread(&mut self, mut bytes: Vec<u8>) {
        bytes.append(&mut self.unread);
        self.unread = bytes;
    }

    /// Waits for the client's first byte, so long; zero: without end. It is still the next to be read.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] where it does not come.
    pub(super) async fn first_byte(&mut self, limit: Duration, time: &RunningTime) -> io::Result<Option<u8>> {
        let limit = if limit.is_zero() { Duration::MAX } else { limit };
        let mut first = [0];
        let count = time.timeout(limit, self.read(&mut first)).await.ok_or(io::ErrorKind::TimedOut)??;
        self.unread(first[..count].to_vec());
        Ok(first[..count].first().copied())
    }
}

impl<S: ByteStream> AsyncRead for Rewind<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            let before = buf.filled().len();
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
            self.read += (buf.filled().len() - before) as u64;
            if let Some(frames) = &mut self.frames {
                frames.receive(&buf.filled()[before..]);
            }
            return Poll::Ready(Ok(()));
        }
        let count = self.unread.len().min(buf.remaining());
        buf.put_slice(&self.unread[..count]);
        self.unread.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl<S: ByteStream> AsyncWrite for Rewind<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.blocked = written.is_pending();
        let written = ready!(written)?;
        self.written += written as u64;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
