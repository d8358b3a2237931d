//! The steps of vectors, and the session as it is just before one of them.

use super::Vectors;
use super::replay::{Replayer, StepOutcome};
use crate::codec::{Codec, CodecSession, MessageRef, Peer};

/// What is asked of a codec, and what it must answer.
#[derive(Clone, Debug)]
pub(in crate::codec) struct Step {
    /// Its line, counted from 0.
    pub(super) line: usize,
    /// Where the line begins in the text.
    pub(super) start: usize,
    pub(in crate::codec) now_ms: u64,
    pub(in crate::codec) call: Call,
    pub(super) expected: Vec<Expected>,
}

/// One line of an answer, as [`answer::Answer`] is written.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    pub(super) line: usize,
    pub(super) text: String,
}

#[derive(Clone, Debug)]
pub(in crate::codec) enum Call {
    Session(Box<Peer>),
    In(Vec<u8>),
    Answer { status: u16, body: Vec<u8> },
    Tick,
    Out { id: Option<u64>, route: String, status: u16, body: Vec<u8> },
    Farewell(String),
    Handoff,
    Class,
    Share { class: u32, route: String, body: Vec<u8> },
}

/// A step that gives a codec a packet or a message, and its place in a session.
#[derive(Clone, Copy)]
pub(crate) struct SessionStep<'a> {
    vectors: &'a Vectors,
    index: usize,
    pub(crate) input: StepInput<'a>,
}

/// What a codec is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StepInput<'a> {
    /// A packet to decode.
    In(&'a [u8]),
    /// A message to encode.
    Out(MessageRef<'a>),
}

impl Vectors {
    /// All steps that give a codec a packet or a message, in order.
    pub(crate) fn session_steps(&self) -> impl Iterator<Item = SessionStep<'_>> {
        self.steps.iter().enumerate().filter_map(|(index, step)| {
            let input = match &step.call {
                Call::In(packet) => StepInput::In(packet),
                Call::Out { id, route, status, body } => {
                    StepInput::Out(MessageRef { id: *id, route, status: *status, body })
                }
                _ => return None,
            };
            Some(SessionStep { vectors: self, index, input })
        })
    }
}

impl<'a> SessionStep<'a> {
    fn step(&self) -> &'a Step {
        &self.vectors.steps[self.index]
    }

    /// Where the step stands, counted from 1.
    pub(crate) fn line(&self) -> usize {
        self.step().line + 1
    }

    /// The step as it is written.
    pub(crate) fn text(&self) -> &'a str {
        self.vectors.text_of(self.step())
    }

    /// The time in the session, in milliseconds.
    pub(crate) fn now_ms(&self) -> u64 {
        self.step().now_ms
    }

    /// The client of the session.
    pub(crate) fn peer(&self) -> &'a Peer {
        match &self.vectors.steps[self.opening()].call {
            Call::Session(peer) => peer,
            _ => unreachable!("a session begins with `session`"),
        }
    }

    /// The session with everything asked that stands before; none where the codec fails at that or ends the
    /// session.
    pub(crate) fn session(&self, codec: &dyn Codec) -> Option<Box<dyn CodecSession>> {
        let mut replayer = Replayer::new(codec);
        for step in &self.vectors.steps[self.opening()..self.index] {
            let Some(StepOutcome { fault: None, .. }) = replayer.ask(step) else {
                return None;
            };
        }
        replayer.into_working()
    }

    /// The step that opens the session.
    fn opening(&self) -> usize {
        let is_opening = |step: &Step| matches!(step.call, Call::Session(_));
        self.vectors.steps[..self.index]
            .iter()
            .rposition(is_opening)
            .expect("no step stands outside of a session")
    }
}
