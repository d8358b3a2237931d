//! The task that owns one connection.
//!
//! A turn reads what the socket has, decodes it, polls handlers in place, and encodes and writes
//! when no ready work is left. A connection shares nothing with other connections but the
//! application and the counters.
//!
//! | part | what it owns |
//! |---|---|
//! | `transport` | the socket, the input that is not decoded yet, and the counts of traffic |
//! | `codec_side` | the session's state machine, its lease on a generation, its clock and its budget; `codec_side/swap` moves a live session, `codec_side/sleep` lets an idle one sleep |
//! | `in_flight` (in `app`) | the requests whose handlers are running |
//! | `requests` | the way of a message to its handler, and of the response back |
//! | `moving` | lets a live session go to another process |
//! | `answered` | responses of the turn, until they are counted |
//! | `timer` | deadlines, rates, and the one timer |
//!
//! This file defines the order of the steps in a turn. `ending` defines the order of the steps at
//! the end of a connection.

mod answered;
mod codec_side;
mod ending;
mod moving;
mod requests;
mod timer;
mod transport;
mod watching;

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::Instant;

use self::answered::Answered;
use self::codec_side::CodecSide;
use self::moving::Moving;
pub(super) use self::moving::SavedConnection;
use self::timer::ConnectionTimer;
use self::transport::Transport;
pub(super) use self::watching::{not_opened, watch_opening};
use super::awake::AwakePlace;
use super::deadlines::Observed;
use super::live::Seen;
use super::peer::Link;
use super::rate::Charged;
use super::{ListenerContext, ListenerSettings, ServerState};
use crate::app::InFlight;
use crate::session::{CloseReason, Machine, Session, Tally};
use crate::slot::Lease;
use crate::traces::Link as TraceLink;
use wireplug_connectors::{RateMeter, Socket, StartTls, Traffic};

/// The most reads in one turn, before the other connections of this thread get theirs. The turn
/// ends sooner if a read brings more than one batch holds.
const READS_A_TURN: usize = 4;

/// How long a client may take to receive the last messages, and again to receive the farewell and
/// to close.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// One open connection.
pub(super) struct Connection {
    server: Arc<ServerState>,
    listener: Arc<ListenerContext>,
    settings: Seen<ListenerSettings>,
    transport: Transport,
    codec: CodecSide,
    session: Session,
    in_flight: InFlight,
    /// Responses of this turn that are not counted yet.
    answered: Answered,
    timer: ConnectionTimer,
    /// What the traces of requests know of the connection.
    trace: TraceLink,
    /// Whether the session goes to another process.
    moving: Moving,
}

impl Connection {
    pub(super) fn new(
        server: Arc<ServerState>,
        listener: Arc<ListenerContext>,
        (socket, meter, starttls): (Socket, Option<RateMeter>, Option<StartTls>),
        machine: Machine,
        session: Session,
        (lease, link, place): (Lease, Link, Option<AwakePlace>),
        (settings, accepted, trace): (Seen<ListenerSettings>, Instant, TraceLink),
    ) -> Self {
        let time = server.time.clone();
        let limits = &settings.limits;
        let transport = Transport::new(socket, starttls, (limits.handshake_limit(), time.clone()));
        let wants_first_byte = transport.wants_first_byte();
        let timer = ConnectionTimer::new(limits, accepted, wants_first_byte, meter, time.clone());
        let codec =
            CodecSide::new(machine, session.clone(), lease, link, (server.awake.clone(), place), time);
        let (in_flight, answered) = (InFlight::new(), Answered::default());
        let moving = Moving::default();
        Self {
            server,
            listener,
            settings,
            transport,
            codec,
            session,
            in_flight,
            answered,
            timer,
            trace,
            moving,
        }
    }

    /// Serves the client until the connection ends. Returns why it ended.
    pub(super) async fn run(mut self: Box<Self>) -> CloseReason {
        let reason = poll_fn(|cx| self.in_turn(cx, Self::poll_turn)).await;
        if reason == CloseReason::Moved {
            self.codec.release();
            self.end_watch(&reason);
            return reason;
        }
        // The future of the end is in a box, so that the task of an open connection does not keep
        // the memory for it.
        let reason = Box::pin(self.end(reason)).await;
        let tally = self.take_tally();
        self.listener.counters.add(tally, self.transport.take_bytes());
        self.session.vitals().count(&tally, self.transport.traffic(), 0, self.server.time.now());
        reason
    }

