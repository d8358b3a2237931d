//! The task that owns one connection: its socket, its session with framing and sandbox, its requests in
//! flight, one timer.
//!
//! A turn reads what the socket has, decodes it in one call, polls handlers in place, and when no ready work
//! is left encodes and writes. Nothing here is shared with another connection but the application and the
//! counters.

mod ending;
mod turn;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::task::yield_now;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::Shared;
use super::budget::Budget;
use super::clock::SessionClock;
use super::deadlines::{Deadlines, Observed};
use super::rate::{Rate, Seen};
use super::wrong_port::WrongPort;
use crate::app::{InFlight, Request, Response, Ticket};
use crate::codec::CodecError;
use crate::config::ClientLimits;
use crate::connector::{RateMeter, Socket, Traffic};
use crate::session::{Action, CloseReason, Machine, Message, Outgoing, Output, Session, Tally};
use crate::slot::{Generation, Seat};
use wireplug_connectors::running_time::Reading;

/// What one read takes at most, in bytes.
const READ: usize = 64 << 10;

/// Reads of one turn, before the others on this thread have theirs. It is over sooner when more was read than one
/// batch holds.
const READS_A_TURN: usize = 4;

/// How long a client may take for the last bytes and the close.
pub(super) const GOODBYE: Duration = Duration::from_secs(1);

/// A timer that nothing is due at.
const FAR: Duration = Duration::from_secs(24 * 3600);

