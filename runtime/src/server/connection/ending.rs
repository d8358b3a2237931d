//! The end of a connection: what was asked is answered, farewell is said, and the socket closed.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use super::super::close_code::close_code;
use super::{Connection, SCRATCH};
use crate::connector::Socket;
use crate::session::CloseReason;

impl Connection {
    /// Says farewell, writes what is left, and closes.
    pub(super) async fn say_goodbye(&mut self, reason: &CloseReason) -> io::Result<()> {
        // The farewell stands behind all that was sent before.
        self.flush_due = true;
        poll_fn(|cx| self.poll_out(cx)).await?;
        if reason.says_farewell() {
            let text = match reason {
                CloseReason::Kicked(reason) => reason.as_str().to_owned(),
                reason => reason.to_string(),
            };
            self.machine.farewell(&text, self.clock.now_ms());
        }
        poll_fn(|cx| {
            ready!(self.poll_write(cx))?;
            match &mut self.socket {
                Socket::Stream(stream) => Pin::new(stream).poll_shutdown(cx),
                Socket::Messages(socket) => socket.poll_close(close_code(reason), reason.cause(), cx),
            }
        })
        .await?;
        poll_fn(|cx| self.poll_discard(cx)).await
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
                }
            }),
            Socket::Messages(socket) => {
                while ready!(socket.poll_receive(cx))?.is_some() {}
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Ready when every request that was read is answered and its answer written.
    pub(super) fn poll_requests(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            self.collect(cx);
            self.dispatch(cx);
            self.flush_due = true;
            ready!(self.poll_out(cx))?;
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
