//! A stream that takes back bytes, writes messages before the bytes of a library, counts the bytes
//! that pass, and waits while its client is over its rates.

use std::future::Future as _;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::task::yield_now;

use super::frames::Frames;
use super::handover::to_state;
use super::meter::RateMeter;
use super::protocol::SavedClient;
use super::rate_wait::RateWait;
use super::{ByteStream, HandedSocket};
use crate::running_time::RunningTime;
use wireplug_base::reused::Reused;

/// How many bytes of WebSocket frames a library may read in one turn. Bytes that yield no message
/// would not end its turn otherwise.
const TURN: usize = 64 << 10;

/// A stream whose reader can give bytes back. The next reads return these bytes first, and then
/// those of the underlying stream.
pub(super) struct PrefixedStream<S> {
    stream: S,
    unread: Vec<u8>,
    /// Bytes read from the stream.
    pub(super) read: u64,
    /// Whether the client has sent a byte.
    heard: bool,
    /// Bytes written to the stream.
    pub(super) written: u64,
    /// Whether the underlying stream did not accept the last write. The writer still holds those
    /// bytes.
    pub(super) blocked: bool,
    /// Bytes that go out before what is written next.
    first_out: Reused<Vec<u8>>,
    /// How many of `first_out` are written.
    first_written: usize,
    /// Counts the bytes and frames that are read.
    meter: RateMeter,
    /// Whether a layer below has already counted the bytes, in their encrypted form.
    counted: bool,
    /// The wait until the client may be read again.
    wait: RateWait,
    /// Follows the frames of a WebSocket client, from its upgrade on.
    frames: Option<Frames>,
    /// Bytes of frames that were read in this turn.
    turn: usize,
    /// Whether a WebSocket client is read only to the end of its current message, because it is to
    /// be handed over.
    held: bool,
}

/// The state of a stream on its way to another process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SavedStream {
    unread: Vec<u8>,
    first_out: Vec<u8>,
    read: u64,
    written: u64,
    heard: bool,
}

impl<S: ByteStream> PrefixedStream<S> {
    pub(super) fn new(stream: S) -> Self {
        Self::metered(stream, RateMeter::default())
    }

    /// Creates a stream that counts what is read with a meter, and waits if the client is over its
    /// rates.
    pub(super) fn metered(stream: S, meter: RateMeter) -> Self {
        Self {
            stream,
            unread: Vec::new(),
            read: 0,
            heard: false,
            written: 0,
            blocked: false,
            first_out: Reused::new(),
            first_written: 0,
            meter,
            counted: false,
            wait: RateWait::default(),
            frames: None,
            turn: 0,
            held: false,
        }
    }

    /// Continues with a stream of another process.
    pub(super) fn resume(stream: S, meter: RateMeter, saved: SavedStream) -> Self {
        let SavedStream { unread, first_out, read, written, heard } = saved;
        let mut resumed = Self { unread, read, written, heard, ..Self::metered(stream, meter) };
        if !first_out.is_empty() {
            *resumed.first_out() = first_out;
        }
        resumed
    }

    /// Returns the client for another process. `client` adds what a layer above knows.
    pub(super) fn hand_over_as(
        &self,
        client: impl FnOnce(SavedStream) -> SavedClient,
    ) -> io::Result<HandedSocket> {
        let first_out = self.first_out.get().map_or(&[][..], |bytes| &bytes[self.first_written..]);
        let saved = SavedStream {
            unread: self.unread.clone(),
            first_out: first_out.to_vec(),
            read: self.read,
            written: self.written,
            heard: self.heard,
        };
        // The stream below is a socket of the system, which has no state.
        Ok(HandedSocket { state: to_state(&client(saved))?, ..self.stream.hand_over()? })
    }

    /// Creates a stream like [`PrefixedStream::metered`], over a stream whose bytes the same meter
    /// counts in a layer below. Only frames are counted here.
    pub(super) fn above(stream: S, meter: RateMeter) -> Self {
        Self { counted: true, ..Self::metered(stream, meter) }
    }

    /// Returns the meter that counts the client's bytes and frames.
    pub(super) fn meter(&self) -> &RateMeter {
        &self.meter
    }

    /// Starts to follow WebSocket frames: the next byte begins a frame. Each frame counts as a
    /// packet.
    pub(super) fn begin_frames(&mut self) {
        self.frames = Some(Frames::default());
    }

