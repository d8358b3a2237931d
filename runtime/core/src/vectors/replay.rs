//! Runs the steps of vectors on a codec, by the same rules as the server.
//!
//! A step that the [driver](crate::codec::driver) does not allow is a fault, because the runtime
//! would never make this call.

use std::sync::Arc;

use super::answer::Answer;
use super::step::{Call, Step};
use crate::codec::driver::{CallError, NotAllowed, PacketSink, SessionDriver};
use crate::codec::{Codec, CodecError, CodecSession, Event, MessageRef, Messages, Peer};
use crate::framing::Packets;

/// The result of a step.
pub(super) struct StepOutcome {
    pub(super) answers: Vec<String>,
    pub(super) fault: Option<String>,
}

/// Runs the steps of all sessions in order.
pub(super) struct Replayer<'a> {
    codec: &'a dyn Codec,
    /// `None` before the first session, and if the codec refused the client.
    driver: Option<Driver>,
    peer: Option<&'a Peer>,
    /// Whether a step has failed, so that the rest of its session is skipped.
    has_failed: bool,
    answers: Answers,
}

type Driver = SessionDriver<Box<dyn CodecSession>>;

/// The reason why a step failed, as text for people.
type Fault = String;

impl<'a> Replayer<'a> {
    pub(super) fn new(codec: &'a dyn Codec) -> Self {
        Self { codec, driver: None, peer: None, has_failed: false, answers: Answers::default() }
    }

    /// Runs a step. Returns `None` if the step is skipped.
    pub(super) fn ask(&mut self, step: &'a Step) -> Option<StepOutcome> {
        self.has_failed &= !matches!(step.call, Call::Session(_));
        if self.has_failed {
            return None;
        }
        let fault = self.call(&step.call, step.now_ms).err();
        let Answers { lines: answers, is_bug } = std::mem::take(&mut self.answers);
        let bug = is_bug.then(|| "the codec says that it is wrong itself".to_owned());
        let fault = fault.or(bug);
        self.has_failed = fault.is_some();
        Some(StepOutcome { answers, fault })
    }

    /// Returns the session in its current state, or `None` if it has ended.
    pub(super) fn into_working(self) -> Option<Box<dyn CodecSession>> {
        self.driver.filter(|_| !self.has_failed)?.into_working()
    }

    fn call(&mut self, call: &'a Call, now_ms: u64) -> Result<(), Fault> {
        let answers = &mut self.answers;
        let driver = self.driver.as_mut().ok_or("there is no session: the codec refused it");
        match call {
            Call::Session(peer) => return self.open(peer),
            Call::In(packet) => {
                let packets = Arc::new(Packets::from_iter([&packet[..]]));
                driver?.decode(&packets, now_ms, |_, event| answers.event(event))
            }
            Call::Answer { status, body } => {
                driver?.answer(*status, body, now_ms, |_, event| answers.event(event))
            }
            Call::Tick => driver?.on_timer(now_ms, |_, event| answers.event(event)),
            Call::Out { id, route, status, body } => {
                let message = MessageRef { id: *id, route, status: *status, body };
                encode(driver?, message, now_ms, answers)
            }
            Call::Farewell(reason) => {
                driver?.farewell(reason, now_ms).map(|packet| answers.packet(packet.as_deref()))
            }
            Call::Handoff => return self.hand_over(now_ms),
            Call::Class => driver?.share_class().map(|class| answers.put(Answer::Class(class))),
            Call::Share { class, route, body } => return self.share(*class, route, body),
        }
        .map_err(fault)
    }

    fn open(&mut self, peer: &'a Peer) -> Result<(), Fault> {
        self.peer = Some(peer);
        // The old driver is dropped before the next session opens, so that there is never more than
        // one session.
        self.driver = None;
        let opened = self.codec.open(peer.clone());
        let Some(session) = self.answers.unless_refused(opened)? else { return Ok(()) };
        // No shortest interval applies to the timer, because each server may choose its own.
        let driver = self.driver.insert(SessionDriver::new(self.codec, session, 0));
        driver.open(|_, event| self.answers.event(event)).map_err(fault)
    }

    fn hand_over(&mut self, now_ms: u64) -> Result<(), Fault> {
        let (Some(driver), Some(peer)) = (&mut self.driver, self.peer) else {
            return Err("there is no session: the codec refused it".into());
        };
        let saved = match driver.save() {
            Err(CallError::NotAllowed(why)) => return Err(why.to_string()),
            Err(CallError::Failed(error)) => Err(error),
            Ok(state) => Ok(state),
        };
        let restored = saved.and_then(|state| self.codec.restore(peer.clone(), &state, now_ms));
        let Some(session) = self.answers.unless_refused(restored)? else { return Ok(()) };
        let answers = &mut self.answers;
        driver.replace(self.codec, session, now_ms, |_, event| answers.event(event)).map_err(fault)
    }

    /// Encodes a push for a class, which needs no session.
    fn share(&mut self, class: u32, route: &str, body: &[u8]) -> Result<(), Fault> {
        if !self.codec.abilities().broadcast {
            return Err(NotAllowed::Interface("broadcast").to_string());
        }
        let message = MessageRef { id: None, route, body, status: 200 };
        let shared = self.codec.encode_shared(class, message);
        if let Some(packet) = self.answers.unless_refused(shared)? {
            self.answers.packet(packet.as_deref());
        }
        Ok(())
    }
}

/// Encodes one message. A response that is refused is not encoded again as failed; vectors that
/// need that contain a step for it.
fn encode(
    driver: &mut Driver,
    message: MessageRef<'_>,
    now_ms: u64,
    answers: &mut Answers,
) -> Result<(), CallError> {
    let mut messages = Messages::new();
    messages.push(message);
    match driver.encode(&Arc::new(messages), now_ms, answers) {
        Err(CallError::Failed(CodecError::Refused(reason))) => {
            answers.event(Event::Fatal(reason.as_str().as_bytes()));
        }
        encoded => drop(encoded?),
    }
    if answers.lines.is_empty() {
        answers.put(Answer::None);
    }
    Ok(())
}

/// The lines of the answer to a step.
#[derive(Default)]
struct Answers {
    lines: Vec<String>,
    /// Whether an answer reports a bug of the codec.
    is_bug: bool,
}

impl Answers {
    fn event(&mut self, event: Event<'_>) {
        self.put(Answer::Event(event));
    }

    /// Records a refusal, which is an answer and not a fault.
    fn unless_refused<T>(&mut self, result: Result<T, CodecError>) -> Result<Option<T>, Fault> {
        match result {
            Err(CodecError::Refused(reason)) => {
                self.put(Answer::Refused(reason.as_str().as_bytes()));
                Ok(None)
            }
            other => other.map(Some).map_err(|error| error.to_string()),
        }
    }

    fn packet(&mut self, packet: Option<&[u8]>) {
        self.put(packet.map_or(Answer::None, Answer::Packet));
    }

    fn put(&mut self, answer: Answer<'_>) {
        self.is_bug |= answer.is_bug();
        self.lines.push(answer.to_string());
    }
}

impl PacketSink for Answers {
    fn packet(&mut self, _message: Option<usize>, packet: &[u8]) -> bool {
        self.put(Answer::Packet(packet));
        true
    }

    fn refused(&mut self, _message: usize, reason: &[u8]) {
        self.event(Event::Rejected(reason));
    }
}

fn fault(error: CallError) -> Fault {
    error.to_string()
}