    /// Ends the connection after its last turn, and returns the reason to report.
    async fn end(&mut self, reason: CloseReason) -> CloseReason {
        let machine = self.codec.machine();
        let incomplete = machine.is_partial() || !machine.is_established();
        let reason = self.transport.explain(reason, incomplete);
        // While the server stops, requests in flight keep all their effects. Otherwise it is too
        // late for effects on the session, because the client may have come back as another
        // session.
        if reason != CloseReason::Shutdown && reason != CloseReason::Replaced {
            self.session.set_leaving();
        }
        // Nothing is read any more, so no response can come.
        self.session.outbox().close_requests();
        self.timer.lift_rates();
        self.codec.release();
        self.codec.report_fault();
        self.keep_fault();
        // A client that does not read, or a handler that does not answer, cannot delay the end.
        if reason.finishes_requests() {
            let limit = self.server.config.get().drain_timeout;
            let time = self.server.time.clone();
            let _ = time.timeout(limit, poll_fn(|cx| self.in_turn(cx, Self::poll_requests))).await;
        }
        let _ = self.close(&reason).await;
        let reason = self.or_fault(reason);
        self.end_watch(&reason);
        reason
    }

    /// Returns the fault of the codec as the reason if the codec has failed, and `reason`
    /// otherwise. A fault must be reported whatever else happened.
    fn or_fault(&self, reason: CloseReason) -> CloseReason {
        match self.codec.machine().fault() {
            Some(fault) => CloseReason::CodecFault(fault.clone()),
            None => reason,
        }
    }

    /// Holds the client to the settings that the listener has now.
    fn apply_settings(&mut self) {
        let ListenerSettings { limits, access } = &*self.settings;
        self.session.outbox().set_limits(limits.into());
        self.timer.set_limits(limits);
        if !access.allows_client(&self.session.client().address) {
            self.session.close(CloseReason::Denied);
        }
    }

    // === turns ===

