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

use std::sync::Arc;

pub use allowed::{CallError, NotAllowed};
pub use encoding::{Disposition, FailedResponses, PacketSink};

use self::allowed::Call;
use super::{Abilities, Codec, CodecError, CodecSession, Encoded, Event, Events, Violation};
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
/// Each method takes the time in milliseconds since the session opened, which never goes back.
/// Methods whose calls return events pass each event to `take`, with the index of its packet in the
/// batch.
pub struct SessionDriver<S> {
    session: S,
    abilities: Abilities,
    /// The shortest interval of the codec's timer, in milliseconds.
    min_timer: u64,
    phase: SessionPhase,
    established: bool,
    /// Hellos that the application has not answered yet.
    open_hellos: usize,
    /// When the codec's timer is due, in milliseconds of session time.
    timer: Option<u64>,
    /// The codec's fault, if it failed.
    fault: Option<CodecError>,
    // These buffers are reused for each call.
    events: Events,
    encoded: Encoded,
}

impl<S: CodecSession> SessionDriver<S> {
    /// Creates the driver of a session that `codec` has just opened. The timer of the session runs
    /// for at least `min_timer` milliseconds. The first call must be [`SessionDriver::open`].
    pub fn new(codec: &dyn Codec, session: S, min_timer: u64) -> Self {
        Self {
            session,
            abilities: codec.abilities(),
            min_timer,
            phase: SessionPhase::Working,
            established: !codec.description().handshake,
            open_hellos: 0,
            timer: None,
            fault: None,
            events: Events::new(),
            encoded: Encoded::default(),
        }
    }

    // === calls that return events ===

