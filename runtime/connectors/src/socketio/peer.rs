//! One client of Socket.IO.

use std::collections::VecDeque;
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep_until};

use super::heartbeat::Heartbeat;
use super::packet::{self, Broken, Frame};
use super::session::{Heard, Session};
use super::transport::Transport;
use super::{Alive, random_id};
use crate::{CloseCode, MessageSocket, Opened, Pace, RateMeter, Socket, Traffic};

/// How many frames without a packet for the codec are read in one turn. Then the connection's task
/// gets its turn: it counts the frames, and holds the client to its rate.
const FRAMES_A_TURN: usize = 16;

/// A client's socket.
pub(super) struct Peer {
    transport: Transport,
    /// Counts its packets and bytes.
    meter: RateMeter,
    /// The traffic of the transport that the client used before.
    before: Traffic,
    session: Session,
    heartbeat: Heartbeat,
    /// Fires when the heartbeat has something to do.
    timer: Pin<Box<Sleep>>,
    /// The frames that the transport takes next, in order. Nothing is read while frames wait here,
    /// and one message is accepted at a time, so the queue is short.
    out: VecDeque<Frame>,
    /// The acknowledgement that the client wants for the message received last.
    ack: Option<u64>,
    /// Whether the message received last was text.
    is_text: bool,
    /// The number of bytes read when a ping was overdue and nothing more could be read. `None` if
    /// the last check found no such silence.
    silent_at: Option<u64>,
    /// Whether the client has left.
    left: bool,
    /// Whether the server has disconnected the client.
    closing: bool,
    _alive: Arc<Alive>,
}

impl From<Broken> for io::Error {
    fn from(broken: Broken) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, broken)
    }
}

impl Peer {
    /// Creates a client. If there is a `greeting`, it is the first frame that the client gets.
    pub(super) fn new(
        transport: Transport,
        greeting: Option<Frame>,
        meter: RateMeter,
        alive: Arc<Alive>,
    ) -> Self {
        let heartbeat = Heartbeat::new(Instant::now());
        Self {
            transport,
            meter,
            before: Traffic::default(),
            session: Session::default(),
            timer: Box::pin(sleep_until(heartbeat.next())),
            heartbeat,
            out: greeting.into_iter().collect(),
            ack: None,
            is_text: false,
            silent_at: None,
            left: false,
            closing: false,
            _alive: alive,
        }
    }

    /// Waits until the client joins the namespace. `attributes` are those that are already known.
    pub(super) async fn join(mut self, mut attributes: Vec<(String, String)>) -> io::Result<Opened> {
        let auth = poll_fn(|cx| self.poll_joined(cx)).await?;
        if !auth.is_empty() {
            attributes.push(("auth".to_owned(), auth));
        }
        self.out.push_back(packet::joined(&random_id()?));
        let meter = Some(self.meter.clone());
        let socket = Socket::Messages(Box::new(self));
        Ok(Opened { transport: "socketio", client: None, attributes, meter, starttls: None, socket })
    }

