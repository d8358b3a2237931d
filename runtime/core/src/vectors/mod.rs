//! Test vectors: calls of a codec, and the answers that the codec must give.
//!
//! `docs/vectors.md` describes the format. The module does no I/O: it takes a text and a codec, and
//! returns mismatches.

mod answer;
mod mismatch;
mod opening;
mod parse;
mod record;
mod replay;
mod step;
mod syntax;
#[cfg(test)]
mod tests;
mod write;

use std::fmt;

pub use answer::Answer;
pub use mismatch::Mismatch;
pub use record::{Recorder, Start};
pub use step::{Call, Resumed, SessionStep, Step, StepInput};

use self::mismatch::unlike;
pub use self::replay::Division;
use self::replay::{Replayer, StepOutcome};
use crate::codec::Codec;

/// The transport of a session whose line names none.
pub const TRANSPORT: &str = "tcp";

/// The address of a session whose line names none.
pub const ADDRESS: &str = "127.0.0.1:1";

/// The largest packet of the listener of every session, in bytes.
const MAX_PACKET: u32 = 64 << 10;

/// The vectors of a codec, read from their text. `docs/vectors.md` describes the format.
#[derive(Clone, Debug)]
pub struct Vectors {
    text: String,
    options: String,
    steps: Vec<Step>,
}

/// The errors in a file of vectors: every wrong line, up to 100.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct BadVectors {
    /// The lines, in order.
    pub lines: Vec<BadLine>,
}

/// A line that is not valid in a file of vectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// The number of the line, counted from 1.
    pub line: usize,
    /// What is wrong with the line, and what is allowed.
    pub problem: String,
}

impl Vectors {
    /// The longest file, in bytes.
    pub const MAX: usize = 16 << 20;

    /// Reads vectors.
    ///
    /// # Errors
    /// Returns an error that lists the wrong lines, each with what is allowed, or an error if the
    /// text is too long.
    pub fn parse(text: impl Into<String>) -> Result<Self, BadVectors> {
        parse::vectors(text.into())
    }

    /// Returns the options of the codec for these vectors, as a JSON object.
    pub fn options(&self) -> &str {
        &self.options
    }

    /// Returns the number of steps.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Returns whether there are no steps.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Runs all steps on a codec that has these [options](Self::options), and returns each step
    /// that the codec answers in another way. The bytes of streams come as the steps have them. The
    /// iterator is lazy: each step runs when the iterator reaches it, so a caller can stop early.
    pub fn replay<'a>(&'a self, codec: &'a dyn Codec) -> impl Iterator<Item = Mismatch> + 'a {
        self.replay_divided(codec, Division::Whole)
    }

    /// Returns whether there is a step with a stream, so that the answers may depend on how it is
    /// divided, which they must not.
    pub fn has_streams(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.call, Call::Stream(_)))
    }

    /// Runs all steps as [`Vectors::replay`] does, with the bytes of streams divided in this way.
    pub fn replay_divided<'a>(
        &'a self,
        codec: &'a dyn Codec,
        division: Division,
    ) -> impl Iterator<Item = Mismatch> + 'a {
        let mut replayer = Replayer::new(codec, division);
        self.steps.iter().enumerate().filter_map(move |(index, step)| {
            let StepOutcome { answers: actual, fault } = replayer.ask(step)?;
            let expected: Vec<_> = step.expected.iter().map(|expected| expected.text.clone()).collect();
            let is_right = actual == expected || expected == [answer::ANY];
            (fault.is_some() || !is_right).then(|| Mismatch {
                index,
                line: step.line + 1,
                step: self.text_of(step).to_owned(),
                expected,
                actual,
                fault,
            })
        })
    }

    /// Returns the text of a step.
    fn text_of(&self, step: &Step) -> &str {
        self.text[step.start..].lines().next().unwrap_or_default().trim()
    }

    /// Returns the same text with this codec's answers. Comments stay where they are. The expected
    /// answers of a step that failed stay too, and so does `any`.
    pub fn updated(&self, codec: &dyn Codec) -> String {
        let mut lines: Vec<Vec<String>> = self.text.lines().map(|line| vec![line.to_owned()]).collect();
        for mismatch in self.replay(codec).filter(|mismatch| mismatch.fault.is_none()) {
            let step = &self.steps[mismatch.index];
            let (wrong, right) = unlike(&mismatch.expected, &mismatch.actual);
            let above = wrong.start.checked_sub(1).map_or(step.line, |last| step.expected[last].line);
            for expected in &step.expected[wrong] {
                lines[expected.line].clear();
            }
            lines[above].extend(mismatch.actual[right].iter().map(|answer| format!("  {answer}")));
        }
        lines.into_iter().flatten().map(|line| line + "\n").collect()
    }
}

impl fmt::Display for BadVectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |bad: &BadLine| format!("line {}: {}", bad.line, bad.problem);
        f.write_str(&self.lines.iter().map(line).collect::<Vec<_>>().join("\n"))
    }
}
