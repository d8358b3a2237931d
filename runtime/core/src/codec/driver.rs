//! The session driver: the rules of one session, and the way to call a codec's session.
//!
//! The runtime's session machine, `codec check` and `codec test` call every session through
//! [`SessionDriver`], so the checks apply the same rules as the server. The driver guarantees:
//! - A call that the contract does not allow now never reaches the codec ([`NotAllowed`]).
//! - Each event of an answer is checked against the contract, the codec's abilities and the state
//!   of the session before the caller gets it.
//! - No event after the end of a session is handed out, and no call follows a fault.
//! - A response without a packet is encoded once more as failed, and never a third time.
//!
//! The driver is sans-I/O. It must not know sockets, timers, tasks, locks, sandboxes, the
//! application or its outbox. It neither makes batches nor frames packets: the caller does both.

mod allowed;
mod encoding;
mod observer;
mod sleep;
mod stream;

use std::sync::Arc;

pub use allowed::{CallError, NotAllowed};
pub use encoding::{Disposition, FailedResponses, PacketSink};
pub use observer::{CallEnd, ObservedCall, Observer};
pub use stream::{Cut, StreamRules};

use self::allowed::Call;
use self::sleep::Callee;
use super::{
    Abilities, Cause, Codec, CodecError, CodecSession, Event, Events, Frames, Instant, Role, Violation,
};
use crate::framing::Packets;

/// How far a session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionPhase {
    /// Every call is allowed.
    Working,
    /// The codec has ended the session. The codec may only encode responses to earlier requests.
    Ended,
    /// The codec has failed, or has made its last packet. No call is allowed.
    Over,
}

/// One session of a codec, called by the rules of the contract.
///
/// Each method takes the time of the call. Methods whose calls return events pass each event to
/// `take`, with the index of its packet in the batch.
pub struct SessionDriver<S> {
    callee: Callee<S>,
    abilities: Abilities,
    /// The shortest interval of the codec's timer, in milliseconds.
    min_timer: u64,
    phase: SessionPhase,
    established: bool,
    /// Whether a hello waits for the application's answer.
    hello_is_open: bool,
    /// Whether TLS begins, so that the codec is called for nothing else.
    tls_begins: bool,
    /// Whether the application may send requests to the client.
    client_requests: bool,
    /// Whether a batch of messages may become fewer packets than messages.
    coalesces: bool,
    /// When the codec's timer is due, in milliseconds of session time.
    timer: Option<u64>,
    /// The codec's fault, if it failed.
    fault: Option<CodecError>,
    /// Learns of each call, if there is one.
    observer: Option<Box<dyn Observer>>,
    // These buffers are reused for each call.
    events: Events,
    frames: Frames,
}

impl<S: CodecSession> SessionDriver<S> {
    /// Creates the driver of a session that `codec` has just opened. The timer of the session runs
    /// for at least `min_timer` milliseconds. The first call must be [`SessionDriver::open`].
    pub fn new(codec: &dyn Codec, session: S, min_timer: u64) -> Self {
        let description = codec.description();
        Self {
            callee: Callee::new(session),
            abilities: codec.abilities(),
            min_timer,
            phase: SessionPhase::Working,
            established: !description.handshake,
            hello_is_open: false,
            tls_begins: false,
            client_requests: description.client_requests > 0,
            coalesces: description.coalesces,
            timer: None,
            fault: None,
            observer: None,
            events: Events::new(),
            frames: Frames::default(),
        }
    }

    /// Creates the driver of a session that `codec` has restored from a saved state. The session
    /// had come so far, and the timer of its codec is due at `timer`, in milliseconds of session
    /// time.
    pub fn resumed(
        codec: &dyn Codec,
        session: S,
        min_timer: u64,
        established: bool,
        timer: Option<u64>,
    ) -> Self {
        let mut driver = Self::new(codec, session, min_timer);
        driver.established |= established;
        driver.timer = timer.filter(|_| driver.abilities.clock);
        driver
    }

    // === calls that return events ===

