//! Runs a case on a codec, by the same rules as the server.
//!
//! The [driver](wireplug_core::codec::driver) decides which calls are allowed, and the harness
//! leaves out the others. The harness replaces the parts of a server around the driver: it makes
//! batches, frames packets with the codec's framing, keeps the rest of a stream that the codec cuts
//! itself, waits for the timer, and answers each request once like an application.

mod encoding;
mod stream;

use std::sync::Arc;

use self::stream::Stream;
use super::case::{Ask, Case, Step};
use super::observed::{Fault, FaultKind, Observed, What};
use super::stateless::SharedCall;
use super::wire::Wire;
use wireplug_core::codec::driver::{CallError, SessionDriver};
use wireplug_core::codec::{Codec, CodecError, CodecSession, Event, Instant, Peer, Role, batch_bytes};
use wireplug_core::framing::{JoinError, Packets};

/// The way in which a case is run.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    pub(super) codec: &'a dyn Codec,
    /// The largest packet, in bytes.
    pub(super) max_packet: usize,
    pub(super) handoffs: Handoffs,
    /// Whether messages are encoded one by one, and each push is also encoded for the session's
    /// class.
    pub(super) share: bool,
    /// Whether the bytes of a stream that the codec cuts itself come in small pieces.
    pub(super) divides: bool,
}

/// How a step with a handoff is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handoffs {
    LeftOut,
    /// The session is saved and then continues unchanged.
    Saved,
    /// The session is saved, and the restored session continues.
    Carried,
}

/// The steps that were run, and their answers.
#[derive(Clone, Debug)]
pub(super) struct CaseOutcome {
    pub(super) peer: Peer,
    /// The answers to the opening.
    pub(super) opening: Vec<Observed>,
    pub(super) steps: Vec<ObservedStep>,
    /// The fault of the last step, if it failed.
    pub(super) fault: Option<Fault>,
    /// The class with which the session shares encodings, if the class was asked for.
    pub(super) class: Option<u32>,
    /// The pushes that were encoded both for the session and for its class.
    pub(super) shared: Vec<SharedCall>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ObservedStep {
    pub(super) at: u64,
    pub(super) ask: Ask,
    pub(super) observed: Vec<Observed>,
}

type Driver = SessionDriver<Box<dyn CodecSession>>;

/// A session in which a case is run.
pub(super) struct Harness<'a> {
    run: Run<'a>,
    wire: Wire,
    /// The stream, if the codec cuts packets itself.
    stream: Option<Stream>,
    driver: Driver,
    peer: Peer,
    now_ms: u64,
    /// Requests of the client that have no response yet: id and route.
    requests: Vec<(u64, String)>,
    /// The id of the last request to the client, or 0 before the first.
    last_request: u64,
    /// The ids of requests to the client that have no response yet.
    sent: Vec<u64>,
    /// The class with which the session shares encodings, once the class was asked for.
    class: Option<Option<u32>>,
    shared: Vec<SharedCall>,
    opening: Vec<Observed>,
    /// The answers to the current step.
    observed: Vec<Observed>,
    steps: Vec<ObservedStep>,
    fault: Option<Fault>,
}

/// Why a step did not succeed.
enum Stop {
    /// The rules do not allow the step, so it is left out.
    NotAllowed,
    Fault(Fault),
}

impl From<CallError> for Stop {
    fn from(error: CallError) -> Self {
        match error {
            CallError::NotAllowed(_) => Stop::NotAllowed,
            CallError::Failed(error) => Stop::Fault(error.into()),
        }
    }
}

impl From<CodecError> for Stop {
    fn from(error: CodecError) -> Self {
        Stop::Fault(error.into())
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Stop::Fault(fault)
    }
}

impl<'a> Run<'a> {
    pub(super) fn case(self, case: &Case) -> CaseOutcome {
        match self.open(case) {
            Ok(mut harness) => {
                harness.run(&case.steps);
                harness.outcome()
            }
            Err(outcome) => *outcome,
        }
    }

