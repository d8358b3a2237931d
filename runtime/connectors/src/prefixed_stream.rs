//! A stream that can be given bytes back, counts what passes, and waits while its client is over
//! its rates.

use std::future::Future as _;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::task::yield_now;

use super::ByteStream;
use super::frames::Frames;
use super::meter::RateMeter;
use super::rate_wait::RateWait;
use crate::running_time::RunningTime;

/// What a library may read of frames at once, in bytes. It may make nothing of them that would end
/// its turn.
const TURN: usize = 64 << 10;

/// A stream whose reader can give bytes back. It gives these first, then what the stream itself
/// gives.
pub(super) struct PrefixedStream<S> {
    stream: S,
    unread: Vec<u8>,
    /// Bytes read from the stream.
    pub(super) read: u64,
    /// The client has said something.
    heard: bool,
    /// Bytes written to the stream.
    pub(super) written: u64,
    /// What was to be written last was not taken: whoever wrote it holds the rest.
    pub(super) blocked: bool,
    /// Counts what is read.
    meter: RateMeter,
    /// Its bytes were counted below already, as what they were encrypted to.
    counted: bool,
    /// Until the client may be read again.
    wait: RateWait,
    /// Follows the frames of a WebSocket client, from its upgrade on.
    frames: Option<Frames>,
    /// Bytes of frames that were read in this turn.
    turn: usize,
}

impl<S: ByteStream> PrefixedStream<S> {
    pub(super) fn new(stream: S) -> Self {
        Self::metered(stream, RateMeter::default())
    }

    /// Counts what is read by a meter, and waits where that says so.
    pub(super) fn metered(stream: S, meter: RateMeter) -> Self {
        Self {
            stream,
            unread: Vec::new(),
            read: 0,
            heard: false,
            written: 0,
            blocked: false,
            meter,
            counted: false,
            wait: RateWait::default(),
            frames: None,
            turn: 0,
        }
    }

    /// As [`PrefixedStream::metered`], over a stream whose bytes the same meter counts below: here
    /// it counts frames alone.
    pub(super) fn above(stream: S, meter: RateMeter) -> Self {
        Self { counted: true, ..Self::metered(stream, meter) }
    }

    /// What counts the client's bytes and frames.
    pub(super) fn meter(&self) -> &RateMeter {
        &self.meter
    }

    /// The next byte begins a frame of WebSocket, and each frame is counted as a packet.
    pub(super) fn begin_frames(&mut self) {
        self.frames = Some(Frames::default());
    }

    /// Whether a message of WebSocket has begun, and is not whole yet.
    pub(super) fn is_partial(&self) -> bool {
        self.frames.as_ref().is_some_and(Frames::is_partial)
    }

    /// Ready when the client may be read.
    ///
    /// # Errors
    /// [`io::ErrorKind::QuotaExceeded`] where it was over its rates, and its connection is to end.
    fn poll_may_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.wait.poll(&self.meter, cx))?;
        if self.turn >= TURN {
            // The others on this thread have their turn, and whoever drives the library sees what
            // was counted.
            self.turn = 0;
            let _ = pin!(yield_now()).poll(cx);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// Takes note of what was read.
    fn count(&mut self, bytes: &[u8]) {
        self.read += bytes.len() as u64;
        self.heard |= !bytes.is_empty();
        let mut frames = 0;
        if let Some(followed) = &mut self.frames {
            frames = followed.receive(bytes);
            self.turn += bytes.len();
        }
        self.meter.take(frames, if self.counted { 0 } else { bytes.len() as u64 });
    }

    /// Gives bytes back that were read last.
    pub(super) fn unread(&mut self, mut bytes: Vec<u8>) {
        bytes.append(&mut self.unread);
        self.unread = bytes;
    }

    /// What was read, and not given back, was said for the client by a load balancer.
    pub(super) fn begin_client(&mut self) {
        self.heard = !self.unread.is_empty();
    }

    /// Waits for the client's first byte, so long; zero: without end. It is still the next to be
    /// read.
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

impl<S: ByteStream> AsyncRead for PrefixedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            ready!(self.poll_may_read(cx))?;
            let before = buf.filled().len();
            let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buf) else {
                self.turn = 0;
                return Poll::Pending;
            };
            match read {
                // A probe that looks whether somebody is here may end so too.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset && !self.heard => {}
                read => read?,
            }
            self.count(&buf.filled()[before..]);
            return Poll::Ready(Ok(()));
        }
        let count = self.unread.len().min(buf.remaining());
        buf.put_slice(&self.unread[..count]);
        self.unread.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl<S: ByteStream> AsyncWrite for PrefixedStream<S> {
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
