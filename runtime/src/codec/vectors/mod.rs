//! Test vectors: what a codec is asked, and what it must answer.
//!
//! `docs/vectors.md` has the format. Pure: a text and a codec in, mismatches out.

pub(super) mod answer;
mod mismatch;
mod moment;
mod parse;
mod replay;
#[cfg(test)]
mod tests;
mod words;
mod write;

use std::fmt;

pub use mismatch::Mismatch;
pub(crate) use moment::{Asked, Moment};

use self::mismatch::unlike;
use self::replay::Player;
use super::{Codec, Peer};

/// The transport of a session that names none.
pub(super) const TRANSPORT: &str = "tcp";

/// The address of a session that names none.
pub(super) const ADDRESS: &str = "127.0.0.1:1";

/// The vectors of a codec, read from their text.
///
#[doc = include_str!("../../../../docs/vectors.md")]
#[derive(Clone, Debug)]
pub struct Vectors {
    text: String,
    options: String,
    pub(super) steps: Vec<Step>,
}

/// What is asked of a codec, and what it must answer.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// Its line, counted from 0.
    line: usize,
    /// Where the line begins in the text.
    start: usize,
    pub(super) now_ms: u64,
    pub(super) call: Call,
    expected: Vec<Expected>,
}

/// One line of an answer, as [`answer::Answer`] is written.
#[derive(Clone, Debug)]
struct Expected {
    line: usize,
    text: String,
}

#[derive(Clone, Debug)]
pub(super) enum Call {
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

    /// Asks a codec that has their [options](Self::options) all that they say, and gives each step that it does
    /// not answer as they say. A step is asked when its turn comes: who has seen enough stops.
    pub fn replay<'a>(&'a self, codec: &'a dyn Codec) -> impl Iterator<Item = Mismatch> + 'a {
        let mut player = Player::new(codec);
        self.steps.iter().enumerate().filter_map(move |(index, step)| {
            let played = player.play(step)?;
            let expected: Vec<_> = step.expected.iter().map(|expected| expected.text.clone()).collect();
            (played.fault.is_some() || played.answers != expected).then(|| Mismatch {
                index,
                line: step.line + 1,
                step: self.text_of(step).to_owned(),
                expected,
                actual: played.answers,
                fault: played.fault,
            })
        })
    }

    /// A step as it is written.
    fn text_of(&self, step: &Step) -> &str {
        self.text[step.start..].lines().next().unwrap_or_default().trim()
    }

    /// The same text with what this codec answers. Comments stay where they are, and so does what a step that
    /// failed was to answer.
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