thread_local! {
    /// Streams are read into this, and cut from it: an idle connection has no read buffer at all.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

/// One connection at work.
pub(super) struct Connection {
    pub(super) server: Arc<Shared>,
    limits: ClientLimits,
    socket: Socket,
    pub(super) machine: Machine,
    pub(super) session: Session,
    /// Its place in the codec's slot.
    pub(super) seat: Seat,
    /// What was read and not decoded yet.
    unread: Bytes,
    /// The acknowledgement that the client wants for it.
    unread_ack: Option<u64>,
    in_flight: InFlight,
    pub(super) clock: SessionClock,
    deadlines: Deadlines,
    rate: Rate,
    /// What its codec's calls may take.
    budget: Budget,
    /// The application's words on hellos, while the codec may not be called.
    answers: VecDeque<(u16, Bytes)>,
    /// Set to the earliest deadline, or before it.
    timer: Pin<Box<Sleep>>,
    /// What has passed over a stream; a message socket counts itself.
    traffic: Traffic,
    /// Messages that were received since the last turn.
    received: u64,
    /// What the client's first bytes give away.
    wrong_port: WrongPort,
    /// When messages are due that gather for an interval.
    flush_at: Option<Instant>,
    /// They are due now, until all are encoded.
    flush_due: bool,
    /// The generation knows that its codec has failed.
    fault_is_told: bool,
}

impl Connection {
    pub(super) fn new(
        server: Arc<Shared>,
        limits: ClientLimits,
        (socket, meter): (Socket, Option<RateMeter>),
        machine: Machine,
        session: Session,
        seat: Seat,
        accepted: Instant,
    ) -> Self {
        let wants_first_byte = matches!(socket, Socket::Stream(_));
        let (time, now) = (server.time.clone(), Instant::now());
        let deadlines = Deadlines::new(&limits, accepted, time.now(), wants_first_byte);
        let rate = Rate::new(&(&limits).into(), meter, &time);
        let budget = Budget::new(seat.limits(), seat.cpu(), now);
        let timer = Box::pin(sleep_until(now + FAR));
        Self {
            server,
            limits,
            socket,
            machine,
            session,
            seat,
            unread: Bytes::new(),
            unread_ack: None,
            in_flight: InFlight::new(),
            clock: SessionClock::start(time),
            deadlines,
            rate,
            budget,
            answers: VecDeque::new(),
            timer,
            traffic: Traffic::default(),
            received: 0,
            wrong_port: WrongPort::default(),
            flush_at: None,
            flush_due: false,
            fault_is_told: false,
        }
    }

    /// Serves the client until the connection ends, and says why it did.
    pub(super) async fn run(mut self) -> CloseReason {
        let reason = poll_fn(|cx| self.in_turn(cx, Self::poll_turn)).await;
        let begun = self.machine.is_partial() || !self.machine.is_established();
        let reason = self.wrong_port.explain(reason, begun);
        // A server that stops lets its requests do all that they would have done. Else it is too late: the client may
        // have come back as another session.
        if reason != CloseReason::Shutdown && reason != CloseReason::Replaced {
            self.session.set_leaving();
        }
        self.rate.lift();
        // It ends on the generation that it is on, and no swap waits for it.
        self.seat.leave();
        self.tell_fault();
        // Who does not read, or does not answer, cannot hold up the end.
        if reason.finishes_requests() {
            let limit = self.server.config.drain_timeout;
            let _ = timeout(limit, poll_fn(|cx| self.in_turn(cx, Self::poll_requests))).await;
        }
        let _ = timeout(GOODBYE, self.say_goodbye(&reason)).await;
        self.or_fault(reason)
    }

    /// Tells the generation that the codec has failed, once.
    fn tell_fault(&mut self) {
        let session = self.session.clone();
        self.tell_fault_to(|generation, fault| generation.client_fault(fault, &session.client().address));
    }

    pub(super) fn tell_fault_to(&mut self, tell: impl FnOnce(&Generation, &CodecError)) {
        if let Some(fault) = self.machine.fault().filter(|_| !self.fault_is_told) {
            self.fault_is_told = true;
            tell(self.seat.generation(), fault);
        }
    }

    /// A reason to end, unless the codec has failed: that must be seen, whatever else happened.
    fn or_fault(&self, reason: CloseReason) -> CloseReason {
        match self.machine.fault() {
            Some(fault) => CloseReason::CodecFault(fault.clone()),
            None => reason,
        }
    }

    /// Does all that is ready. Ready when the connection is to end.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        self.session.register(cx);
        let mut reads = 0;
        loop {
            self.collect(cx);
            self.follow();
            self.dispatch(cx);
            if let Some(reason) = self.over() {
                return Poll::Ready(reason);
            }

            let may_read = self.may_read();
            self.clock.hold(!may_read);
            let lasted = reads > 0 && (!self.unread.is_empty() || self.budget.has_had_turn());
            let had_its_turn = reads == READS_A_TURN || lasted;
            if may_read && !had_its_turn {
                match self.poll_read(cx) {
                    Poll::Ready(Ok(true)) => {
                        reads += 1;
                        continue;
                    }
                    Poll::Ready(Ok(false)) => return Poll::Ready(self.or_fault(CloseReason::ClientClosed)),
                    Poll::Ready(Err(error)) => return Poll::Ready(self.or_fault(error.into())),
                    Poll::Pending => {}
                }
            }

            let written = match self.poll_out(cx) {
                Poll::Ready(Err(error)) => return Poll::Ready(error.into()),
                Poll::Ready(Ok(())) => true,
                Poll::Pending => false,
            };
            self.observe(!may_read, !written);
            if let Poll::Ready(reason) = self.poll_time(cx) {
                return Poll::Ready(reason);
            }
            let timed = self.budget.held_until();
            let actions = self.machine.has_actions();
            let turn = self.in_flight.can_begin() && !self.is_high();
            if turn || (actions && self.may_start()) || (!actions && self.machine.closed().is_some()) {
                continue;
            }
            let unencoded = written && self.flush_due && self.may_encode();
            if had_its_turn || unencoded || (!may_read && self.may_read()) {
                // There may be more, and the others on this thread want their turn. A wake alone would keep those
                // out whose sockets have become ready since: tokio asks the kernel of them only now and then while
                // tasks are ready, and always before it goes on with who yields.
                let _ = pin!(yield_now()).poll(cx);
            } else if self.budget.held_until() != timed {
                // The budget has answered since with a time for which no timer is set: the next turn sets it.
                cx.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
    }

    /// Counts what the turn did, and holds the client to its limits.
    fn observe(&mut self, held: bool, blocked: bool) {
        let tally = Tally { lost: self.take_lost(), ..self.machine.take_tally() };
        self.server.counters.add(tally);
        self.seat.generation().count(tally.packets_in, tally.packets_out);
        let running = self.server.time.now();
        let traffic = match &self.socket {
            Socket::Stream(_) => Traffic { partial: self.machine.is_partial(), ..self.traffic },
            Socket::Messages(socket) => {
                let traffic = socket.traffic();
                Traffic { partial: traffic.partial || self.machine.is_partial(), ..traffic }
            }
        };
        let messages = std::mem::take(&mut self.received);
        if self.rate.take(Seen { packets: tally.packets_in, messages, read: traffic.read }) {
            self.session.close(CloseReason::OverRate);
        }
        let established = self.machine.is_established();
        let whole_packet = tally.packets_in > 0;
        let waits = self.budget.held_until().is_some();
        let observed = Observed { traffic, whole_packet, blocked, held, waits, established };
        self.deadlines.observe(running, observed);
    }

    /// How many messages the transport has lost since the last call.
    fn take_lost(&mut self) -> u64 {
        match &mut self.socket {
            Socket::Stream(_) => 0,
            Socket::Messages(socket) => socket.take_lost(),
        }
    }

    /// Why the connection is to end, once all that came before the end is under way.
    fn over(&self) -> Option<CloseReason> {
        match self.machine.closed() {
            Some(_) if self.machine.has_actions() => None,
            Some(reason) => Some(reason.clone()),
            None => self.session.close_wanted(),
        }
    }

    // === in ===

    fn may_read(&mut self) -> bool {
        self.machine.closed().is_none()
            && !self.machine.has_actions()
            && !self.rate.holds()
            && self.may_start()
    }

    /// Whether another handler may be started: there is room for it, and for its answer; and the codec may be
    /// called, which may have to encode that. What was read at once may hold many small requests with large
    /// answers.
    fn may_start(&mut self) -> bool {
        self.in_flight.len() < self.limits.max_in_flight && !self.is_high() && self.budget.may_call()
    }

    /// Whether as much waits for the client as may.
    fn is_high(&mut self) -> bool {
        self.session.waiting() + self.machine.output().len() >= self.limits.high_water
    }

    /// Reads what the socket has, and decodes it, one batch at the most: what is left comes first the next
    /// time. False: the client has closed.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let now = self.clock.now_ms();
        if self.machine.has_undecoded() {
            self.machine.decode(now);
            return Poll::Ready(Ok(true));
        }
        if !self.unread.is_empty() || self.unread_ack.is_some() {
            if let Some(ack) = self.unread_ack.take() {
                self.received += 1;
                self.machine.want_ack(ack);
            }
            let mut rest = &self.unread[..];
            self.machine.receive(&mut rest, now);
            self.unread = self.unread.slice(self.unread.len() - rest.len()..);
            self.machine.decode(now);
            return Poll::Ready(Ok(true));
        }
        let open = match &mut self.socket {
            Socket::Stream(stream) => SCRATCH.with_borrow_mut(|scratch| {
                let mut buffer = ReadBuf::new(scratch);
                ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
                let mut read = buffer.filled();
                self.wrong_port.look(self.traffic.read, read);
                self.traffic.read += read.len() as u64;
                let open = !read.is_empty();
                self.machine.receive(&mut read, now);
                self.unread = Bytes::copy_from_slice(read);
                Poll::Ready(io::Result::Ok(open))
            }),
            Socket::Messages(socket) => {
                let mut bytes = 0;
                loop {
                    match socket.poll_receive(cx) {
                        Poll::Ready(Ok(Some(message))) => {
                            // An empty message has its price too.
                            bytes += message.len().max(1);
                            if let Some(ack) = socket.take_ack() {
                                // It is decoded by itself, when what came before it is.
                                (self.unread, self.unread_ack) = (message, Some(ack));
                                break Poll::Ready(Ok(true));
                            }
                            self.received += 1;
                            let mut rest = &message[..];
                            self.machine.receive(&mut rest, now);
                            self.unread = message.slice(message.len() - rest.len()..);
                            if bytes >= READ || !self.unread.is_empty() {
                                break Poll::Ready(Ok(true));
                            }
                        }
                        Poll::Pending if bytes > 0 => break Poll::Ready(Ok(true)),
                        other => break other.map_ok(|_| false),
                    }
                }
            }
        };
        self.machine.decode(now);
        open
    }

    /// Takes the answers of the handlers that are done, and gives those that waited their turn.
    fn collect(&mut self, cx: &mut Context<'_>) {
        self.answer_hellos();
        loop {
            let may_begin = !self.is_high();
            let Poll::Ready((ticket, response)) =
                self.in_flight.poll_next(&self.server.routes, may_begin, cx)
            else {
                return;
            };
            self.answered(ticket, response);
        }
    }

    /// Starts the handlers of what was decoded.
    fn dispatch(&mut self, cx: &mut Context<'_>) {
        while self.may_start()
            && let Some(action) = self.machine.next_action()
        {
            let (ticket, request) = match action {
                Action::Established => {
                    self.server.sessions.opened(&self.session);
                    self.update_share_class();
                    continue;
                }
                Action::Hello(body) => (Ticket::Hello, self.request(None, Arc::from("hello"), body)),
                Action::Message { id, route, body } => {
                    (Ticket::Request { id, route: Arc::clone(&route) }, self.request(id, route, body))
                }
            };
            if let Poll::Ready((ticket, response)) =
                self.in_flight.start(&self.server.routes, ticket, request, cx)
            {
                self.answered(ticket, response);
            }
        }
    }

    fn request(&self, id: Option<u64>, route: Arc<str>, body: Bytes) -> Request {
        Request { session: self.session.clone(), route, id, body }
    }

    /// Takes a handler's answer to where it belongs.
    fn answered(&mut self, ticket: Ticket, Response { status, body }: Response) {
        match ticket {
            Ticket::Hello => {
                self.answers.push_back((status, body));
                self.answer_hellos();
            }
            Ticket::Request { id: Some(id), route } => {
                self.session.respond(Message { id: Some(id), route, body, status });
            }
            Ticket::Request { id: None, .. } => {}
        }
    }

    // === time ===

    /// Does what is due, and arms the timer for what comes next. Ready when a deadline was missed.
    fn poll_time(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        while let Some(at) = self.next_deadline() {
            // A timer that is early costs a turn when it fires; to move it each time something happened would
            // cost more.
            if at < self.timer.deadline() || self.timer.is_elapsed() {
                self.timer.as_mut().reset(at);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let Reading { real: now, running, stands_still, .. } = self.server.time.read();
            let missed = self.deadlines.next(&self.limits).filter(|(at, _)| *at <= running && !stands_still);
            if let Some((_, reason)) = missed {
                return Poll::Ready(reason);
            }
            if self.flush_at.is_some_and(|at| at <= now) {
                (self.flush_at, self.flush_due) = (None, true);
            }
            let on_codec_time = !stands_still && self.on_codec_time();
            if on_codec_time | self.rate.release(now) | self.budget.resumes(now) || self.flush_due {
                // There is something to write or to read: the next turn does it.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        Poll::Pending
    }

    fn next_deadline(&self) -> Option<Instant> {
        let wake = self.machine.deadline().and_then(|ms| self.clock.instant(ms));
        let limit = self.deadlines.next(&self.limits).map(|(at, _)| at);
        let judged = [wake, limit].into_iter().flatten().min().map(|at| self.server.time.real(at));
        [judged, self.flush_at, self.rate.until(), self.budget.held_until()].into_iter().flatten().min()
    }

    // === out ===

    /// Encodes what waits and writes it. Ready when nothing is left that is due.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let more = self.encode();
            ready!(self.poll_write(cx))?;
            if !more {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Encodes what waits, as much as may wait to be written. True: there is more, when that is written. Where the
    /// turn has lasted, what is left is for the next one.
    fn encode(&mut self) -> bool {
        if !self.may_encode() {
            return false;
        }
        if !self.limits.flush_interval.is_zero() && !self.flush_due && !self.is_high() {
            self.flush_at.get_or_insert_with(|| Instant::now() + self.limits.flush_interval);
            return false;
        }
        let budget = &self.budget;
        self.machine.flush(self.limits.high_water, self.clock.now_ms(), || !budget.has_had_turn());
        self.flush_due = self.waits();
        self.flush_due && !self.budget.has_had_turn()
    }

    /// Whether there are messages that could be encoded.
    fn waits(&self) -> bool {
        self.machine.can_encode() && self.session.waiting() > 0
    }

    /// Whether there are messages that may be encoded now.
    fn may_encode(&mut self) -> bool {
        self.waits() && self.budget.may_call()
    }

    /// Writes what is ready to be written. Ready when nothing is left.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match (&mut self.socket, self.machine.output()) {
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
                    match output.pop() {
                        Some(Outgoing { message, ack: Some(ack) }) => {
                            socket.acknowledge(ack, message, output.is_text())?;
                        }
                        Some(Outgoing { message: Some(message), .. }) => {
                            socket.send(message, output.is_text())?;
                        }
                        _ => {}
                    }
                }
                socket.poll_flush(cx)
            }
            _ => unreachable!("the output is made for the socket"),
        }
    }
}

impl Drop for Connection {
    /// However the connection ends, nobody finds it afterwards.
    fn drop(&mut self) {
        self.session.set_closed();
        self.server.sessions.remove(&self.session);
        let unsent = self.session.outbox().len() as u64;
        let lost = self.take_lost();
        self.server.counters.add(Tally { unsent, lost, ..self.machine.take_tally() });
        self.tell_fault();
    }
}