    fn poll_joined(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<String>> {
        let heard = self.poll_heard(cx)?;
        // The client must get its answers before it joins.
        let _ = self.poll_flush(cx)?;
        match ready!(heard) {
            Some(Heard::Joined { auth }) => Poll::Ready(Ok(auth)),
            Some(heard) => unreachable!("{heard:?} from a client that has not joined"),
            None => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    /// Returns what the client wants, unless this method handles it itself. Returns `None` if the
    /// client has left.
    fn poll_heard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Heard>>> {
        for _ in 0..FRAMES_A_TURN {
            self.change_over();
            ready!(self.poll_out(cx))?;
            let frame = match self.transport.poll_frame(cx)? {
                Poll::Ready(Some(frame)) => frame,
                Poll::Ready(None) => return self.leave(),
                Poll::Pending if self.is_silent(cx) => {
                    return Poll::Ready(Err(io::Error::other("the client answers no ping")));
                }
                Poll::Pending => return Poll::Pending,
            };
            match self.session.take(frame)? {
                Heard::Nothing => {}
                Heard::Pong => self.heartbeat.pong(),
                Heard::Answer(frame) => self.out.push_back(frame),
                Heard::Left => return self.leave(),
                heard => return Poll::Ready(Ok(Some(heard))),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Returns whether the client has not answered a ping, and the answer is not among the data
    /// that is still to be read. The transport may have more data than it returns at once, so it is
    /// asked twice.
    fn is_silent(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.heartbeat.is_overdue() || self.meter.pace() != Pace::Within {
            self.silent_at = None;
            return false;
        }
        let read = self.traffic().read;
        if self.silent_at.replace(read) == Some(read) {
            return true;
        }
        cx.waker().wake_by_ref();
        false
    }

    fn leave(&mut self) -> Poll<io::Result<Option<Heard>>> {
        self.left = true;
        Poll::Ready(Ok(None))
    }

    /// Continues over WebSocket, if the client has changed to it.
    fn change_over(&mut self) {
        if let Transport::Polling(polling) = &self.transport
            && let Some((websocket, waiting)) = polling.take_websocket()
        {
            self.before = self.traffic();
            self.transport = Transport::WebSocket(Box::new(websocket));
            let later = std::mem::replace(&mut self.out, waiting);
            self.out.extend(later);
        }
    }

    /// Does what is due for the heartbeat.
    fn poll_heartbeat(&mut self, cx: &mut Context<'_>) {
        while self.timer.as_mut().poll(cx).is_ready() {
            // One waiting ping is enough.
            if self.heartbeat.on_time(Instant::now()) && !self.out.contains(&packet::ping()) {
                self.out.push_back(packet::ping());
            }
            self.timer.as_mut().reset(self.heartbeat.next());
        }
    }

    /// Hands the waiting frames to the transport. Ready when it has taken all of them.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_heartbeat(cx);
        while !self.out.is_empty() {
            ready!(self.transport.poll_ready(cx))?;
            if let Some(frame) = self.out.pop_front() {
                self.transport.send(frame)?;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl MessageSocket for Peer {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        if self.closing {
            return self.transport.poll_discard(cx).map_ok(|()| None);
        }
        if self.left {
            return Poll::Ready(Ok(None));
        }
        Poll::Ready(match ready!(self.poll_heard(cx))? {
            Some(Heard::Message { packet, is_text, ack }) => {
                (self.is_text, self.ack) = (is_text, ack);
                Ok(Some(packet))
            }
            Some(heard) => unreachable!("{heard:?} is dealt with"),
            None => Ok(None),
        })
    }

    fn is_text(&self) -> bool {
        self.is_text
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.change_over();
        ready!(self.poll_out(cx))?;
        self.transport.poll_ready(cx)
    }

    fn send(&mut self, message: Bytes, text: bool) -> io::Result<()> {
        if text {
            self.out.push_back(packet::event(as_text(&message)?));
        } else {
            self.out.extend([packet::binary_event(), Frame::Binary(message)]);
        }
        Ok(())
    }

    fn take_ack(&mut self) -> Option<u64> {
        self.ack.take()
    }

    fn acknowledge(&mut self, ack: u64, message: Option<Bytes>, text: bool) -> io::Result<()> {
        match message {
            None => self.out.push_back(packet::ack(ack, None)),
            Some(message) if text => self.out.push_back(packet::ack(ack, Some(as_text(&message)?))),
            Some(message) => self.out.extend([packet::binary_ack(ack), Frame::Binary(message)]),
        }
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.change_over();
        ready!(self.poll_out(cx))?;
        self.transport.poll_flush(cx)
    }

    fn traffic(&self) -> Traffic {
        let Traffic { read, written, partial } = self.transport.traffic();
        Traffic {
            read: self.before.read + read,
            written: self.before.written + written,
            partial: partial || self.session.is_partial(),
        }
    }

    /// Disconnects the client. Socket.IO cannot send it a reason.
    fn poll_close(&mut self, code: CloseCode, reason: &str, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.change_over();
        if !self.closing {
            self.closing = true;
            if !self.left {
                self.out.push_back(packet::disconnect());
            }
        }
        ready!(self.poll_out(cx))?;
        self.transport.poll_close(code, reason, cx)
    }

    fn prepare_handover(&mut self) -> Result<(), &'static str> {
        Err("a client of Socket.IO cannot be handed to another process")
    }
}

fn as_text(message: &[u8]) -> io::Result<&str> {
    str::from_utf8(message).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}
