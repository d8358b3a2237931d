//! The end of a connection: what was asked is answered, farewell is said, and the socket closed.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::task::yield_now;

use super::super::close_code::close_code;
use super::{Connection, SCRATCH};
use crate::connector::Socket;
use crate::session::CloseReason;

/// What is read of a client at most while its connection ends, in bytes. It is more than the kernel keeps of a
/// connection, so a client that stops sending sees what was written last.
const DISCARDED: u64 = 8 << 20;

impl Connection {
    /// Says farewell, writes what is left, and closes.
    pub(super) async fn say_goodbye(&mut self, reason: &CloseReason) -> io::Result<()> {
        // The farewell stands behind all that was sent before.
        poll_fn(|cx| self.in_turn(cx, Self::poll_all_out)).await?;
        if reason.says_farewell() && self.machine.has_farewell() {
            let text = match reason {
                CloseReason::Kicked(reason) => reason.as_str().to_owned(),
                reason => reason.to_string(),
            };
            let farewell = |connection: &mut Self, cx: &mut Context<'_>| {
                ready!(connection.poll_may_call(cx));
                connection.machine.farewell(&text, connection.clock.now_ms());
                Poll::Ready(())
            };
            poll_fn(|cx| self.in_turn(cx, farewell)).await;
        }
        poll_fn(|cx| {
            ready!(self.poll_write(cx))?;
            match &mut self.socket {
                Socket::Stream(stream) => Pin::new(stream).poll_shutdown(cx),
                Socket::Messages(socket) => socket.poll_close(close_code(reason), reason.cause(), cx),
            }
        })
        .await?;
        let enough = self.bytes_read() + DISCARDED;
        poll_fn(|cx| match self.poll_discard(cx) {
            // A task that always finds something to read is interrupted by tokio, so this comes to pass.
            Poll::Pending if self.bytes_read() > enough => Poll::Ready(Ok(())),
            discarded => discarded,
        })
        .await
    }

    /// How many bytes the client has sent that were read.
    fn bytes_read(&self) -> u64 {
        match &self.socket {
            Socket::Stream(_) => self.traffic.read,
            Socket::Messages(socket) => socket.traffic().read,
        }
    }

    /// Reads and throws away, until the client has closed too. A socket that is dropped with input unread is
    /// reset, and the client may lose what was written last.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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

    /// Encodes and writes all that waits. Ready when nothing is left.
    fn poll_all_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What is encoded already waits for no turn.
        ready!(self.poll_write(cx))?;
        if self.waits() {
            ready!(self.poll_may_call(cx));
        }
        self.flush_due = true;
        ready!(self.poll_out(cx))?;
        if !self.waits() {
            return Poll::Ready(Ok(()));
        }
        // The turn has lasted: the others on this thread have theirs.
        let _ = pin!(yield_now()).poll(cx);
        Poll::Pending
    }

    /// Ready when every request that was read is answered and its answer written.
    pub(super) fn poll_requests(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            self.collect(cx);
            if self.machine.has_actions() || !self.answers.is_empty() {
                ready!(self.poll_may_call(cx));
            }
            self.dispatch(cx);
            ready!(self.poll_all_out(cx))?;
            if self.in_flight.len() == 0 && !self.machine.has_actions() {
                return Poll::Ready(Ok(()));
            }
            let turn = self.in_flight.can_begin() && !self.is_high();
            let starts = self.machine.has_actions() && self.may_start();
            if !turn && !starts {
                return Poll::Pending;
            }
        }
    }
}
