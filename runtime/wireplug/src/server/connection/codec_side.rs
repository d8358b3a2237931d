//! The codec side of a connection: the session's state machine, the generation of the codec that
//! runs in it, and when the codec may be called.
//!
//! It reads no socket and sets no timer. [`swap`] changes the codec of a live session. [`sleep`]
//! lets a session sleep without a sandbox, and is the one place that wakes it: every call of the
//! codec goes through a method here that wakes the session before.

mod sleep;
mod swap;
mod wake_wait;
mod watching;

use std::sync::Arc;
use std::task::Context;

use bytes::Bytes;
use tokio::time::Instant;

use self::sleep::Sleep;
use crate::codec::{self, Cause, Codec as _, CodecError};
use crate::server::awake::{AwakeLimit, AwakePlace};
use crate::server::budget::Budget;
use crate::server::clock::SessionClock;
use crate::server::peer::Link;
use crate::session::{Action, Machine, Output, SavedMachine, Session, Tally};
use crate::slot::{Generation, Lease, Step, WakeCause};
use crate::stats::Sampling;
use crate::upgrade::SavedCodec;
use wireplug_connectors::running_time::RunningTime;

/// The most calls that decode packets in one step, if the codec is called for each packet. Between
/// steps the task starts handlers, and checks how many bytes wait for the client.
const CALLS_A_STEP: usize = 4;

/// The codec side of one connection.
pub(super) struct CodecSide {
    machine: Machine,
    session: Session,
    /// The generation of the codec that the session is on.
    lease: Lease,
    /// The clock that the codec sees.
    clock: SessionClock,
    /// The CPU time that the codec's calls may take.
    budget: Budget,
    /// What of this turn is timed.
    sampling: Sampling,
    /// When the session sleeps.
    sleep: Sleep,
    /// The properties of the connection that every codec of it sees.
    link: Link,
    /// The application's answer to a hello, while the codec may not be called.
    answer: Option<(u16, Bytes)>,
    /// The attributes that TLS added in the middle of the stream, until the codec has learned of
    /// them.
    secured: Option<Vec<(String, String)>>,
    /// Whether the session waits for TLS before it applies the slot's directive.
    waits: bool,
    /// Whether the fault of the codec has been reported to its generation.
    fault_is_reported: bool,
    /// Whether the fault of the codec has been kept for operators.
    fault_is_kept: bool,
}

impl CodecSide {
    pub(super) fn new(
        machine: Machine,
        session: Session,
        lease: Lease,
        link: Link,
        (limit, place): (AwakeLimit, Option<AwakePlace>),
        time: RunningTime,
    ) -> Self {
        let budget = Budget::new(lease.limits(), lease.cpu(), Instant::now());
        let sleep = Sleep::new(&session, &lease, limit, place, time.now());
        session.vitals().set_codec(lease.generation().number(), false);
        Self {
            machine,
            session,
            lease,
            link,
            clock: SessionClock::start(time),
            budget,
            sampling: Sampling::default(),
            sleep,
            answer: None,
            secured: None,
            waits: false,
            fault_is_reported: false,
            fault_is_kept: false,
        }
    }

    /// Goes on with a session from another process, at this session time in milliseconds. If it
    /// sleeps, its state has this size in bytes.
    pub(super) fn resume(&mut self, session_ms: u64, asleep: Option<usize>) {
        let time = self.clock.time().clone();
        self.clock = SessionClock::resume(time, session_ms);
        if let Some(bytes) = asleep {
            self.goes_on_sleeping(bytes);
        }
    }

    /// Returns whether nothing is under way that keeps the session in this process.
    pub(super) fn may_leave_process(&mut self) -> bool {
        self.answer.is_none() && self.secured.is_none() && self.machine.may_leave_process()
    }

