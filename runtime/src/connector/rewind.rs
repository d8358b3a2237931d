//! A TCP stream that can be given bytes back, and counts what passes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::frames::Frames;

/// Gives the bytes first that it was given back, then what the stream itself gives.
pub(super) struct Rewind {
    stream: TcpStream,
    unread: Vec<u8>,
    /// Bytes read from the stream.
    pub(super) read: u64,
    /// Bytes written to the stream.
    pub(super) written: u64,
    /// Follows the frames of a WebSocket client, from its upgrade on.
    pub(super) frames: Option<Frames>,
}

impl Rewind {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, unread: Vec::new(), read: 0, written: 0, frames: None }
    }

    /// Gives bytes back that were read last.
    pub(super) fn unread(&mut self, mut bytes: Vec<u8>) {
        bytes.append(&mut self.unread);
        self.unread = bytes;
    }
}

impl AsyncRead for Rewind {
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

impl AsyncWrite for Rewind {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
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