    /// Lets the codec act first, if it has a clock.
    ///
    /// # Errors
    /// Returns an error if the codec fails.
    pub fn open(&mut self, take: impl FnMut(usize, Event<'_>)) -> Result<(), CallError> {
        if self.abilities.clock { self.tick(0, take) } else { Ok(()) }
    }

    /// Decodes a batch of packets.
    ///
    /// # Errors
    /// Returns an error if the session has ended, or the codec fails.
    pub fn decode(
        &mut self,
        packets: &Arc<Packets>,
        now_ms: u64,
        take: impl FnMut(usize, Event<'_>),
    ) -> Result<(), CallError> {
        self.allow(Call::Decode)?;
        let called = self.session.decode(packets, now_ms, &mut self.events);
        self.take_events(called, packets.len(), now_ms, take)
    }

    /// Passes the application's answer to the oldest open hello to the codec.
    ///
    /// # Errors
    /// Returns an error if no hello is open, the session has ended, or the codec fails.
    pub fn answer(
        &mut self,
        status: u16,
        body: &[u8],
        now_ms: u64,
        take: impl FnMut(usize, Event<'_>),
    ) -> Result<(), CallError> {
        self.allow(Call::Answer)?;
        self.open_hellos -= 1;
        let called = self.session.answer(status, body, now_ms, &mut self.events);
        self.take_events(called, 1, now_ms, take)
    }

    /// Tells the codec that its timer is due.
    ///
    /// # Errors
    /// Returns an error if no timer is due, the session has ended, or the codec fails.
    pub fn on_timer(&mut self, now_ms: u64, take: impl FnMut(usize, Event<'_>)) -> Result<(), CallError> {
        self.allow(Call::Timer { now_ms })?;
        self.timer = None;
        self.tick(now_ms, take)
    }

    fn tick(&mut self, now_ms: u64, take: impl FnMut(usize, Event<'_>)) -> Result<(), CallError> {
        let called = self.session.tick(now_ms, &mut self.events);
        self.take_events(called, 1, now_ms, take)
    }

    /// Applies the events of a call with this number of packets, and hands them out one by one.
    /// Events before a fault count, and events after it do not. If the call itself failed, none of
    /// its events count.
    fn take_events(
        &mut self,
        called: Result<(), CodecError>,
        packets: usize,
        now_ms: u64,
        mut take: impl FnMut(usize, Event<'_>),
    ) -> Result<(), CallError> {
        let mut events = self.events.read(packets);
        let mut fault = called.err();
        while fault.is_none()
            && let Some(event) = events.next_with_packet()
        {
            let applied = event.and_then(|(packet, event)| {
                self.apply(&event, now_ms)?;
                take(packet, event);
                Ok(())
            });
            fault = applied.err().map(CodecError::from);
        }
        fault.map_or(Ok(()), |fault| Err(self.failed(fault)))
    }

    /// Checks an event against the rules, and records what it changes.
    fn apply(&mut self, event: &Event<'_>, now_ms: u64) -> Result<(), Violation> {
        match event {
            Event::Hello(_) if !self.abilities.handshake => return Err(Violation::MissingAbility("hello")),
            Event::Hello(_) => self.open_hellos += 1,
            Event::Established if self.established => return Err(Violation::StrayEstablished),
            Event::Established => self.established = true,
            Event::Message { .. } if !self.established => return Err(Violation::EarlyMessage),
            Event::Wake(_) if !self.abilities.clock => return Err(Violation::MissingAbility("wake")),
            Event::Wake(ms) => {
                self.timer = Some(now_ms.saturating_add(u64::from(*ms).max(self.min_timer).max(1)));
            }
            Event::Close(_) | Event::Fatal(_) => self.phase = SessionPhase::Ended,
            Event::Message { .. } | Event::Reply(_) | Event::Rejected(_) => {}
        }
        Ok(())
    }

    // === other calls ===

    /// Returns the codec's last packet, if the codec has one. No call is allowed afterwards.
    ///
    /// # Errors
    /// Returns an error if the codec has no farewell, the session has ended, or the codec fails.
    pub fn farewell(&mut self, reason: &str, now_ms: u64) -> Result<Option<Vec<u8>>, CallError> {
        self.allow(Call::Farewell)?;
        self.phase = SessionPhase::Over;
        self.session.farewell(reason, now_ms).map_err(|error| self.failed(error))
    }

    /// Returns the class of sessions that get the same bytes for the same push, if there is one.
    ///
    /// # Errors
    /// Returns an error if the codec shares no encodings, the session is not established or has
    /// ended, or the codec fails.
    pub fn share_class(&mut self) -> Result<Option<u32>, CallError> {
        self.allow(Call::ShareClass)?;
        self.session.share_class().map_err(|error| self.failed(error))
    }

    // === handoff ===

    /// Returns the whole state of the session, so that another sandbox can continue it.
    ///
    /// # Errors
    /// Returns an error if the codec has no handoff, the session has ended, or the codec refuses or
    /// fails. After [`CodecError::Refused`] the session continues unchanged; any other fault ends
    /// it.
    pub fn save(&mut self) -> Result<Vec<u8>, CallError> {
        self.allow(Call::Save)?;
        match self.session.save() {
            Err(error @ CodecError::Refused(_)) => Err(CallError::Failed(error)),
            saved => saved.map_err(|error| self.failed(error)),
        }
    }

    /// Continues with a session that `codec` has restored. The timer stays as it was set, or is
    /// removed if the new codec has no clock. If only the new codec has a clock, it is called at
    /// once: no timer is set yet, so it would otherwise never be called.
    ///
    /// # Errors
    /// Returns an error if that call fails.
    pub fn replace(
        &mut self,
        codec: &dyn Codec,
        session: S,
        now_ms: u64,
        take: impl FnMut(usize, Event<'_>),
    ) -> Result<(), CallError> {
        let had_clock = std::mem::replace(&mut self.abilities, codec.abilities()).clock;
        self.session = session;
        match (had_clock, self.abilities.clock) {
            (_, false) => self.timer = None,
            (false, true) => return self.tick(now_ms, take),
            (true, true) => {}
        }
        Ok(())
    }

    /// Returns whether the sandbox of the session is nearly full and the session can continue in
    /// another sandbox.
    pub fn wants_renewal(&mut self) -> bool {
        self.abilities.handoff && self.is_working() && self.session.wants_renewal()
    }

    // === state ===

    /// Returns when the codec's timer is due, in milliseconds of session time.
    pub fn timer(&self) -> Option<u64> {
        self.timer.filter(|_| self.is_working())
    }

    /// Returns whether the handshake is over.
    pub fn is_established(&self) -> bool {
        self.established
    }

    /// Returns whether the session continues, so that every call is allowed.
    pub fn is_working(&self) -> bool {
        self.phase == SessionPhase::Working
    }

    /// Returns whether [`SessionDriver::farewell`] would call the codec.
    pub fn has_farewell(&self) -> bool {
        self.allow(Call::Farewell).is_ok()
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
        &mut self.session
    }

    /// Returns the codec's session, or `None` if the session has ended.
    pub fn into_working(self) -> Option<S> {
        (self.phase == SessionPhase::Working).then_some(self.session)
    }
}