    /// Opens a session for a case's client, before its steps.
    ///
    /// # Errors
    /// Returns the outcome of the case as the error if no session opens.
    pub(super) fn open(self, case: &Case) -> Result<Harness<'a>, Box<CaseOutcome>> {
        let max_packet = u32::try_from(self.max_packet).unwrap_or(u32::MAX);
        let peer = Peer { max_packet, ..case.peer.clone() };
        let unopened = |opening, fault| {
            let (peer, steps) = (peer.clone(), Vec::new());
            Box::new(CaseOutcome { peer, opening, steps, fault, class: None, shared: Vec::new() })
        };
        let session = match self.codec.open(peer.clone(), Instant::for_test(0)) {
            Ok(session) => session,
            Err(CodecError::Refused(reason)) => {
                let opening = vec![Observed { of: None, what: What::Refused(reason.to_string()) }];
                let bug = reported_bug(&opening);
                return Err(unopened(opening, bug));
            }
            Err(error) => return Err(unopened(Vec::new(), Some(error.into()))),
        };
        let wire = Wire::new(self.codec, &peer, self.max_packet);
        let mut harness = Harness {
            run: self,
            stream: Stream::new(&self, &wire, &peer),
            wire,
            // No shortest interval applies to the timer, because each server may choose its own.
            driver: SessionDriver::new(self.codec, session, 0),
            peer,
            now_ms: 0,
            requests: Vec::new(),
            last_request: 0,
            sent: Vec::new(),
            class: None,
            shared: Vec::new(),
            opening: Vec::new(),
            observed: Vec::new(),
            steps: Vec::new(),
            fault: None,
        };
        harness.fault = match harness.opened() {
            Err(Stop::Fault(fault)) => Some(fault),
            Ok(()) | Err(Stop::NotAllowed) => reported_bug(&harness.observed),
        };
        harness.opening = std::mem::take(&mut harness.observed);
        Ok(harness)
    }
}