    /// Returns what keeps the session in this process for good, if anything does.
    pub(super) fn bound_to_process(&mut self) -> Option<&'static str> {
        if !self.lease.generation().abilities().handoff {
            return Some("its codec does not export `handoff`");
        }
        self.machine.has_shadow().then_some("a candidate mirrors it")
    }

    /// Returns what another process needs to go on with the session, and the codec that it is on.
    ///
    /// # Errors
    /// Returns an error if the codec does not save the session.
    pub(super) fn save_all(&mut self) -> Result<(SavedMachine, &Arc<SavedCodec>), CodecError> {
        Ok((self.machine.save_all()?, self.lease.saved_codec()))
    }

    /// Returns the state machine, to read its state. Every change must go through the methods of
    /// this type, which know the time and the budget.
    pub(super) fn machine(&self) -> &Machine {
        &self.machine
    }

    // === turns and the budget ===

    pub(super) fn begin_turn(&mut self) {
        self.sampling = Sampling::of_turn(self.budget.begin_turn());
    }

    /// Returns the time if the request that begins now is to be timed.
    pub(super) fn begin_request(&mut self) -> Option<std::time::Instant> {
        self.sampling.request.begin()
    }

    /// Charges the CPU time of the codec's calls in this turn. If the session has been over its
    /// budget for too long, it fails, and the next turn ends the connection.
    pub(super) fn end_turn(&mut self, cx: &Context<'_>) {
        if self.machine.is_watched() {
            self.end_watched_turn();
        }
        let spent = self.sleep.end_turn(self.machine.take_cpu_time(self.budget.measures()));
        self.session.vitals().add_codec_time(spent.total());
        if let Err(error) = self.budget.end_turn(spent) {
            self.machine.fail(error);
            cx.waker().wake_by_ref();
        }
    }

    /// Returns whether the turn is used up, so that the other connections of this thread should get
    /// theirs.
    pub(super) fn has_had_turn(&self) -> bool {
        self.budget.has_had_turn()
    }

    /// Returns whether the codec may be called now: its budget allows it, and the session is awake
    /// or does not wait for a sandbox. If so, it may be called until the turn ends.
    pub(super) fn may_call(&mut self) -> bool {
        !self.sleep.wait.holds() && self.budget.may_call()
    }

    /// Returns the time until which the codec may not be called, if there is one.
    pub(super) fn held_until(&self) -> Option<Instant> {
        self.sleep.wait.until().or(self.budget.held_until())
    }

    /// Returns whether the codec, which could not be called, may be called again at `now`.
    pub(super) fn resumes(&mut self, now: Instant) -> bool {
        self.sleep.wait.resumes(now) | self.budget.resumes(now)
    }

    // === session time ===

    /// Returns the time of the session.
    pub(super) fn now(&self) -> codec::Instant {
        self.clock.now()
    }

    /// Stops session time if `hold` is true. Otherwise lets session time go on.
    pub(super) fn hold_clock(&mut self, hold: bool) {
        self.clock.hold(hold);
    }

    /// Returns when the codec's timer is due, in running time. Returns `None` if the codec has set
    /// no timer, or while session time stands still.
    pub(super) fn timer_at(&self) -> Option<Instant> {
        self.machine.deadline().and_then(|ms| self.clock.instant(ms))
    }

    /// Calls the codec if its timer is due and the codec may be called. Returns whether the timer
    /// is due. If the codec may not be called, the next turn stops session time, and the timer with
    /// it.
    pub(super) fn on_timer(&mut self) -> bool {
        let now = self.now();
        let is_due = self.machine.deadline().is_some_and(|at| at <= now.session_ms);
        if is_due && self.may_call() && self.wake(now, WakeCause::Timer) {
            self.machine.on_time(now);
        }
        is_due
    }

    // === in ===

    /// Takes received bytes from the front of `input`, as [`Machine::receive`] does.
    pub(super) fn receive(&mut self, input: &mut &[u8], is_text: bool, now: codec::Instant) -> bool {
        self.machine.receive(input, is_text, now)
    }

    /// Notes that the client wants an acknowledgement of the message that is received next.
    pub(super) fn want_ack(&mut self, ack: u64) {
        self.machine.want_ack(ack);
    }

    /// Decodes the packets that were received. If the codec is called for each packet, at most
    /// [`CALLS_A_STEP`] packets are decoded, and no further one after a call that uses up the turn.
    /// The other packets wait for the next step. If the session sleeps and cannot be woken, all
    /// wait.
    pub(super) fn decode(&mut self, now: codec::Instant) {
        if self.machine.is_asleep() && self.machine.has_undecoded() && !self.wake(now, WakeCause::Packet) {
            return;
        }
        let began = match self.machine.has_undecoded() {
            true => self.sampling.decode.begin(),
            false => None,
        };
        for _ in 0..CALLS_A_STEP {
            self.machine.decode(now);
            if !self.machine.is_in_batch() || self.machine.hello_is_open() || self.budget.has_had_turn() {
                break;
            }
        }
        if let Some(began) = began {
            self.lease.generation().note_step(Step::Decode, began.elapsed());
        }
    }

    /// Returns the next action that the connection has to carry out for the session.
    pub(super) fn next_action(&mut self) -> Option<Action> {
        self.machine.next_action()
    }

    /// Takes the application's answer to the hello, and passes it to the codec if the codec may be
    /// called.
    pub(super) fn answer_hello(&mut self, status: u16, body: Bytes) {
        self.answer = Some((status, body));
        self.pass_events();
    }

    /// Returns the bytes that came behind the codec's wish for TLS.
    pub(super) fn take_tls(&mut self) -> Vec<u8> {
        self.machine.take_tls()
    }

    /// Notes that TLS has begun in the middle of the stream, and tells the codec if it may be
    /// called.
    pub(super) fn secured(&mut self, attributes: Vec<(String, String)>) {
        self.session.set_secured(&attributes);
        self.secured = Some(attributes);
        self.pass_events();
    }

    /// Passes what has happened outside of the stream to the codec, if the codec may be called:
    /// that TLS has begun, the application's answer to the hello, and requests to the client on
    /// which the application has given up. If these use up the turn, the rest of them waits for the
    /// next one.
    pub(super) fn pass_events(&mut self) {
        if !self.may_pass_events() {
            return;
        }
        let now = self.clock.now();
        if let Some(attributes) = self.secured.take() {
            self.machine.secured(&attributes, now);
            if self.machine.is_established() {
                // The codec may not have been called when the session was established.
                self.update_broadcast_class();
            }
        }
        if !self.machine.tls_begins() {
            if let Some((status, body)) = self.answer.take() {
                self.machine.answer(status, &body, now);
            }
            if self.machine.has_abandoned() && self.wake(now, WakeCause::Abandoned) {
                let budget = &self.budget;
                self.machine.pass_abandoned(now, || !budget.has_had_turn());
            }
        }
    }

    /// Returns whether [`CodecSide::pass_events`] would call the codec.
    pub(super) fn may_pass_events(&mut self) -> bool {
        let has_others = self.answer.is_some() || self.machine.has_abandoned();
        (self.secured.is_some() || has_others && !self.machine.tls_begins()) && self.may_call()
    }

    /// Returns whether an answer to a hello waits until the codec may be called.
    pub(super) fn has_answer(&self) -> bool {
        self.answer.is_some()
    }

    // === out ===

    /// Returns whether messages wait that could be encoded.
    pub(super) fn has_messages(&self) -> bool {
        self.machine.can_encode() && self.session.waiting() > 0
    }

    /// Returns whether messages wait that may be encoded now.
    pub(super) fn may_encode(&mut self) -> bool {
        self.has_messages() && self.may_call()
    }

    /// Encodes messages until none waits, `high_water` bytes wait to be written, or the turn is
    /// used up. A session that sleeps is woken unless all of them share an encoding.
    pub(super) fn encode(&mut self, high_water: usize) {
        let (now, budget) = (self.clock.now(), &self.budget);
        if self.machine.is_asleep() {
            let needs_codec = self.machine.encode_shared(high_water, || !budget.has_had_turn());
            if !needs_codec || !self.wake(now, WakeCause::Message) {
                return;
            }
        }
        let began = self.sampling.encode.begin();
        let budget = &self.budget;
        self.machine.encode_waiting(high_water, now, || !budget.has_had_turn());
        if let Some(began) = began {
            self.lease.generation().note_step(Step::Encode, began.elapsed());
        }
    }

    /// Puts the codec's farewell into the output. Returns false if the session sleeps and waits
    /// until it can wake.
    pub(super) fn farewell(&mut self, cause: Cause, reason: &str) -> bool {
        let now = self.clock.now();
        if !self.wake(now, WakeCause::Farewell) {
            return self.machine.fault().is_some();
        }
        self.machine.farewell(cause, reason, now);
        self.drop_sandbox();
        true
    }

    /// Returns how many bytes wait for the client, encoded or not.
    pub(super) fn waiting(&mut self) -> usize {
        // While TLS begins nothing is encoded. What waits for that must not keep TLS from
        // beginning.
        let unencoded = if self.machine.tls_begins() { 0 } else { self.session.waiting() };
        unencoded + self.machine.output().len()
    }

    /// Returns the output that is to be written to the client.
    pub(super) fn output(&mut self) -> &mut Output {
        self.machine.output()
    }

    /// Frees the memory of the queues that are empty.
    pub(super) fn free(&mut self) {
        self.machine.free();
    }

    // === counts and faults ===

    /// Publishes the generation of the session, and whether the session sleeps, after a change.
    fn publish_codec(&self) {
        self.session.vitals().set_codec(self.lease.generation().number(), self.machine.is_asleep());
    }

    /// Returns the counts since the last call.
    pub(super) fn take_tally(&mut self) -> Tally {
        self.machine.take_tally()
    }

    /// Adds packets to the counts of the generation.
    pub(super) fn count_packets(&self, packets_in: u64, packets_out: u64) {
        self.lease.generation().count(packets_in, packets_out);
    }

    /// Releases the lease. The session ends on its generation, and no swap waits for the session.
    pub(super) fn release(&self) {
        self.lease.release();
    }

    /// Reports a fault of the codec to its generation, once.
    pub(super) fn report_fault(&mut self) {
        let session = self.session.clone();
        self.report_fault_to(|generation, fault| generation.client_fault(fault, &session.client().address));
    }

    fn report_fault_to(&mut self, report: impl FnOnce(&Generation, &CodecError)) {
        if let Some(fault) = self.machine.fault().filter(|_| !self.fault_is_reported) {
            self.fault_is_reported = true;
            report(self.lease.generation(), fault);
        }
    }
}
