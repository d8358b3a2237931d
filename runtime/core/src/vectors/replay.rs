//! Runs the steps of vectors on a codec, by the same rules as the server.
//!
//! A step that the [driver](crate::codec::driver) does not allow is a fault, because the runtime
//! would never make this call.

use std::ops::Range;
use std::sync::Arc;

use super::answer::Answer;
use super::step::{Call, Resumed, Step};
use crate::codec::driver::{CallError, NotAllowed, PacketSink, SessionDriver, StreamRules};
use crate::codec::{Codec, CodecError, CodecSession, Event, Instant, MessageRef, Messages, Next, Peer};
use crate::framing::{Layout, Packets};

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
    /// How the bytes of a stream are divided into reads.
    division: Division,
    /// The bytes of the stream that the codec has not cut yet.
    rest: Vec<u8>,
    /// The bytes of the stream that come after the rest.
    unread: Vec<u8>,
    /// From how many bytes of the rest on the codec is called.
    need: usize,
    /// Whether TLS has begun on the stream.
    has_tls: bool,
}

/// How the bytes of each `stream` step are divided into reads. The answers must not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Division {
    /// All bytes of a step come at once.
    Whole,
    /// Each byte comes alone.
    Bytes,
    /// The bytes come in pieces whose lengths depend on this seed.
    Pieces(u64),
}

impl Division {
    /// Returns the length of the next piece of `bytes`.
    fn piece(&mut self, bytes: usize) -> usize {
        match self {
            Division::Whole => bytes,
            Division::Bytes => 1,
            Division::Pieces(state) => {
                // The constants of the linear congruential generator MMIX.
                *state =
                    state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                1 + (*state >> 33) as usize % bytes.clamp(1, 16)
            }
        }
    }
}

type Driver = SessionDriver<Box<dyn CodecSession>>;

/// The reason why a step failed, as text for people.
type Fault = String;

impl<'a> Replayer<'a> {
    pub(super) fn new(codec: &'a dyn Codec, division: Division) -> Self {
        Self {
            codec,
            driver: None,
            peer: None,
            has_failed: false,
            answers: Answers::default(),
            division,
            rest: Vec::new(),
            unread: Vec::new(),
            need: 1,
            has_tls: false,
        }
    }

