//! The steps of vectors, and the session in its state just before a step.

use super::Vectors;
use super::replay::{Division, Replayer, StepOutcome};
use crate::codec::{Cause, Codec, CodecSession, Instant, MessageRef, Peer, Role};

/// One step of vectors: a call, and the answer that the codec must give.
#[derive(Clone, Debug)]
pub struct Step {
    /// The line of the step, counted from 0.
    pub(super) line: usize,
    /// Where the line begins in the text, in bytes.
    pub(super) start: usize,
    /// The time of the session, in milliseconds.
    pub now_ms: u64,
    /// The wall clock, in milliseconds since 1970.
    pub(super) unix_ms: u64,
    /// The call of the codec.
    pub call: Call,
    pub(super) expected: Vec<Expected>,
}

impl Step {
    /// Returns the time of the step.
    pub fn now(&self) -> Instant {
        Instant { session_ms: self.now_ms, unix_ms: self.unix_ms }
    }
}

/// One line of an expected answer, in the written form of [`answer::Answer`].
#[derive(Clone, Debug)]
pub(super) struct Expected {
    pub(super) line: usize,
    pub(super) text: String,
}

/// A call of a codec, as a line of vectors describes it.
#[derive(Clone, Debug)]
pub enum Call {
    /// A new session opens, in a new sandbox.
    Session(Box<Peer>),
    /// A session continues from a saved state, in a new sandbox.
    Resume(Box<Resumed>),
    /// A packet is decoded.
    In(Vec<u8>),
    /// Bytes of a stream that the codec cuts itself, or a message of such packets.
    Stream(Vec<u8>),
    /// TLS is up, with the attributes that it added.
    Secured(Vec<(String, String)>),
    /// The application answers the hello.
    Answer {
        /// The status of the answer.
        status: u16,
        /// The body of the answer.
        body: Vec<u8>,
    },
    /// The application has given up on a request to the client.
    Abandon(u64),
    /// The codec's timer fires.
    Tick,
    /// A message is encoded.
    Out {
        /// The role of the message.
        role: Role,
        /// The id of a request or response; 0 in a notice.
        id: u64,
        /// The route of the message.
        route: String,
        /// The status of a response.
        status: u16,
        /// The body of the message.
        body: Vec<u8>,
    },
    /// The runtime ends the session.
    Farewell {
        /// The cause.
        cause: Cause,
        /// The reason, as text.
        reason: String,
    },
    /// The session is saved, and restored in a new sandbox.
    Handoff {
        /// The random seed of that sandbox, if it is another one than that of the session.
        random_seed: Option<[u8; 32]>,
    },
    /// The class of sessions that share encodings is asked for.
    Class,
    /// A push is encoded for a class.
    Share {
        /// The class.
        class: u32,
        /// The route of the push.
        route: String,
        /// The body of the push.
        body: Vec<u8>,
    },
}

/// A session that continues from a saved state.
#[derive(Clone, Debug)]
pub struct Resumed {
    /// The client.
    pub peer: Peer,
    /// The state that a codec has saved.
    pub state: Vec<u8>,
    /// Whether the handshake is over.
    pub established: bool,
    /// When the timer of the codec is due, in milliseconds of session time.
    pub timer: Option<u64>,
}

/// A step that gives a codec a packet or a message, and its place in a session.
#[derive(Clone, Copy)]
pub struct SessionStep<'a> {
    vectors: &'a Vectors,
    index: usize,
    /// The packet or message that the codec is given.
    pub input: StepInput<'a>,
}

/// The packet or message that a codec is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepInput<'a> {
    /// A packet to decode.
    In(&'a [u8]),
    /// A message to encode.
    Out(MessageRef<'a>),
}

impl Vectors {
    /// Returns all steps, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Returns all steps that give a codec a packet or a message, in order.
    pub fn session_steps(&self) -> impl Iterator<Item = SessionStep<'_>> {
        self.steps.iter().enumerate().filter_map(|(index, step)| {
            let input = match &step.call {
                Call::In(packet) => StepInput::In(packet),
                Call::Out { role, id, route, status, body } => {
                    StepInput::Out(MessageRef { role: *role, id: *id, route, status: *status, body })
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

    /// Returns the line of the step, counted from 1.
    pub fn line(&self) -> usize {
        self.step().line + 1
    }

    /// Returns the text of the step.
    pub fn text(&self) -> &'a str {
        self.vectors.text_of(self.step())
    }

    /// Returns the time of the step.
    pub fn now(&self) -> Instant {
        self.step().now()
    }

    /// Returns the client of the session.
    pub fn peer(&self) -> &'a Peer {
        match &self.vectors.steps[self.opening()].call {
            Call::Session(peer) => peer,
            Call::Resume(resumed) => &resumed.peer,
            _ => unreachable!("a session begins with `session`"),
        }
    }

    /// Opens the session on a codec and runs all its steps before this one. Returns `None` if the
    /// codec fails in one of them or ends the session.
    pub fn session(&self, codec: &dyn Codec) -> Option<Box<dyn CodecSession>> {
        let mut replayer = Replayer::new(codec, Division::Whole);
        for step in &self.vectors.steps[self.opening()..self.index] {
            let Some(StepOutcome { fault: None, .. }) = replayer.ask(step) else {
                return None;
            };
        }
        replayer.into_working()
    }

    /// Returns the index of the step that opens the session.
    fn opening(&self) -> usize {
        let is_opening = |step: &Step| matches!(step.call, Call::Session(_) | Call::Resume(_));
        self.vectors.steps[..self.index]
            .iter()
            .rposition(is_opening)
            .expect("no step stands outside of a session")
    }
}
