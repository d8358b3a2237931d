//! The transport side of a connection: its socket, the input that is not decoded yet, and the
//! counts of traffic.
//!
//! It passes the bytes that it reads to the codec side. It knows no deadline.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use super::codec_side::CodecSide;
use crate::codec::{self, Reason};
use crate::server::close_code::close_code;
use crate::server::protocol_mismatch::ProtocolMismatch;
use crate::session::{CloseReason, Outgoing, Output};
use crate::stats;
use wireplug_connectors::running_time::RunningTime;
use wireplug_connectors::{CloseCode, HandedSocket, Lost, Secured, Socket, StartTls, Traffic};

/// The most that one read takes, in bytes.
const READ: usize = 64 << 10;

thread_local! {
    /// The buffer into which all streams of this thread are read. So an idle connection has no read
    /// buffer of its own.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

/// The beginning of TLS in the middle of a stream.
enum Tls {
    /// The stream cannot switch to TLS, or has done so.
    No,
    /// The stream can switch to TLS.
    Offered(StartTls),
    /// The stream switches to TLS when all output is written. The bytes are the beginning of TLS.
    Begins(StartTls, Vec<u8>),
    /// The handshake goes on, and has the stream.
    Handshake(BoxFuture<'static, io::Result<Secured>>),
}

/// The transport side of one connection.
pub(super) struct Transport {
    socket: Socket,
    tls: Tls,
    /// Whether TLS has begun in the middle of the stream.
    secured: bool,
    /// The longest time that the handshake of TLS may take, and the clock that measures it.
    handshake_limit: (Duration, RunningTime),
    /// Bytes that were read and are not decoded yet.
    unread: Bytes,
    /// Whether `unread` is a message that is text.
    unread_is_text: bool,
    /// The acknowledgement that the client wants for `unread`.
    unread_ack: Option<u64>,
    /// The end of a message socket: `None` if the client has closed, or the error. It follows the
    /// messages before it, which the codec side gets first.
    end: Option<Option<io::Error>>,
    /// The traffic of a stream, or of the messages themselves. A message socket counts its own
    /// traffic too, which decides about deadlines.
    traffic: Traffic,
    /// The bytes that [`Transport::take_bytes`] has returned already.
    taken: stats::Bytes,
    /// Messages that were received since the last turn.
    received: u64,
    /// What the client's first bytes show of its protocol.
    mismatch: ProtocolMismatch,
}

impl Transport {
    pub(super) fn new(
        socket: Socket,
        starttls: Option<StartTls>,
        handshake_limit: (Duration, RunningTime),
    ) -> Self {
        Self {
            socket,
            tls: starttls.map_or(Tls::No, Tls::Offered),
            secured: false,
            handshake_limit,
            unread: Bytes::new(),
            unread_is_text: false,
            unread_ack: None,
            end: None,
            traffic: Traffic::default(),
            taken: stats::Bytes::default(),
            received: 0,
            mismatch: ProtocolMismatch::default(),
        }
    }

    /// Returns whether the client still has to send its first byte. A client of a message transport
    /// has sent bytes to open the transport.
    pub(super) fn wants_first_byte(&self) -> bool {
        matches!(self.socket, Socket::Stream(_))
    }

    // === to another process ===

    /// Prepares the socket to be handed to another process.
    ///
    /// # Errors
    /// Returns why it cannot be.
    pub(super) fn prepare_handover(&mut self) -> Result<(), &'static str> {
        if self.secured {
            return Err("TLS has begun in the middle of its stream, and TLS cannot move");
        }
        match &mut self.socket {
            Socket::Stream(stream) => stream.prepare_handover(),
            Socket::Messages(socket) => socket.prepare_handover(),
        }
    }

    /// Returns whether a socket that is prepared has nothing that a read would have to finish.
    pub(super) fn is_between_messages(&self) -> bool {
        match &self.socket {
            Socket::Stream(stream) => stream.may_be_handed_over(),
            Socket::Messages(socket) => socket.may_be_handed_over(),
        }
    }

    /// Returns whether everything that was read has gone to the codec side.
    pub(super) fn is_drained(&self) -> bool {
        self.unread.is_empty() && self.unread_ack.is_none() && self.end.is_none() && !self.tls_begins()
    }

    /// Goes on with a socket that was prepared.
    pub(super) fn cancel_handover(&mut self) {
        match &mut self.socket {
            Socket::Stream(stream) => stream.cancel_handover(),
            Socket::Messages(socket) => socket.cancel_handover(),
        }
    }

    /// Returns what another process needs of the socket.
    ///
    /// # Errors
    /// Returns an error if the system gives no other descriptor of it.
    pub(super) fn hand_over(&self) -> io::Result<HandedSocket> {
        match &self.socket {
            Socket::Stream(stream) => stream.hand_over(),
            Socket::Messages(socket) => socket.hand_over(),
        }
    }

    /// Returns the bytes that were read and written so far.
    pub(super) fn bytes(&self) -> (u64, u64) {
        (self.traffic.read, self.traffic.written)
    }

    /// Goes on with the counts of another process.
    pub(super) fn resume(&mut self, (read, written): (u64, u64)) {
        self.traffic = Traffic { read, written, ..Traffic::default() };
        self.taken = stats::Bytes { read, written };
    }

    /// Returns whether the last read brought more than one batch holds. The next read begins with
    /// the rest.
    pub(super) fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Reads from the socket, and passes at most one batch to the codec side. Returns false if the
    /// client has closed.
    pub(super) fn poll_read(
        &mut self,
        codec: &mut CodecSide,
        now: codec::Instant,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<bool>> {
        if !self.unread.is_empty() || self.unread_ack.is_some() {
            if let Some(ack) = self.unread_ack.take() {
                self.received += 1;
                codec.want_ack(ack);
            }
            let mut rest = &self.unread[..];
            codec.receive(&mut rest, self.unread_is_text, now);
            self.unread = self.unread.slice(self.unread.len() - rest.len()..);
            return Poll::Ready(Ok(true));
        }
        if let Some(end) = self.end.take() {
            return Poll::Ready(end.map_or(Ok(false), Err));
        }
        match &mut self.socket {
            Socket::Stream(stream) => SCRATCH.with_borrow_mut(|scratch| {
                let mut buffer = ReadBuf::new(scratch);
                ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
                let mut read = buffer.filled();
                self.mismatch.look(self.traffic.read, read);
                self.traffic.read += read.len() as u64;
                let open = !read.is_empty();
                codec.receive(&mut read, false, now);
                self.unread = Bytes::copy_from_slice(read);
                Poll::Ready(Ok(open))
            }),
            Socket::Messages(socket) => {
                let mut bytes = 0;
                loop {
                    match socket.poll_receive(cx) {
                        Poll::Ready(Ok(Some(message))) => {
                            self.traffic.read += message.len() as u64;
                            // An empty message counts as a byte, so that empty messages cannot keep
                            // the loop going.
                            bytes += message.len().max(1);
                            self.unread_is_text = socket.is_text();
                            if let Some(ack) = socket.take_ack() {
                                // A message with an acknowledgement is decoded by itself, after the
                                // messages before it.
                                (self.unread, self.unread_ack) = (message, Some(ack));
                                return Poll::Ready(Ok(true));
                            }
                            self.received += 1;
                            let mut rest = &message[..];
                            let goes_on = codec.receive(&mut rest, self.unread_is_text, now);
                            self.unread = message.slice(message.len() - rest.len()..);
                            if !goes_on || bytes >= READ || !self.unread.is_empty() {
                                return Poll::Ready(Ok(true));
                            }
                        }
                        Poll::Pending if bytes > 0 => return Poll::Ready(Ok(true)),
                        Poll::Pending => return Poll::Pending,
                        // Over its rates, a client is not served any more.
                        Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::QuotaExceeded => {
                            return Poll::Ready(Err(error));
                        }
                        Poll::Ready(ended) => {
                            // The messages of this read are decoded first. If the codec is called
                            // for each packet, or a packet says hello, that takes several steps.
                            self.end = Some(ended.err());
                            return Poll::Ready(Ok(true));
                        }
                    }
                }
            }
        }
    }

    /// Lets the stream switch to TLS as soon as all output is written. The bytes are the beginning
    /// of TLS; they come before the bytes that are still unread.
    pub(super) fn begin_tls(&mut self, mut early: Vec<u8>) {
        early.extend_from_slice(&std::mem::take(&mut self.unread));
        self.tls = match std::mem::replace(&mut self.tls, Tls::No) {
            Tls::Offered(starttls) => Tls::Begins(starttls, early),
            _ => unreachable!("the driver has checked that TLS is offered"),
        };
    }

    /// Returns whether the stream is about to switch to TLS.
    pub(super) fn tls_begins(&self) -> bool {
        matches!(self.tls, Tls::Begins(..) | Tls::Handshake(_))
    }

    /// Performs the handshake of TLS. To be called when all output is written. Returns the
    /// attributes that TLS added.
    pub(super) fn poll_tls(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Vec<(String, String)>>> {
        if let Tls::Begins(..) = self.tls
            && let Tls::Begins(starttls, early) = std::mem::replace(&mut self.tls, Tls::No)
        {
            // The handshake has the stream until it is done.
            let nothing = Socket::Stream(Box::new(tokio::io::empty()));
            let Socket::Stream(stream) = std::mem::replace(&mut self.socket, nothing) else {
                unreachable!("only streams offer TLS")
            };
            let handshake = starttls.begin(stream, early);
            self.tls = Tls::Handshake(within(self.handshake_limit.clone(), handshake).boxed());
        }
        let Tls::Handshake(handshake) = &mut self.tls else { return Poll::Pending };
        let secured = ready!(handshake.as_mut().poll(cx));
        self.tls = Tls::No;
        Poll::Ready(secured.map(|Secured { stream, attributes }| {
            self.socket = Socket::Stream(stream);
            self.secured = true;
            attributes
        }))
    }

    /// Writes the output. Returns `Ready` when all of it is written.
    pub(super) fn poll_write(&mut self, output: &mut Output, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match (&mut self.socket, output) {
            (Socket::Stream(stream), Output::Stream(output)) => {
                while !output.front().is_empty() {
                    let written = ready!(Pin::new(&mut *stream).poll_write(cx, output.front()))?;
                    if written == 0 {
                        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                    }
                    output.advance(written);
                    self.traffic.written += written as u64;
                }
                Pin::new(stream).poll_flush(cx)
            }
            (Socket::Messages(socket), Output::Messages(output)) => {
                while !output.is_empty() {
                    ready!(socket.poll_ready(cx))?;
                    let next = output.pop();
                    let message = next.as_ref().and_then(|next| next.message.as_ref());
                    self.traffic.written += message.map_or(0, |message| message.len() as u64);
                    match next {
                        Some(Outgoing { message, is_text, ack: Some(ack) }) => {
                            socket.acknowledge(ack, message, is_text)?;
                        }
                        Some(Outgoing { message: Some(message), is_text, .. }) => {
                            socket.send(message, is_text)?;
                        }
                        _ => {}
                    }
                }
                socket.poll_flush(cx)
            }
            _ => unreachable!("the output is made for the socket"),
        }
    }

    /// Closes the side of the socket on which the server writes. A message transport reports the
    /// reason to the client: the code and the reason of the codec, if it chose a code.
    pub(super) fn poll_close(
        &mut self,
        reason: &CloseReason,
        codec_close: Option<&(u16, Reason)>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Stream(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Messages(socket) => match codec_close {
                Some((code, text)) => socket.poll_close(CloseCode(*code), text.as_str(), cx),
                None => socket.poll_close(close_code(reason), reason.cause(), cx),
            },
        }
    }

    /// Reads and discards input until the client has closed too. A socket that is dropped with
    /// unread input is reset, and the client may lose what was written last.
    pub(super) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Stream(stream) => SCRATCH.with_borrow_mut(|scratch| {
                loop {
                    let mut buffer = ReadBuf::new(scratch);
                    ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer))?;
                    if buffer.filled().is_empty() {
                        return Poll::Ready(Ok(()));
                    }
                    self.traffic.read += buffer.filled().len() as u64;
                }
            }),
            Socket::Messages(socket) => {
                while ready!(socket.poll_receive(cx))?.is_some() {}
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Returns the traffic of the socket since it was opened.
    pub(super) fn traffic(&self) -> Traffic {
        match &self.socket {
            Socket::Stream(_) => self.traffic,
            Socket::Messages(socket) => socket.traffic(),
        }
    }

    /// Returns the bytes that passed since the last call: of a stream, or of messages without the
    /// heads of their frames.
    pub(super) fn take_bytes(&mut self) -> stats::Bytes {
        let Traffic { read, written, .. } = self.traffic;
        let before = std::mem::replace(&mut self.taken, stats::Bytes { read, written });
        stats::Bytes { read: read - before.read, written: written - before.written }
    }

    /// Returns how many messages were received since the last call.
    pub(super) fn take_received(&mut self) -> u64 {
        std::mem::take(&mut self.received)
    }

    /// Returns whether the client receives what is sent to its address.
    pub(super) fn is_address_verified(&self) -> bool {
        match &self.socket {
            Socket::Stream(_) => true,
            Socket::Messages(socket) => socket.is_address_verified(),
        }
    }

    /// Notes that the codec has found that the client receives what is sent to its address.
    pub(super) fn verify_address(&mut self) {
        if let Socket::Messages(socket) = &mut self.socket {
            socket.verify_address();
        }
    }

    /// Returns the messages that the transport has lost since the last call.
    pub(super) fn take_lost(&mut self) -> Lost {
        match &mut self.socket {
            Socket::Stream(_) => Lost::default(),
            Socket::Messages(socket) => socket.take_lost(),
        }
    }

    /// Returns why the connection ended, as [`ProtocolMismatch::explain`] does.
    pub(super) fn explain(&self, reason: CloseReason, incomplete: bool) -> CloseReason {
        self.mismatch.explain(reason, incomplete)
    }
}

/// Limits the time of a handshake.
async fn within(
    (limit, time): (Duration, RunningTime),
    handshake: impl Future<Output = io::Result<Secured>>,
) -> io::Result<Secured> {
    let late = || io::Error::new(io::ErrorKind::InvalidData, "the TLS handshake took too long");
    time.timeout(limit, handshake).await.ok_or_else(late)?
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::task::yield_now;
    use tokio::time::{advance, sleep};

    use super::*;

    /// What the client sent while the process was stopped must be read first.
    #[tokio::test(start_paused = true)]
    async fn a_handshake_is_limited_in_running_time() {
        let second = Duration::from_secs(1);
        let time = RunningTime::default();
        let keeper = time.clone();
        tokio::spawn(async move { keeper.keep().await });
        // A clock that has run for a while stands still in a pause.
        sleep(6 * second).await;
        let handshake = tokio::spawn(within((5 * second, time.clone()), pending()));
        yield_now().await;
        advance(60 * second).await;
        yield_now().await;
        assert!(!handshake.is_finished());
        let before = time.now();
        let Err(error) = handshake.await.expect("no panic") else { panic!("there is no end of it") };
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(time.now() - before >= 4 * second);

        let handshake = tokio::spawn(within((Duration::MAX, time), pending()));
        sleep(1000 * second).await;
        assert!(!handshake.is_finished(), "there is no limit");
    }
}
