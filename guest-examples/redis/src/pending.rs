//! What the codec does when the application has answered.
//!
//! Answers have no ids: a client takes the first one for its first command, and so on. The runtime
//! passes the requests of a session to the application one after the other. What the codec answers
//! itself must wait for the answers to the commands before it.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use wireplug_guest::Fault;

use crate::subscriptions::Kind;
use crate::write::Protocol;

/// The memory for what waits, in bytes. One command with the most channels fits, and so do some
/// thousand small ones; the runtime reads on only while a few hundred requests wait.
const MAX_BYTES: usize = 512 << 10;

/// What follows when the application agrees to a command.
#[derive(Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) enum Step {
    /// The answer to HELLO, in the protocol that the client wants.
    Hello(Option<Protocol>),
    /// The session is reset.
    Reset,
    /// Confirmations of the subscriptions that this command asks for.
    Subscribe(Kind, Vec<u8>),
    /// Confirmations that the subscriptions of this command have ended.
    Unsubscribe(Kind, Vec<u8>),
}

/// An answer of the codec itself.
#[derive(Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) enum Own {
    /// The answer to HELLO, in the protocol that the client wants.
    Hello(Option<Protocol>),
    /// The answer to QUIT.
    Bye,
    /// An error.
    Error(String),
}

/// The commands that the application has not answered, and what waits for its answers.
#[derive(Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Pending {
    /// The number of requests so far, which is the id of the last one.
    asked: u64,
    /// The number of answers so far.
    answered: u64,
    /// Each step with the id of its request.
    steps: VecDeque<(u64, Step)>,
    /// Each answer of the codec with the id of the request before it.
    own: VecDeque<(u64, Own)>,
    /// The memory of both, in bytes.
    bytes: usize,
}

impl Pending {
    /// Returns whether all requests are answered.
    pub(crate) fn is_empty(&self) -> bool {
        self.asked == self.answered
    }

    /// Returns the id of a new request.
    pub(crate) fn ask(&mut self, step: Option<Step>) -> Result<u64, Fault> {
        self.asked += 1;
        if let Some(step) = step {
            self.charge(step_bytes(&step))?;
            self.steps.push_back((self.asked, step));
        }
        Ok(self.asked)
    }

    /// Keeps an answer of the codec until all requests so far are answered.
    pub(crate) fn push(&mut self, own: Own) -> Result<(), Fault> {
        self.charge(own_bytes(&own))?;
        self.own.push_back((self.asked, own));
        Ok(())
    }

    fn charge(&mut self, bytes: usize) -> Result<(), Fault> {
        self.bytes += bytes;
        if self.bytes > MAX_BYTES {
            return Err(Fault::fatal("too many commands wait for an answer of the application"));
        }
        Ok(())
    }

    /// Takes note of the answer to a request, and returns its step.
    pub(crate) fn answer(&mut self, id: u64) -> Result<Option<Step>, Fault> {
        if id != self.answered + 1 {
            // The client would take it for the answer to another command.
            return Err(Fault::fatal("an answer came out of order: handlers must not be concurrent"));
        }
        self.answered = id;
        let Some((_, step)) = self.steps.pop_front_if(|(request, _)| *request == id) else { return Ok(None) };
        self.bytes -= step_bytes(&step);
        Ok(Some(step))
    }

    /// Returns the next answer of the codec, if no request before it waits.
    pub(crate) fn next_own(&mut self) -> Option<Own> {
        let (_, own) = self.own.pop_front_if(|(request, _)| *request <= self.answered)?;
        self.bytes -= own_bytes(&own);
        Some(own)
    }

    /// Returns whether the client, which has RESP2, waits for the confirmation of a subscription,
    /// and has asked for no other protocol meanwhile.
    pub(crate) fn will_subscribe(&self) -> bool {
        let mut steps = self.steps.iter().map(|(_, step)| step);
        let says_hello = |step: &Step| matches!(step, Step::Hello(_));
        steps.clone().any(|step| matches!(step, Step::Subscribe(..)))
            && !steps.any(says_hello)
            && !self.own.iter().any(|(_, own)| matches!(own, Own::Hello(_)))
    }
}

fn step_bytes(step: &Step) -> usize {
    let command = match step {
        Step::Subscribe(_, command) | Step::Unsubscribe(_, command) => command.len(),
        Step::Hello(_) | Step::Reset => 0,
    };
    size_of::<(u64, Step)>() + command
}

fn own_bytes(own: &Own) -> usize {
    let text = match own {
        Own::Error(text) => text.len(),
        Own::Hello(_) | Own::Bye => 0,
    };
    size_of::<(u64, Own)>() + text
}
