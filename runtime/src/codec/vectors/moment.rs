//! Moments in the sessions of vectors: a packet or a message, and the session as it is just before.

use super::replay::{Played, Player};
use super::{Call, Step, Vectors};
use crate::codec::{Codec, CodecSession, MessageRef, Peer};

/// A step that gives a codec a packet or a message.
#[derive(Clone, Copy)]
pub(crate) struct Moment<'a> {
    vectors: &'a Vectors,
    index: usize,
    pub(crate) asked: Asked<'a>,
}

/// What a codec is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked<'a> {
    /// A packet to decode.
    In(&'a [u8]),
    /// A message to encode.
    Out(MessageRef<'a>),
}

impl Vectors {
    /// All steps that give a codec a packet or a message, in order.
    pub(crate) fn moments(&self) -> impl Iterator<Item = Moment<'_>> {
        self.steps.iter().enumerate().filter_map(|(index, step)| {
            let asked = match &step.call {
                Call::In(packet) => Asked::In(packet),
                Call::Out { id, route, status, body } => {
                    Asked::Out(MessageRef { id: *id, route, status: *status, body })
                }
                _ => return None,
            };
            Some(Moment { vectors: self, index, asked })
        })
    }
}

impl<'a> Moment<'a> {
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

    /// The session with everything played that stands before; none where the codec fails at that or ends the
    /// session.
    pub(crate) fn session(&self, codec: &dyn Codec) -> Option<Box<dyn CodecSession>> {
        let mut player = Player::new(codec);
        for step in &self.vectors.steps[self.opening()..self.index] {
            let Some(Played { fault: None, .. }) = player.play(step) else {
                return None;
            };
        }
        player.into_working()
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