    /// Returns whether a WebSocket message has begun and is not complete.
    pub(super) fn is_partial(&self) -> bool {
        self.frames.as_ref().is_some_and(Frames::is_partial)
    }

    /// Waits until the client may be read.
    ///
    /// # Errors
    /// Returns an error of kind [`io::ErrorKind::QuotaExceeded`] if the client was over its rates
    /// and its connection must end.
    fn poll_may_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.wait.poll(&self.meter, cx))?;
        if self.turn >= TURN {
            // Other tasks of this thread get their turn, and the code that drives the library sees
            // the counts.
            self.turn = 0;
            let _ = pin!(yield_now()).poll(cx);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// Returns how many bytes may be read from the stream now.
    fn allowed(&self) -> usize {
        match &self.frames {
            Some(frames) if self.held => usize::try_from(frames.rest()).unwrap_or(usize::MAX),
            _ => usize::MAX,
        }
    }

    /// Counts the bytes that were read.
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

    /// Returns the buffer of the bytes that go out before what is written next. They are written
    /// with the next write or flush.
    pub(super) fn first_out(&mut self) -> &mut Vec<u8> {
        self.first_out.get_mut()
    }

    /// Returns how many of these bytes are not written yet.
    pub(super) fn first_out_len(&self) -> usize {
        self.first_out.get().map_or(0, |bytes| bytes.len() - self.first_written)
    }

    fn poll_first_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(bytes) = self.first_out.get() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &bytes[self.first_written..]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written as u64;
            self.first_written += written;
            if self.first_written == bytes.len() {
                self.first_out.release();
                self.first_written = 0;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes back the bytes that were read last.
    pub(super) fn unread(&mut self, mut bytes: Vec<u8>) {
        bytes.append(&mut self.unread);
        self.unread = bytes;
    }

    /// Records that a load balancer, not the client, sent the bytes that were read and not given
    /// back.
    pub(super) fn begin_client(&mut self) {
        self.heard = !self.unread.is_empty();
    }

    /// Waits for the client's first byte, for at most `limit`; zero means no limit. The byte stays
    /// the next one to be read. Returns `None` if the client closed without sending a byte.
    ///
    /// # Errors
    /// Returns an error of kind [`io::ErrorKind::TimedOut`] if the byte does not come in time.
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
            let allowed = self.allowed();
            if allowed == 0 {
                self.turn = 0;
                return Poll::Pending;
            }
            ready!(self.poll_may_read(cx))?;
            let before = buf.filled().len();
            let Poll::Ready(read) = poll_read_some(&mut self.stream, cx, buf, allowed) else {
                self.turn = 0;
                return Poll::Pending;
            };
            match read {
                // A health check may also end with a reset.
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

/// Reads at most `most` bytes.
fn poll_read_some<S: ByteStream>(
    stream: &mut S,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
    most: usize,
) -> Poll<io::Result<()>> {
    if buf.remaining() <= most {
        return Pin::new(stream).poll_read(cx, buf);
    }
    let mut part = ReadBuf::new(buf.initialize_unfilled_to(most));
    let read = ready!(Pin::new(stream).poll_read(cx, &mut part));
    let count = part.filled().len();
    buf.advance(count);
    Poll::Ready(read)
}

impl<S: ByteStream> AsyncWrite for PrefixedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = match self.poll_first_out(cx)? {
            Poll::Ready(()) => Pin::new(&mut self.stream).poll_write(cx, buf),
            Poll::Pending => Poll::Pending,
        };
        self.blocked = written.is_pending();
        let written = ready!(written)?;
        self.written += written as u64;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_first_out(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Between two messages of a WebSocket client, or at any time for any other client. Bytes that were
/// read, and those that are still to be written, move along.
impl<S: ByteStream> ByteStream for PrefixedStream<S> {
    fn prepare_handover(&mut self) -> Result<(), &'static str> {
        self.stream.prepare_handover()?;
        self.held = true;
        Ok(())
    }

    fn may_be_handed_over(&self) -> bool {
        self.held && !self.is_partial() && self.stream.may_be_handed_over()
    }

    fn cancel_handover(&mut self) {
        self.stream.cancel_handover();
        self.held = false;
    }

    fn hand_over(&self) -> io::Result<HandedSocket> {
        self.hand_over_as(SavedClient::Stream)
    }
}
