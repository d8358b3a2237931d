//! The report of a check.

use std::fmt;

use serde::Serialize;

use super::Property;

/// The report of a check: each property with its outcome.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// The seed of the cases. The same seed gives the same cases.
    pub seed: u64,
    /// The number of cases that were run.
    pub cases: u64,
    /// The properties, in the order in which they are checked.
    pub findings: Vec<Finding>,
    /// The number of cases without a result, because the machine was too slow or had no room.
    pub unknown: u64,
}

/// A property and its outcome.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// The property that was checked.
    pub property: Property,
    /// The outcome of its check.
    pub outcome: Outcome,
}

/// The outcome of the check of a property.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Outcome {
    /// The property held.
    Held {
        /// The number of cases, or of steps of vectors, in which it held.
        times: u64,
        /// The number of cases in which the codec refused to hand a session over, and the first
        /// reason.
        declined: Option<(u64, String)>,
    },
    /// The property held, but there is something that the codec's author should know.
    Warned {
        /// The number of times that it held.
        times: u64,
        /// What the author should know.
        warning: Failure,
    },
    /// There was nothing to check, for this reason.
    NotAsked(String),
    /// The property is broken.
    Failed(Failure),
}

/// A failure of a property, or a warning about it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Failure {
    /// What went wrong, in one line.
    pub what: String,
    /// The smallest session that shows the failure, as vectors, or another text to read.
    pub script: String,
    /// The number of the case that showed the failure, if a case did.
    pub case: Option<u64>,
}

impl Report {
    /// Returns whether no property failed.
    pub fn holds(&self) -> bool {
        self.failures().next().is_none()
    }

    /// Returns the properties that held with a warning.
    pub fn warnings(&self) -> impl Iterator<Item = (Property, &Failure)> {
        self.findings.iter().filter_map(|finding| match &finding.outcome {
            Outcome::Warned { warning, .. } => Some((finding.property, warning)),
            _ => None,
        })
    }

    /// Returns the properties that failed.
    pub fn failures(&self) -> impl Iterator<Item = (Property, &Failure)> {
        self.findings.iter().filter_map(|finding| match &finding.outcome {
            Outcome::Failed(failure) => Some((finding.property, failure)),
            _ => None,
        })
    }
}

/// Writes a table of the properties, and each failure below it.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { property, outcome } in &self.findings {
            writeln!(f, "{:15}{outcome}", property.name())?;
        }
        let cases = if self.cases == 1 { "case" } else { "cases" };
        write!(f, "{} {cases}, seed {}", self.cases, self.seed)?;
        if self.unknown > 0 {
            let unknown = self.unknown;
            write!(f, "; of {unknown} nothing can be said: the machine was too slow, or had no room")?;
        }
        let failed = self.failures().map(|(property, failure)| ("FAILED", property, failure));
        let warned = self.warnings().map(|(property, warning)| ("WARNING", property, warning));
        for (word, property, failure) in failed.chain(warned) {
            write!(f, "\n\n{} {word}", property.name())?;
            if let Some(case) = failure.case {
                write!(f, " in case {case}")?;
            }
            write!(f, ": {}\n{}", Cut(&failure.what), Readable(failure.script.trim_end()))?;
        }
        Ok(())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Held { times: 1, declined: None } => f.write_str("held"),
            Outcome::Held { times, declined: None } => write!(f, "held {times} times"),
            Outcome::Held { times, declined: Some((cases, first)) } => {
                write!(f, "held {times} times; the codec declined in {cases} cases, first: {first}")
            }
            Outcome::Warned { warning, .. } => write!(f, "WARNING: {}", Cut(&warning.what)),
            Outcome::NotAsked(reason) => write!(f, "not checked: {reason}"),
            Outcome::Failed(failure) => write!(f, "FAILED: {}", Cut(&failure.what)),
        }
    }
}

/// Vectors for a terminal: long lines, and steps that repeat often, are shortened.
struct Readable<'a>(&'a str);

/// The number of characters after which a line is cut.
const LINE: usize = 2000;

/// The number of times that the same step is shown in a row.
const TIMES: usize = 8;

impl fmt::Display for Readable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = steps(self.0);
        let mut alike = 0;
        for (index, step) in steps.iter().enumerate() {
            alike = if index > 0 && steps[index - 1] == *step { alike + 1 } else { 0 };
            let is_last = steps.get(index + 1) != Some(step);
            match alike {
                0..TIMES => step.iter().try_for_each(|line| write!(f, "\n{}", Cut(line)))?,
                _ if is_last => {
                    write!(f, "\n# … and the same {} times more: `--json` writes all out", alike + 1 - TIMES)?
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Returns the lines of each step. A step begins in the first column.
fn steps(script: &str) -> Vec<Vec<&str>> {
    let mut steps: Vec<Vec<&str>> = Vec::new();
    for line in script.lines() {
        match steps.last_mut() {
            Some(step) if line.starts_with(' ') => step.push(line),
            _ => steps.push(vec![line]),
        }
    }
    steps
}

/// A line, cut if it is very long.
struct Cut<'a>(&'a str);

impl fmt::Display for Cut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(LINE) {
            None => f.write_str(self.0),
            Some((end, _)) => {
                let (shown, rest) = self.0.split_at(end);
                write!(f, "{shown} # … and {} bytes more: `--json` writes all out", rest.len())
            }
        }
    }
}
