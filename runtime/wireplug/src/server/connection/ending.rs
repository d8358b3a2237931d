//! Ends a connection: answers the requests that were read, sends the farewell, and closes the
//! socket.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use tokio::task::yield_now;

use super::{CLOSE_TIMEOUT, Connection};
use crate::session::CloseReason;

/// The most bytes that are read and discarded while a connection ends. It is more than the kernel
/// buffers for a connection, so a client that stops sending receives what was written last.
const DISCARDED: u64 = 8 << 20;

impl Connection {
    /// Writes what is left, sends the farewell, and closes. The client has [`CLOSE_TIMEOUT`] to
    /// take what is left, and as long again to take the farewell and to close.
    pub(super) async fn close(&mut self, reason: &CloseReason) -> io::Result<()> {
        let time = self.server.time.clone();
        // The farewell comes after all that was sent before.
        let all_out = poll_fn(|cx| self.in_turn(cx, Self::poll_all_out));
        match time.timeout(CLOSE_TIMEOUT, all_out).await {
            Some(written) => written?,
            // The client does not read.
            None if self.codec.output().len() > 0 => return Ok(()),
            // The codec is over its budget: messages are left that it has not encoded.
            None => {}
        }
        if let Some(cause) = reason.cause_of_farewell()
            && self.codec.machine().has_farewell()
        {
            let text = match reason {
                CloseReason::Kicked(reason) => reason.as_str().to_owned(),
                reason => reason.to_string(),
            };
            // It is one call for each session that opened, so it is made even if the codec is over
            // its budget. The client must learn why its session ends. A session that sleeps and
            // cannot wake in time ends without a farewell.
            let farewell = |connection: &mut Self, cx: &mut Context<'_>| {
                connection.session.register(cx);
                if connection.codec.farewell(cause, &text) { Poll::Ready(()) } else { Poll::Pending }
            };
            let _ = time.timeout(CLOSE_TIMEOUT, poll_fn(|cx| self.in_turn(cx, farewell))).await;
        }
        time.timeout(CLOSE_TIMEOUT, self.close_socket(reason)).await.unwrap_or(Ok(()))
    }

    async fn close_socket(&mut self, reason: &CloseReason) -> io::Result<()> {
        poll_fn(|cx| {
            ready!(self.poll_write(cx))?;
            let codec_close = self.codec.machine().codec_close();
            self.transport.poll_close(reason, codec_close, cx)
        })
        .await?;
        let enough = self.transport.traffic().read + DISCARDED;
        poll_fn(|cx| match self.transport.poll_discard(cx) {
            // This case occurs even if the client never stops sending, because tokio interrupts a
            // task that always finds something to read.
            Poll::Pending if self.transport.traffic().read > enough => Poll::Ready(Ok(())),
            discarded => discarded,
        })
        .await
    }

    /// Encodes and writes all messages that wait. Returns `Ready` when nothing is left.
    fn poll_all_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Output that is already encoded does not have to wait until the codec may be called.
        ready!(self.poll_write(cx))?;
        if self.codec.has_messages() {
            // A session that sleeps may have to wait for a place to wake in.
            self.session.register(cx);
            ready!(self.timer.poll_may_call(&mut self.codec, cx));
        }
        self.timer.set_flush_due(true);
        ready!(self.poll_out(cx))?;
        if !self.codec.has_messages() {
            return Poll::Ready(Ok(()));
        }
        // The turn is used up. The other connections of this thread get theirs.
        let _ = pin!(yield_now()).poll(cx);
        Poll::Pending
    }

    /// Answers the requests that were read. Returns `Ready` when all responses are written.
    pub(super) fn poll_requests(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            self.collect(cx);
            if self.codec.machine().has_actions() || self.codec.has_answer() {
                ready!(self.timer.poll_may_call(&mut self.codec, cx));
            }
            self.dispatch(cx);
            ready!(self.poll_all_out(cx))?;
            let has_actions = self.codec.machine().has_actions();
            if self.in_flight.len() == 0 && !has_actions {
                return Poll::Ready(Ok(()));
            }
            let turn = self.in_flight.can_begin() && !self.is_high();
            let starts = has_actions && self.may_start();
            if !turn && !starts {
                return Poll::Pending;
            }
        }
    }
}
