//! What can be asked of a codec again and again: packets that keep giving messages, messages that
//! keep giving packets.

use std::sync::Arc;

use serde::Serialize;

use super::{BATCHES, MAX_QUESTIONS};
use wireplug_core::codec::{Codec, CodecSession, Encoded, Event, Events, MessageRef, Messages, Peer};
use wireplug_core::framing::Packets;
use wireplug_core::vectors::Vectors;
use wireplug_core::vectors::{SessionStep, StepInput};

/// How often a packet or message is asked to see that its answer stays the same.
const TRIALS: usize = 256;

/// Which way it goes through the codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// A packet from the client.
    Decode,
    /// A message from the application.
    Encode,
}

/// A packet or message that can be asked again and again.
pub(super) struct Question<'a> {
    step: SessionStep<'a>,
    answer: Answer,
}

/// What a codec makes of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// So many events a packet, at least one of them a message and none of them an end or a
    /// refusal.
    Events(usize),
    /// A packet for each message; or fewer, from a codec that merges.
    Packets,
}

/// The questions that vectors have.
pub(super) struct Questions<'a> {
    pub(super) questions: Vec<Question<'a>>,
    /// Packets and messages that are none.
    pub(super) not_repeatable: usize,
    /// Questions that are over the most, or there twice.
    pub(super) left_out: usize,
}

/// A call that asks a codec something, as a connection makes it.
pub(super) enum Call {
    Decode(Arc<Packets>),
    Encode(Arc<Messages>),
}

/// What answers are read into, again and again.
#[derive(Default)]
pub(super) struct Buffers {
    events: Events,
    encoded: Encoded,
}

/// Finds the questions in vectors.
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
    /// A packet or message, if the codec answers it alike however often it is asked: one by one,
    /// and in batches.
    fn find(step: SessionStep<'a>, codec: &dyn Codec) -> Option<Self> {
        let mut buffers = Buffers::default();
        let mut session = step.session(codec)?;
        let mut answer = None;
        for batch in BATCHES {
            let call = Call::new(step.input, batch);
            for _ in 0..TRIALS / batch {
                let asked = call.ask(&mut *session, step.now_ms(), &mut buffers)?;
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

    pub(super) fn now_ms(&self) -> u64 {
        self.step.now_ms()
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

    /// The bytes of the packet, or of the message's body.
    pub(super) fn bytes(&self) -> usize {
        match self.step.input {
            StepInput::In(packet) => packet.len(),
            StepInput::Out(MessageRef { body, .. }) => body.len(),
        }
    }

    /// A session in which it can be asked.
    pub(super) fn session(&self, codec: &dyn Codec) -> Option<Box<dyn CodecSession>> {
        self.step.session(codec)
    }

    /// A call that asks it so many times.
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

    /// Asks, and reads the whole answer as a connection does. None where the call fails, or where
    /// the answer is none that can be asked for again.
    pub(super) fn ask(
        &self,
        session: &mut dyn CodecSession,
        now_ms: u64,
        Buffers { events, encoded }: &mut Buffers,
    ) -> Option<Answer> {
        match self {
            Self::Decode(packets) => {
                events.clear();
                session.decode(packets, now_ms, events).ok()?;
                let (mut all, mut messages) = (0, 0);
                let mut events = events.read(packets.len());
                while let Some(event) = events.next_event() {
                    match event.ok()? {
                        Event::Message { .. } => messages += 1,
                        Event::Reply(_) | Event::Wake(_) => {}
                        _ => return None,
                    }
                    all += 1;
                }
                let each = all / packets.len();
                (messages >= packets.len() && each * packets.len() == all).then_some(Answer::Events(each))
            }
            Self::Encode(messages) => {
                encoded.clear();
                session.encode(messages, now_ms, encoded).ok()?;
                (encoded.refused.is_empty() && !encoded.packets.is_empty()).then_some(Answer::Packets)
            }
        }
    }
}
