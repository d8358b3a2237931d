//! Test vectors: what a codec is asked, and what it must answer.
//!
//! `docs/vectors.md` has the format. Pure: a text and a codec in, mismatches out.

mod answer;
mod mismatch;
mod parse;
mod replay;
mod step;
mod syntax;
#[cfg(test)]
mod tests;
mod write;

use std::fmt;

pub use answer::Answer;
pub use mismatch::Mismatch;
pub use step::{Call, SessionStep, Step, StepInput};

use self::mismatch::unlike;
use self::replay::{Replayer, StepOutcome};
use crate::codec::Codec;

/// The transport of a session that names none.
pub const TRANSPORT: &str = "tcp";

/// The address of a session that names none.
pub const ADDRESS: &str = "127.0.0.1:1";

/// The vectors of a codec, read from their text: `docs/vectors.md` describes the format.
#[derive(Clone, Debug)]
pub struct Vectors {
    text: String,
    options: String,
    steps: Vec<Step>,
}

/// What is wrong with a file of vectors: every line, up to 100.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct BadVectors {
    /// The lines, in order.
    pub lines: Vec<BadLine>,
}

/// A line that is no part of any vectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Where it stands, counted from 1.
    pub line: usize,
    /// What is wrong with it, and what is allowed.
    pub problem: String,
}

impl Vectors {
    /// The longest file, in bytes.
    pub const MAX: usize = 16 << 20;

    /// Reads vectors.
    ///
    /// # Errors
    /// All lines that are wrong, each with what is allowed; or that the text is too long.
    pub fn parse(text: impl Into<String>) -> Result<Self, BadVectors> {
        parse::vectors(text.into())
    }

    /// The options of the codec that they are for, a JSON object.
    pub fn options(&self) -> &str {
        &self.options
    }

    /// How many steps there are.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Asks a codec that has their [options](Self::options) all that they say, and gives each step
    /// that it does not answer as they say. A step is asked when its turn comes: who has seen
    /// enough stops.
    pub fn replay<'a>(&'a self, codec: &'a dyn Codec) -> impl Iterator<Item = Mismatch> + 'a {
        let mut replayer = Replayer::new(codec);
        self.steps.iter().enumerate().filter_map(move |(index, step)| {
            let StepOutcome { answers: actual, fault } = replayer.ask(step)?;
            let expected: Vec<_> = step.expected.iter().map(|expected| expected.text.clone()).collect();
            (fault.is_some() || actual != expected).then(|| Mismatch {
                index,
                line: step.line + 1,
                step: self.text_of(step).to_owned(),
                expected,
                actual,
                fault,
            })
        })
    }

    /// A step as it is written.
    fn text_of(&self, step: &Step) -> &str {
        self.text[step.start..].lines().next().unwrap_or_default().trim()
    }

    /// The same text with what this codec answers. Comments stay where they are, and so does what a
    /// step that failed was to answer.
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
