//! Mismatches: steps to which a codec gave another answer than the vectors expect.

use std::fmt;
use std::ops::Range;

/// A step to which a codec gave another answer than the vectors expect.
///
/// It is displayed as a small diff: `-` marks expected lines, `+` actual lines, and `!` the failure
/// of the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The index of the step in the vectors.
    pub(super) index: usize,
    /// The line of the step in the text, counted from 1.
    pub line: usize,
    /// The text of the step.
    pub step: String,
    /// The expected answer, line by line.
    pub expected: Vec<String>,
    /// The actual answer of the codec, line by line.
    pub actual: Vec<String>,
    /// The reason why the call failed, if it did. The rest of the session was skipped in that case.
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

/// Returns the range of each list in which the two lists differ: the lines between their common
/// beginning and their common end.
pub(super) fn unlike(one: &[String], other: &[String]) -> (Range<usize>, Range<usize>) {
    let head = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let (a, b) = (&one[head..], &other[head..]);
    let tail = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    (head..one.len() - tail, head..other.len() - tail)
}
