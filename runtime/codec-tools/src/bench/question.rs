//! Questions that can be put to a codec repeatedly: packets that always give messages, and messages
//! that always give packets.

use std::sync::Arc;

use serde::Serialize;

use super::{BATCHES, MAX_QUESTIONS};
use wireplug_core::codec::{
    Codec, CodecSession, Encoded, Event, Events, Instant, MessageRef, Messages, Peer, Role,
};
use wireplug_core::framing::Packets;
use wireplug_core::vectors::Vectors;
use wireplug_core::vectors::{SessionStep, StepInput};

/// The number of repetitions that check whether the answer stays the same.
const TRIALS: usize = 256;

/// The direction of an item through the codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// A packet from the client.
    Decode,
    /// A message from the application.
    Encode,
}

/// A packet or message that can be repeated.
pub(super) struct Question<'a> {
    step: SessionStep<'a>,
    answer: Answer,
}

/// The result of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The number of events for each packet. At least one of them is a message, and none belongs to
    /// a handshake, rejects the packet or ends the session.
    Events(usize),
    /// The number of packets for each message; 1 if a codec coalesces messages.
    Packets(usize),
}

/// The questions in vectors.
pub(super) struct Questions<'a> {
    pub(super) questions: Vec<Question<'a>>,
    /// The number of packets and messages that are no questions.
    pub(super) not_repeatable: usize,
    /// The number of questions that exceed the largest number, or occurred before.
    pub(super) left_out: usize,
}

/// A call to a codec, in the form in which a connection makes it.
pub(super) enum Call {
    Decode(Arc<Packets>),
    Encode(Arc<Messages>),
}

/// Buffers for answers, which are reused for each call.
#[derive(Default)]
pub(super) struct Buffers {
    events: Events,
    encoded: Encoded,
}

/// Returns the questions in vectors.
pub(super) fn questions<'a>(vectors: &'a Vectors, codec: &dyn Codec) -> Questions<'a> {
    let mut found = Questions { questions: Vec::new(), not_repeatable: 0, left_out: 0 };
    for step in vectors.session_steps() {
        let Some(question) = Question::find(step, codec) else {
            found.not_repeatable += 1;
            continue;
        };
        let alike = |other: &&Question<'_>| other.direction() == question.direction();
        let is_known = found.questions.iter().any(|known| known.step.input == question.step.input);
        if is_known || found.questions.iter().filter(alike).count() == MAX_QUESTIONS {
            found.left_out += 1;
        } else {
            found.questions.push(question);
        }
    }
    found
}

impl<'a> Question<'a> {
    /// Returns the packet or message of a step if the codec always gives the same answer to it, one
    /// by one and in batches.
    fn find(step: SessionStep<'a>, codec: &dyn Codec) -> Option<Self> {
        if let StepInput::Out(MessageRef { role: Role::Request, .. }) = step.input {
            // The runtime never uses the id of a request again.
            return None;
        }
        let mut buffers = Buffers::default();
        let mut session = step.session(codec)?;
        let mut answer = None;
        for batch in BATCHES {
            let call = Call::new(step.input, batch);
            for _ in 0..TRIALS / batch {
                let asked = call.ask(&mut *session, step.now(), &mut buffers)?;
                if *answer.get_or_insert(asked) != asked {
                    return None;
                }
            }
        }
        Some(Self { step, answer: answer? })
    }

    pub(super) fn line(&self) -> usize {
        self.step.line()
    }

    pub(super) fn text(&self) -> &'a str {
        self.step.text()
    }

    pub(super) fn peer(&self) -> &'a Peer {
        self.step.peer()
    }

    pub(super) fn now(&self) -> Instant {
        self.step.now()
    }

    pub(super) fn answer(&self) -> Answer {
        self.answer
    }

    pub(super) fn direction(&self) -> Direction {
        match self.step.input {
            StepInput::In(_) => Direction::Decode,
            StepInput::Out(_) => Direction::Encode,
        }
    }

    /// Returns the size of the packet, or of the message's body, in bytes.
    pub(super) fn bytes(&self) -> usize {
        match self.step.input {
            StepInput::In(packet) => packet.len(),
            StepInput::Out(MessageRef { body, .. }) => body.len(),
        }
    }

    /// Opens a session in which the question can be asked.
    pub(super) fn session(&self, codec: &dyn Codec) -> Option<Box<dyn CodecSession>> {
        self.step.session(codec)
    }

    /// Returns a call that asks the question `batch` times.
    pub(super) fn call(&self, batch: usize) -> Call {
        Call::new(self.step.input, batch)
    }
}

impl Call {
    fn new(input: StepInput<'_>, batch: usize) -> Self {
        match input {
            StepInput::In(packet) => Self::Decode(Arc::new(std::iter::repeat_n(packet, batch).collect())),
            StepInput::Out(message) => {
                let mut messages = Messages::new();
                (0..batch).for_each(|_| messages.push(message));
                Self::Encode(Arc::new(messages))
            }
        }
    }

    /// Makes the call, and reads the whole answer as a connection does. Returns `None` if the call
    /// fails, or if the answer shows that the call cannot be repeated.
    pub(super) fn ask(
        &self,
        session: &mut dyn CodecSession,
        now: Instant,
        Buffers { events, encoded }: &mut Buffers,
    ) -> Option<Answer> {
        match self {
            Self::Decode(packets) => {
                events.clear();
                session.decode(packets, now, events).ok()?;
                let (mut all, mut messages) = (0, 0);
                let mut events = events.read(packets.len());
                while let Some(event) = events.next_event() {
                    match event.ok()? {
                        Event::Message { .. } => messages += 1,
                        Event::Reply(_) | Event::Timer(_) | Event::AddressVerified | Event::Log { .. } => {}
                        Event::Hello(_)
                        | Event::Established
                        | Event::Close { .. }
                        | Event::Rejected(_)
                        | Event::Fatal(_) => return None,
                    }
                    all += 1;
                }
                let each = all / packets.len();
                (messages >= packets.len() && each * packets.len() == all).then_some(Answer::Events(each))
            }
            Self::Encode(messages) => {
                encoded.clear();
                session.encode(messages, now, encoded).ok()?;
                encoded.check(messages.len()).ok()?;
                let Encoded { packets, refused, .. } = encoded;
                let each = packets.len().div_ceil(messages.len());
                (refused.is_empty() && each > 0).then_some(Answer::Packets(each))
            }
        }
    }
}