    /// Does some work as one turn, and charges the CPU time of the codec's calls in that turn.
    fn in_turn<R>(&mut self, cx: &mut Context<'_>, work: impl FnOnce(&mut Self, &mut Context<'_>) -> R) -> R {
        self.codec.begin_turn();
        let done = work(self, cx);
        self.codec.end_turn(cx);
        done
    }

    /// Does all work that is ready. Returns `Ready` with the reason when the connection must end.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        self.session.register(cx);
        if let Some(frozen) = self.poll_moving() {
            return frozen;
        }
        if self.session.has_orders() {
            self.take_orders();
        }
        if self.settings.refresh(&self.listener.settings) {
            self.apply_settings();
        }
        let mut reads = 0;
        loop {
            self.collect(cx);
            self.codec.apply_directive();
            self.dispatch(cx);
            if let Some(reason) = self.over() {
                return Poll::Ready(reason);
            }

            let may_read = self.may_read();
            self.codec.hold_clock(!may_read);
            let lasted = reads > 0 && (self.transport.has_unread() || self.codec.has_had_turn());
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
            if written && self.transport.tls_begins() {
                match self.transport.poll_tls(cx) {
                    Poll::Ready(Ok(attributes)) => {
                        self.codec.secured(attributes);
                        continue;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(error.into()),
                    Poll::Pending => {}
                }
            }
            self.observe(!may_read, !written);
            if self.leave_if_quiet(had_its_turn) {
                return Poll::Pending;
            }
            if self.codec.is_asked_to_sleep() {
                let busy = had_its_turn || self.transport.has_unread();
                self.codec.sleep_as_asked(busy, self.server.time.now());
            }
            if let Poll::Ready(reason) = self.timer.poll(&self.settings.limits, &mut self.codec, cx) {
                return Poll::Ready(reason);
            }
            let timed = self.codec.held_until();
            let actions = self.codec.machine().has_actions();
            let handler_may_begin = self.in_flight.can_begin() && !self.is_high();
            let ended = self.codec.machine().closed().is_some();
            if handler_may_begin || (actions && self.may_start()) || (!actions && ended) {
                continue;
            }
            let unencoded = written && self.timer.is_flush_due() && self.codec.may_encode();
            let undecoded = self.codec.machine().is_in_batch() && self.may_read();
            let unpassed = self.codec.may_pass_events();
            if had_its_turn || unencoded || undecoded || unpassed || (!may_read && self.may_read()) {
                // There may be more work, but the other connections of this thread must get their
                // turn first. A wake alone would delay connections whose sockets have become ready
                // meanwhile. While tasks are ready, tokio asks the kernel about sockets only now
                // and then, but it always asks before it runs a task that has yielded.
                let _ = pin!(yield_now()).poll(cx);
            } else if self.codec.held_until() != timed {
                // The budget has set a new time, for which no timer is set yet. The next turn sets
                // the timer.
                cx.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
    }

    /// Counts the work of the turn, and applies the client's limits.
    fn observe(&mut self, held: bool, blocked: bool) {
        let tally = self.take_tally();
        self.listener.counters.add(tally, self.transport.take_bytes());
        self.answered.count(&self.server);
        self.codec.count_packets(tally.packets_in, tally.packets_out);
        if tally == Tally::default() {
            // Nothing came or went in this turn: the timer was set too early, or is due. The client
            // has been idle, and its queues need no memory.
            self.codec.free();
            self.in_flight.free();
        }
        let machine = self.codec.machine();
        let (is_partial, established) = (machine.is_partial(), machine.is_established());
        let traffic = self.transport.traffic();
        let traffic = Traffic { partial: traffic.partial || is_partial, ..traffic };
        let messages = self.transport.take_received();
        if self.timer.charge(Charged {
            packets: tally.packets_in,
            messages,
            read: traffic.read,
            again: tally.bytes_again,
        }) {
            self.session.close(CloseReason::OverRate);
        }
        self.session.outbox().note_output(self.codec.output().len());
        let whole_packet = tally.packets_in > 0;
        let waits = self.codec.held_until().is_some();
        let verified = self.transport.is_address_verified();
        let now = self.server.time.now();
        self.codec.note_calls(now);
        self.session.vitals().count(&tally, traffic, self.in_flight.len(), now);
        let observed = Observed { traffic, whole_packet, blocked, held, waits, established, verified };
        self.timer.observe(now, observed);
    }

    /// Returns the counts since the last call.
    fn take_tally(&mut self) -> Tally {
        Tally { lost: self.transport.take_lost(), ..self.codec.take_tally() }
    }

    /// Returns why the connection must end, if it must. Actions that came before the end of the
    /// machine are started first.
    fn over(&self) -> Option<CloseReason> {
        let machine = self.codec.machine();
        match machine.closed() {
            Some(_) if machine.has_actions() => None,
            Some(reason) => Some(reason.clone()),
            None => self.session.close_wanted(),
        }
    }

    // === in ===

    fn may_read(&mut self) -> bool {
        let machine = self.codec.machine();
        machine.closed().is_none()
            && !machine.hello_is_open()
            && !machine.tls_begins()
            && !machine.has_actions()
            && !self.timer.holds_client()
            && !self.holds_for_move()
            && self.may_start()
    }

    /// Returns whether another handler may be started. There must be room for the handler and for
    /// its response, and the codec, which may have to encode that response, must be callable. One
    /// read may bring many small requests with large responses, so this is checked for each
    /// handler.
    fn may_start(&mut self) -> bool {
        self.in_flight.len() < self.settings.limits.max_in_flight && !self.is_high() && self.codec.may_call()
    }

    /// Returns whether the bytes that wait for the client have reached the high-water mark.
    fn is_high(&mut self) -> bool {
        self.codec.waiting() >= self.settings.limits.high_water
    }

    /// Reads from the socket, and decodes at most one batch. The next call begins with the rest.
    /// Returns false if the client has closed.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let now = self.codec.now();
        let open = if self.codec.machine().is_in_batch() {
            Poll::Ready(Ok(true))
        } else {
            self.transport.poll_read(&mut self.codec, now, cx)
        };
        self.codec.decode(now);
        open
    }

    // === out ===

    /// Encodes and writes the messages that wait. Returns `Ready` when nothing that is due is left.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let more = self.encode();
            ready!(self.poll_write(cx))?;
            if !more {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Encodes messages until the output reaches the high-water mark. Returns whether to call it
    /// again after the output is written. Returns false if the turn is used up: the next turn
    /// encodes the rest.
    fn encode(&mut self) -> bool {
        if !self.codec.may_encode() {
            return false;
        }
        if !self.is_high() && self.timer.gathers(self.settings.limits.flush_interval) {
            return false;
        }
        self.codec.encode(self.settings.limits.high_water);
        let more = self.codec.has_messages();
        self.timer.set_flush_due(more);
        more && !self.codec.has_had_turn()
    }

    /// Writes the output. Returns `Ready` when all of it is written.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What the codec has found out holds for the output of the same call already.
        if self.codec.machine().is_address_verified() {
            self.transport.verify_address();
        }
        self.transport.poll_write(self.codec.output(), cx)
    }
}

impl Drop for Connection {
    /// Removes the session, so that nothing finds it afterwards, however the connection ends.
    fn drop(&mut self) {
        self.session.set_closed();
        self.server.sessions.remove(&self.session);
        let unsent = self.session.outbox().len() as u64;
        let tally = self.take_tally();
        let tally = Tally { unsent: tally.unsent + unsent, ..tally };
        self.listener.counters.add(tally, self.transport.take_bytes());
        self.answered.count(&self.server);
        self.codec.report_fault();
        self.keep_fault();
    }
}