    /// Runs a step. Returns `None` if the step is skipped.
    pub(super) fn ask(&mut self, step: &'a Step) -> Option<StepOutcome> {
        self.has_failed &= !matches!(step.call, Call::Session(_) | Call::Resume(_));
        if self.has_failed {
            return None;
        }
        let fault = self.call(&step.call, step.now()).err();
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

    fn call(&mut self, call: &'a Call, now: Instant) -> Result<(), Fault> {
        let layout = self.peer.and_then(|peer| self.codec.layout(peer.carrier));
        let is_stream = matches!(layout, Some(Layout::Framer { .. }));
        match call {
            Call::In(_) if is_stream => {
                return Err("this codec cuts its stream itself: write `stream` in place of `in`".into());
            }
            Call::Stream(_) if !is_stream => {
                return Err(
                    "the runtime cuts packets in this session: write `in` in place of `stream`".into()
                );
            }
            Call::Stream(bytes) => {
                self.unread.extend_from_slice(bytes);
                return self.pass_stream(now);
            }
            _ => {}
        }
        let answers = &mut self.answers;
        let driver = self.driver.as_mut().ok_or("there is no session: the codec refused it");
        match call {
            Call::Session(peer) => return self.open(peer, now),
            Call::Resume(resumed) => return self.resume(resumed, now),
            Call::In(packet) => {
                let packets = Arc::new(Packets::from_iter([&packet[..]]));
                driver?.decode(&packets, now, |_, event| answers.event(event)).map(drop)
            }
            Call::Stream(_) => unreachable!("a stream is handled above"),
            Call::Secured(attributes) => driver?.secured(attributes, now, |_, event| answers.event(event)),
            Call::Abandon(id) => driver?.abandoned(*id, now, |_, event| answers.event(event)),
            Call::Answer { status, body } => {
                let answered = driver?.answer(*status, body, now, |_, event| answers.event(event));
                answered.map_err(fault)?;
                // Bytes behind the hello are decoded now.
                return if is_stream { self.pass_stream(now) } else { Ok(()) };
            }
            Call::Tick => driver?.on_timer(now, |_, event| answers.event(event)),
            Call::Out { role, id, route, status, body } => {
                let message = MessageRef { role: *role, id: *id, route, status: *status, body };
                encode(driver?, message, now, answers)
            }
            Call::Farewell { cause, reason } => {
                driver?.farewell(*cause, reason, now, |event| answers.event(event))
            }
            Call::Handoff { random_seed } => return self.hand_over(*random_seed, now),
            Call::Class => driver?.broadcast_class().map(|class| answers.put(Answer::Class(class))),
            Call::Share { class, route, body } => return self.share(*class, route, body),
        }
        .map_err(fault)
    }

    fn open(&mut self, peer: &'a Peer, now: Instant) -> Result<(), Fault> {
        self.forget_session(peer);
        let opened = self.codec.open(peer.clone(), now);
        let Some(session) = self.answers.unless_refused(opened)? else { return Ok(()) };
        // No shortest interval applies to the timer, because each server may choose its own.
        let driver = self.driver.insert(SessionDriver::new(self.codec, session, 0));
        driver.open(now, |_, event| self.answers.event(event)).map_err(fault)
    }

    /// Continues a session from a saved state.
    fn resume(&mut self, resumed: &'a Resumed, now: Instant) -> Result<(), Fault> {
        let Resumed { peer, state, established, timer } = resumed;
        self.forget_session(peer);
        let restored = self.codec.restore(peer.clone(), state, now);
        let Some(session) = self.answers.unless_refused(restored)? else { return Ok(()) };
        self.driver = Some(SessionDriver::resumed(self.codec, session, 0, *established, *timer));
        Ok(())
    }

    fn forget_session(&mut self, peer: &'a Peer) {
        self.peer = Some(peer);
        // The old driver is dropped before the next session opens, so that there is never more than
        // one session.
        self.driver = None;
        self.forget_stream();
        self.has_tls = false;
    }

    /// Passes the bytes that have come to the codec, piece by piece, until a hello waits for its
    /// answer. A message of whole packets comes at once.
    fn pass_stream(&mut self, now: Instant) -> Result<(), Fault> {
        let Some((driver, peer)) = self.driver.as_mut().zip(self.peer) else {
            return Err("there is no session: the codec refused it".into());
        };
        let whole_message =
            matches!(self.codec.layout(peer.carrier), Some(Layout::Framer { whole_messages: true }));
        let description = self.codec.description();
        let rules = StreamRules {
            payload: description.payload,
            max_packet: description.max_packet(peer.max_packet as usize),
            may_start_tls: !self.has_tls && peer.attributes.iter().any(|(name, _)| name == "starttls"),
        };
        while driver.is_working() && !driver.hello_is_open() {
            if self.rest.is_empty() || self.rest.len() < self.need {
                if self.unread.is_empty() {
                    break;
                }
                let piece = if whole_message { usize::MAX } else { self.division.piece(self.unread.len()) };
                self.rest.extend(self.unread.drain(..piece.min(self.unread.len())));
                continue;
            }
            let passed = Arc::new(std::mem::take(&mut self.rest));
            let mut events = Vec::new();
            let cut = driver.decode_stream(&passed, rules, now, |packet, event| {
                let mut answers = Answers::default();
                answers.event(event);
                events.push((packet, answers));
            });
            let cut = cut.map_err(fault)?;
            self.answers.cut(&passed[..cut.consumed], driver.ends(), events);
            self.rest = passed[cut.consumed..].to_vec();
            self.need = match cut.next {
                Err(error) => return Err(format!("the client breaks the framing: {error}")),
                Ok(Next::Need(bytes)) => bytes as usize,
                Ok(Next::Full) => 1,
                Ok(Next::StartTls) => {
                    self.answers.put(Answer::StartTls);
                    self.has_tls = true;
                    // The rest is TLS.
                    self.forget_stream();
                    return Ok(());
                }
            };
        }
        if whole_message && !self.rest.is_empty() && driver.is_working() && !driver.hello_is_open() {
            return Err("a message ends inside a packet".into());
        }
        Ok(())
    }

    fn forget_stream(&mut self) {
        (self.rest, self.unread, self.need) = (Vec::new(), Vec::new(), 1);
    }

    fn hand_over(&mut self, random_seed: Option<[u8; 32]>, now: Instant) -> Result<(), Fault> {
        let (Some(driver), Some(peer)) = (&mut self.driver, self.peer) else {
            return Err("there is no session: the codec refused it".into());
        };
        let saved = match driver.save() {
            Err(CallError::NotAllowed(why)) => return Err(why.to_string()),
            Err(CallError::Failed(error)) => Err(error),
            Ok(state) => Ok(state),
        };
        let random_seed = random_seed.unwrap_or(peer.random_seed);
        let peer = Peer { random_seed, ..peer.clone() };
        let restored = saved.and_then(|state| self.codec.restore(peer, &state, now));
        let Some(session) = self.answers.unless_refused(restored)? else { return Ok(()) };
        let answers = &mut self.answers;
        driver.replace(self.codec, session, now, |_, event| answers.event(event)).map_err(fault)
    }

    /// Encodes a push for a class, which needs no session.
    fn share(&mut self, class: u32, route: &str, body: &[u8]) -> Result<(), Fault> {
        if !self.codec.abilities().broadcast {
            return Err(NotAllowed::Interface("broadcast").to_string());
        }
        let shared = self.codec.encode_shared(class, MessageRef::notice(route, body));
        if let Some(packets) = self.answers.unless_refused(shared)? {
            self.answers.packets(packets.iter());
        }
        Ok(())
    }
}

/// Encodes one message. A response that is refused is not encoded again as failed; vectors that
/// need that contain a step for it.
fn encode(
    driver: &mut Driver,
    message: MessageRef<'_>,
    now: Instant,
    answers: &mut Answers,
) -> Result<(), CallError> {
    let mut messages = Messages::new();
    messages.push(message);
    match driver.encode(&Arc::new(messages), now, answers) {
        Err(CallError::Failed(CodecError::Refused(reason))) => {
            answers.event(Event::Fatal(reason.as_str().as_bytes()));
        }
        encoded => drop(encoded?),
    }
    if answers.lines.is_empty() {
        answers.packets([].into_iter());
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

    fn packets<'a>(&mut self, packets: impl Iterator<Item = &'a [u8]>) {
        let before = self.lines.len();
        packets.for_each(|packet| self.put(Answer::Packet(packet)));
        if self.lines.len() == before {
            self.put(Answer::None);
        }
    }

    /// Records the packets of a stream, each before its events.
    fn cut(&mut self, bytes: &[u8], ends: &[u32], events: Vec<(usize, Answers)>) {
        let mut events = events.into_iter().peekable();
        let mut start = 0;
        for index in 0..=ends.len() {
            if let Some(&end) = ends.get(index) {
                self.put(Answer::Cut(&bytes[start..end as usize]));
                start = end as usize;
            }
            while let Some((_, event)) = events.next_if(|(packet, _)| *packet == index) {
                self.is_bug |= event.is_bug;
                self.lines.extend(event.lines);
            }
        }
    }

    fn put(&mut self, answer: Answer<'_>) {
        self.is_bug |= answer.is_bug();
        self.lines.push(answer.to_string());
    }
}

impl PacketSink for Answers {
    fn packets<'a>(
        &mut self,
        _messages: Range<usize>,
        packets: impl ExactSizeIterator<Item = &'a [u8]> + Clone,
    ) -> bool {
        packets.for_each(|packet| self.put(Answer::Packet(packet)));
        true
    }

    fn refused(&mut self, _message: usize, reason: &[u8]) {
        self.event(Event::Rejected(reason));
    }
}

fn fault(error: CallError) -> Fault {
    error.to_string()
}