    /// Lets the codec act first, if it has a clock.
    ///
    /// # Errors
    /// Returns an error if the codec fails.
    pub fn open(&mut self, now: Instant, take: impl FnMut(usize, Event<'_>)) -> Result<(), CallError> {
        if !self.abilities.clock {
            return Ok(());
        }
        self.observe(ObservedCall::Open, now);
        self.tick(now, take)
    }

    /// Decodes a batch of packets. Returns how many of them were decoded: all of them, unless one
    /// said hello. The packets behind that one must be passed again after the answer.
    ///
    /// # Errors
    /// Returns an error if a hello is open, the session has ended, or the codec fails.
    pub fn decode(
        &mut self,
        packets: &Arc<Packets>,
        now: Instant,
        mut take: impl FnMut(usize, Event<'_>),
    ) -> Result<usize, CallError> {
        self.allow(Call::Decode)?;
        self.observe(ObservedCall::Decode(packets), now);
        let called = self.callee.call().decode(packets, now, &mut self.events);
        let mut decoded = packets.len();
        self.take_events(called, packets.len(), now, |packet, event| {
            if matches!(event, Event::Hello(_)) {
                decoded = packet + 1;
            }
            take(packet, event);
        })?;
        Ok(decoded)
    }

    /// Passes the application's answer to the open hello to the codec.
    ///
    /// # Errors
    /// Returns an error if no hello is open, the session has ended, or the codec fails.
    pub fn answer(
        &mut self,
        status: u16,
        body: &[u8],
        now: Instant,
        take: impl FnMut(usize, Event<'_>),
    ) -> Result<(), CallError> {
        self.allow(Call::Answer)?;
        self.hello_is_open = false;
        self.observe(ObservedCall::Answer(status, body), now);
        let called = self.callee.call().answer(status, body, now, &mut self.events);
        self.take_events(called, 1, now, take)
    }

    /// Tells the codec that the runtime gave up on a request to the client.
    ///
    /// # Errors
    /// Returns an error if the codec does not export `requests`, the session has ended, or the
    /// codec fails.
    pub fn abandoned(
        &mut self,
        id: u64,
        now: Instant,
        take: impl FnMut(usize, Event<'_>),
    ) -> Result<(), CallError> {
        self.allow(Call::Abandoned)?;
        self.observe(ObservedCall::Abandoned(id), now);
        let called = self.callee.call().abandoned(id, now, &mut self.events);
        self.take_events(called, 1, now, take)
    }

    /// Tells the codec that its timer is due.
    ///
    /// # Errors
    /// Returns an error if no timer is due, the session has ended, or the codec fails.
    pub fn on_timer(&mut self, now: Instant, take: impl FnMut(usize, Event<'_>)) -> Result<(), CallError> {
        self.allow(Call::Timer { now_ms: now.session_ms })?;
        self.timer = None;
        self.observe(ObservedCall::Tick, now);
        self.tick(now, take)
    }

    fn tick(&mut self, now: Instant, take: impl FnMut(usize, Event<'_>)) -> Result<(), CallError> {
        let called = self.callee.call().tick(now, &mut self.events);
        self.take_events(called, 1, now, take)
    }

    /// Applies the events of a call with this number of packets, and hands them out one by one.
    /// Events before a fault count, and events after it do not. If the call itself failed, none of
    /// its events count.
    fn take_events(
        &mut self,
        called: Result<(), CodecError>,
        packets: usize,
        now: Instant,
        take: impl FnMut(usize, Event<'_>),
    ) -> Result<(), CallError> {
        self.observe_returned();
        let taken = self.apply_events(called, packets, now, take);
        self.observe_end(taken)
    }

    /// Does the same without a report of the end of the call.
    fn apply_events(
        &mut self,
        called: Result<(), CodecError>,
        packets: usize,
        now: Instant,
        mut take: impl FnMut(usize, Event<'_>),
    ) -> Result<(), CallError> {
        let mut events = self.events.read(packets);
        let mut fault = called.err();
        while fault.is_none()
            && let Some(event) = events.next_with_packet()
        {
            let applied = event.and_then(|(packet, event)| {
                self.apply(&event, now.session_ms)?;
                self.observe_event(packet, &event);
                let is_hello = matches!(event, Event::Hello(_));
                take(packet, event);
                Ok(is_hello)
            });
            fault = match applied {
                Ok(true) if events.has_next() => Some(Violation::AfterHello.into()),
                Ok(_) => None,
                Err(violation) => Some(violation.into()),
            };
        }
        fault.map_or(Ok(()), |fault| Err(self.failed(fault)))
    }

    /// Checks an event against the rules, and records what it changes.
    fn apply(&mut self, event: &Event<'_>, now_ms: u64) -> Result<(), Violation> {
        match event {
            Event::Hello(_) if !self.abilities.handshake => return Err(Violation::MissingAbility("hello")),
            Event::Hello(_) if self.hello_is_open => return Err(Violation::SecondHello),
            Event::Hello(_) => self.hello_is_open = true,
            Event::Established if self.established => return Err(Violation::StrayEstablished),
            Event::Established => self.established = true,
            Event::Message { .. } if !self.established => return Err(Violation::EarlyMessage),
            Event::Message { role: Role::Response, .. } if !self.client_requests => {
                return Err(Violation::StrayResponse);
            }
            Event::Timer(_) if !self.abilities.clock => return Err(Violation::MissingAbility("timer")),
            Event::Timer(ms) => {
                self.timer = Some(now_ms.saturating_add(u64::from(*ms).max(self.min_timer).max(1)));
            }
            Event::Close { .. } | Event::Fatal(_) => self.phase = SessionPhase::Ended,
            Event::Message { .. }
            | Event::Reply(_)
            | Event::AddressVerified
            | Event::Log { .. }
            | Event::Rejected(_) => {}
        }
        Ok(())
    }

    // === other calls ===

    /// Lets the codec say farewell. No call is allowed afterwards.
    ///
    /// # Errors
    /// Returns an error if the codec has no farewell, the session has ended, or the codec fails.
    pub fn farewell(
        &mut self,
        cause: Cause,
        reason: &str,
        now: Instant,
        take: impl FnMut(Event<'_>),
    ) -> Result<(), CallError> {
        self.allow(Call::Farewell)?;
        self.phase = SessionPhase::Over;
        self.observe(ObservedCall::Farewell(cause, reason), now);
        let called = self.callee.call().farewell(cause, reason, now, &mut self.events);
        self.observe_returned();
        let said = self.take_last_events(called, take);
        self.observe_end(said)
    }

    /// Hands out the events of a farewell.
    fn take_last_events(
        &mut self,
        called: Result<(), CodecError>,
        mut take: impl FnMut(Event<'_>),
    ) -> Result<(), CallError> {
        let mut events = self.events.read(1);
        called.map_err(|error| self.failed(error))?;
        while let Some(event) = events.next_event() {
            match event.and_then(allowed_in_farewell) {
                Ok(event) => {
                    self.observe_event(0, &event);
                    take(event);
                }
                Err(violation) => return Err(self.failed(violation.into())),
            }
        }
        Ok(())
    }

    /// Returns the class of sessions that get the same bytes for the same push, if there is one.
    ///
    /// # Errors
    /// Returns an error if the codec shares no encodings, the session is not established or has
    /// ended, or the codec fails.
    pub fn broadcast_class(&mut self) -> Result<Option<u32>, CallError> {
        self.allow(Call::BroadcastClass)?;
        if let Some(observer) = &mut self.observer {
            observer.begin(ObservedCall::Class, None);
        }
        let class = self.callee.call().broadcast_class().map_err(|error| self.failed(error));
        self.observe_returned();
        if let (Some(observer), Ok(class)) = (&mut self.observer, &class) {
            observer.end(CallEnd::Class(*class));
            return Ok(*class);
        }
        self.observe_end(class)
    }

    // === handoff ===

    /// Returns the whole state of the session, so that another sandbox can continue it. If the
    /// session sleeps, its codec is not called, because the state is saved already.
    ///
    /// # Errors
    /// Returns an error if the codec has no handoff, the session has ended, or the codec refuses or
    /// fails. After [`CodecError::Refused`] the session continues unchanged; any other fault ends
    /// it.
    pub fn save(&mut self) -> Result<Vec<u8>, CallError> {
        self.permit(Call::Save)?;
        if let Some(saved) = self.saved() {
            return Ok(saved);
        }
        match self.callee.call().save() {
            Err(error @ CodecError::Refused(_)) => Err(CallError::Failed(error)),
            saved => saved.map_err(|error| self.failed(error)),
        }
    }

    /// Continues with a session that `codec` has restored. A session that slept is awake then. The
    /// timer stays as it was set, or is removed if the new codec has no clock. If only the new
    /// codec has a clock, it is called at once: no timer is set yet, so it would otherwise never be
    /// called.
    ///
    /// # Errors
    /// Returns an error if that call fails.
    pub fn replace(
        &mut self,
        codec: &dyn Codec,
        session: S,
        now: Instant,
        take: impl FnMut(usize, Event<'_>),
    ) -> Result<(), CallError> {
        let had_clock = std::mem::replace(&mut self.abilities, codec.abilities()).clock;
        let description = codec.description();
        (self.client_requests, self.coalesces) = (description.client_requests > 0, description.coalesces);
        self.callee = Callee::new(session);
        match (had_clock, self.abilities.clock) {
            (_, false) => self.timer = None,
            (false, true) => {
                self.observe(ObservedCall::Tick, now);
                return self.tick(now, take);
            }
            (true, true) => {}
        }
        Ok(())
    }

    /// Returns whether the sandbox of the session is nearly full and the session can continue in
    /// another sandbox.
    pub fn wants_renewal(&mut self) -> bool {
        self.abilities.handoff
            && self.is_working()
            && !self.tls_begins
            && self.callee.session_mut().wants_renewal()
    }

    // === state ===

    /// Returns when the codec's timer is due, in milliseconds of session time.
    pub fn timer(&self) -> Option<u64> {
        self.timer.filter(|_| self.is_working() && !self.tls_begins)
    }

    /// Returns whether the handshake is over.
    pub fn is_established(&self) -> bool {
        self.established
    }

    /// Returns whether a hello waits for the application's answer. Nothing is decoded before.
    pub fn hello_is_open(&self) -> bool {
        self.hello_is_open
    }

    /// Returns whether the session continues, so that every call is allowed.
    pub fn is_working(&self) -> bool {
        self.phase == SessionPhase::Working
    }

    /// Returns whether [`SessionDriver::farewell`] would call the codec. The codec of a session
    /// that sleeps would be called after the session is woken.
    pub fn has_farewell(&self) -> bool {
        self.permit(Call::Farewell).is_ok()
    }

    /// Returns the codec's fault, if it failed.
    pub fn fault(&self) -> Option<&CodecError> {
        self.fault.as_ref()
    }

    /// Ends the session because of a fault of the codec that the caller found.
    pub fn fail(&mut self, error: CodecError) {
        self.phase = SessionPhase::Over;
        self.fault = Some(error);
    }

    fn failed(&mut self, error: CodecError) -> CallError {
        self.fail(error.clone());
        CallError::Failed(error)
    }

    /// Returns the codec's session, for values outside the contract, such as its CPU time.
    pub fn session_mut(&mut self) -> &mut S {
        self.callee.session_mut()
    }

    /// Returns the codec's session, or `None` if the session has ended.
    pub fn into_working(self) -> Option<S> {
        (self.phase == SessionPhase::Working).then(|| self.callee.into_session())
    }
}

/// Returns the event if it is allowed in the answer to a farewell.
fn allowed_in_farewell(event: Event<'_>) -> Result<Event<'_>, Violation> {
    let name = match &event {
        Event::Reply(_) | Event::Log { .. } | Event::Close { .. } => return Ok(event),
        Event::Hello(_) => "hello",
        Event::Established => "established",
        Event::Message { .. } => "message",
        Event::Timer(_) => "timer",
        Event::AddressVerified => "address-verified",
        Event::Rejected(_) => "rejected",
        Event::Fatal(_) => "fatal",
    };
    Err(Violation::Farewell(name))
}
