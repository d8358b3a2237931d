//! A step that was not answered as it should be.

use std::fmt;
use std::ops::Range;

/// A step that a codec does not answer as the vectors say. Shown as a small difference: `-` what
/// should have come, `+` what came, `!` how the call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Which step it is.
    pub(super) index: usize,
    /// Where the step stands, counted from 1.
    pub line: usize,
    /// The step as it was written.
    pub step: String,
    /// What the codec should have answered, line by line.
    pub expected: Vec<String>,
    /// What it answered.
    pub actual: Vec<String>,
    /// How the call failed, if it did. The rest of the session was skipped.
    pub fault: Option<String>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (wrong, right) = unlike(&self.expected, &self.actual);
        write!(f, "line {}: {}", self.line, self.step)?;
        let mut lines =
            |sign: char, lines: &[String]| lines.iter().try_for_each(|line| write!(f, "\n{sign}   {line}"));
        lines(' ', &self.actual[..right.start])?;
        lines('-', &self.expected[wrong.clone()])?;
        lines('+', &self.actual[right.clone()])?;
        lines(' ', &self.actual[right.end..])?;
        match &self.fault {
            Some(fault) => write!(f, "\n!   {fault}; the rest of this session is skipped"),
            None => Ok(()),
        }
    }
}

/// Where two lists differ: what lies between the lines that both begin with and those that both end
/// with.
pub(super) fn unlike(one: &[String], other: &[String]) -> (Range<usize>, Range<usize>) {
    let head = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let (a, b) = (&one[head..], &other[head..]);
    let tail = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    (head..one.len() - tail, head..other.len() - tail)
}