impl Harness<'_> {
    /// Runs these steps. Stops at a step that fails.
    pub(super) fn run(&mut self, steps: &[Step]) {
        for step in steps {
            if self.fault.is_some() {
                return;
            }
            self.now_ms = self.now_ms.max(step.at);
            self.fault = self.step(&step.ask).err();
        }
    }

    pub(super) fn outcome(self) -> CaseOutcome {
        let Self { peer, opening, steps, fault, class, shared, .. } = self;
        CaseOutcome { peer, opening, steps, fault, class: class.flatten(), shared }
    }

    /// Returns the steps that were run since the last call.
    pub(super) fn take_steps(&mut self) -> Vec<ObservedStep> {
        std::mem::take(&mut self.steps)
    }

    /// Returns the fault of the last step, if it failed.
    pub(super) fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    pub(super) fn has_ended(&self) -> bool {
        !self.driver.is_working() || self.is_broken()
    }

    /// Returns whether the runtime has ended the connection, because the client has sent bytes that
    /// are no packet.
    fn is_broken(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.is_broken)
    }

    /// Returns the number of requests of the client that have no response yet.
    pub(super) fn open_requests(&self) -> usize {
        self.requests.len()
    }

    /// Returns whether a hello waits for its answer.
    pub(super) fn hello_is_open(&self) -> bool {
        self.driver.hello_is_open()
    }

    fn now(&self) -> Instant {
        Instant::for_test(self.now_ms)
    }

    fn opened(&mut self) -> Result<(), Stop> {
        self.events(|driver, now, take| driver.open(now, take))?;
        Ok(self.ask_class()?)
    }

    fn step(&mut self, ask: &Ask) -> Result<(), Fault> {
        match ask {
            _ if self.is_broken() => Ok(()),
            Ask::Packets(packets) if self.stream.is_some() => self.receive(&packets.concat()),
            Ask::Packets(packets) => self.packets(packets),
            Ask::Stream(bytes) if self.stream.is_some() => self.receive(bytes),
            Ask::Stream(bytes) => self.packets(std::slice::from_ref(bytes)),
            Ask::Secured(attributes) => self.observe(ask.clone(), |harness| {
                harness.events(|driver, now, take| driver.secured(attributes, now, take))
            }),
            Ask::Answer { status, body } => self.observe(ask.clone(), |harness| {
                harness.events(|driver, now, take| driver.answer(*status, body, now, take))?;
                harness.pass_stream()
            }),
            Ask::Abandon(id) => {
                let Some(id) = self.take_sent(*id) else { return Ok(()) };
                self.observe(Ask::Abandon(id), |harness| {
                    harness.events(|driver, now, take| driver.abandoned(id, now, take))
                })
            }
            Ask::Tick => {
                if let Some(at) = self.driver.timer() {
                    self.now_ms = self.now_ms.max(at);
                }
                self.observe(Ask::Tick, |harness| {
                    harness.events(|driver, now, take| driver.on_timer(now, take))
                })
            }
            Ask::Messages(messages) => {
                let due = self.due(messages);
                if self.run.share {
                    return due.into_iter().try_for_each(|message| self.messages(vec![message]));
                }
                self.messages(due)
            }
            Ask::Farewell { cause, reason } => self.observe(ask.clone(), |harness| {
                harness
                    .events(|driver, now, take| driver.farewell(*cause, reason, now, |event| take(0, event)))
            }),
            Ask::Handoff if self.run.handoffs == Handoffs::LeftOut => Ok(()),
            Ask::Handoff => self.observe(Ask::Handoff, Self::hand_over),
        }
    }

    /// Runs a step, and records the observed answers. A step that the rules do not allow is left
    /// out.
    fn observe(&mut self, ask: Ask, call: impl FnOnce(&mut Self) -> Result<(), Stop>) -> Result<(), Fault> {
        let at = self.now_ms;
        let called = match call(self) {
            Err(Stop::NotAllowed) => return Ok(()),
            Err(Stop::Fault(fault)) => Err(fault),
            Ok(()) => Ok(()),
        };
        let observed = std::mem::take(&mut self.observed);
        let bug = reported_bug(&observed);
        self.steps.push(ObservedStep { at, ask, observed });
        called?;
        bug.map_or(Ok(()), Err)?;
        self.ask_class()
    }

    fn note(&mut self, of: Option<usize>, what: What) {
        self.observed.push(Observed { of, what });
    }

    /// Decodes packets as one batch. The packets behind a hello are not decoded, and are left out.
    fn packets(&mut self, packets: &[Vec<u8>]) -> Result<(), Fault> {
        let max_batch = batch_bytes(self.run.max_packet);
        let mut batch = Packets::new();
        let mut asked = Vec::new();
        for packet in packets {
            if batch.has_room_for(packet.len(), max_batch) && self.wire.can_send(packet) {
                batch.push(packet);
                asked.push(packet.clone());
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        let batch = Arc::new(batch);
        let mut decoded = batch.len();
        let observed = self.observe(Ask::Packets(asked), |harness| {
            harness.events(|driver, now, take| {
                decoded = driver.decode(&batch, now, take)?;
                Ok(())
            })
        });
        if decoded < batch.len()
            && let Some(ObservedStep { ask: Ask::Packets(asked), .. }) = self.steps.last_mut()
        {
            asked.truncate(decoded);
        }
        observed
    }

    /// Makes a call that returns events. Stops at the first reply that the framing cannot carry.
    fn events(
        &mut self,
        call: impl FnOnce(&mut Driver, Instant, &mut dyn FnMut(usize, Event<'_>)) -> Result<(), CallError>,
    ) -> Result<(), Stop> {
        let now = self.now();
        let Self { driver, wire, requests, sent, observed, .. } = self;
        let mut unframed = None;
        let called = call(driver, now, &mut |of, event| {
            if let (None, Event::Reply(packet)) = (&unframed, &event) {
                unframed = wire.check(packet).err().map(|error| cannot_carry(&error, packet));
            }
            if unframed.is_some() {
                return;
            }
            match &event {
                Event::Message { role: Role::Request, id, route, .. } => {
                    requests.push((*id, (*route).to_owned()));
                }
                Event::Message { role: Role::Response, id, .. } => sent.retain(|sent| sent != id),
                _ => {}
            }
            observed.push(Observed { of: Some(of), what: event.into() });
        });
        match unframed {
            Some(fault) => Err(fault.into()),
            None => Ok(called?),
        }
    }

    /// Asks for the session's class when that is due: once the session is established, and again
    /// after a handoff.
    fn ask_class(&mut self) -> Result<(), Fault> {
        if !self.run.share || self.class.is_some() {
            return Ok(());
        }
        match self.driver.broadcast_class() {
            Ok(class) => self.class = Some(class),
            Err(CallError::NotAllowed(_)) => {}
            Err(CallError::Failed(error)) => return Err(error.into()),
        }
        Ok(())
    }

    fn hand_over(&mut self) -> Result<(), Stop> {
        let saved = match self.driver.save() {
            Err(CallError::Failed(CodecError::Refused(reason))) => {
                self.note(None, What::Refused(reason.to_string()));
                return Ok(());
            }
            saved => saved?,
        };
        if self.run.handoffs != Handoffs::Carried {
            return Ok(());
        }
        let codec = self.run.codec;
        match codec.restore(self.peer.clone(), &saved, self.now()) {
            Ok(session) => {
                self.class = None;
                self.stream.iter_mut().for_each(Stream::look_again);
                self.events(|driver, now, take| driver.replace(codec, session, now, take))
            }
            Err(CodecError::Refused(reason)) => {
                self.note(None, What::Refused(reason.to_string()));
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Returns the fault of a codec that reports a bug of its own, if it does.
fn reported_bug(observed: &[Observed]) -> Option<Fault> {
    let bug = observed.iter().find(|observed| observed.what.is_bug())?;
    let text = format!("it says that it is wrong itself: {}", bug.what.line());
    Some(Fault { kind: FaultKind::Bug, text })
}

/// Returns the fault of a codec that makes a packet that its framing cannot carry.
fn cannot_carry(error: &JoinError, packet: &[u8]) -> Fault {
    let line = What::Packet(packet.to_vec()).line();
    Fault {
        kind: FaultKind::Framing,
        text: format!("its framing cannot carry what it made: {error}: {line}"),
    }
}
