//! What a check has come to.

use std::fmt;

use serde::Serialize;

use super::Property;

/// What a check has come to: each property with its outcome.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// What the cases were made from: the same seed gives the same ones.
    pub seed: u64,
    /// How many cases were run.
    pub cases: u64,
    /// The properties, in the order in which they are checked.
    pub findings: Vec<Finding>,
    /// Cases of which nothing is known, since the machine was at its limits: it was too slow, or
    /// had no room.
    pub unknown: u64,
}

/// A property and its outcome.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// What was checked.
    pub property: Property,
    /// What it has come to.
    pub outcome: Outcome,
}

/// What the check of a property has come to.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Outcome {
    /// It held, so many times.
    Held {
        /// Cases, or steps of vectors.
        times: u64,
        /// Cases in which a session was not handed over since the codec declined; and the first
        /// reason.
        declined: Option<(u64, String)>,
    },
    /// It held, so far as that goes: there is something that its author should know.
    Warned {
        /// How often it held.
        times: u64,
        /// What there is to know.
        warning: Failure,
    },
    /// There was nothing to check, for this reason.
    NotAsked(String),
    /// It is broken.
    Failed(Failure),
}

/// How a property is broken, or nearly.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Failure {
    /// What went wrong, in one line.
    pub what: String,
    /// The smallest session that shows it, as vectors; or what else there is to read.
    pub script: String,
    /// The number of the case in which it was found, if it was one.
    pub case: Option<u64>,
}

impl Report {
    /// Whether nothing failed.
    pub fn holds(&self) -> bool {
        self.failures().next().is_none()
    }

    /// The properties that held, with what there is to know of them.
    pub fn warnings(&self) -> impl Iterator<Item = (Property, &Failure)> {
        self.findings.iter().filter_map(|finding| match &finding.outcome {
            Outcome::Warned { warning, .. } => Some((finding.property, warning)),
            _ => None,
        })
    }

    /// The properties that failed.
    pub fn failures(&self) -> impl Iterator<Item = (Property, &Failure)> {
        self.findings.iter().filter_map(|finding| match &finding.outcome {
            Outcome::Failed(failure) => Some((finding.property, failure)),
            _ => None,
        })
    }
}

/// A table of the properties, and each failure below it.
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
            write!(f, ": {}\n{}", failure.what, Readable(failure.script.trim_end()))?;
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
            Outcome::Warned { warning, .. } => write!(f, "WARNING: {}", warning.what),
            Outcome::NotAsked(reason) => write!(f, "not checked: {reason}"),
            Outcome::Failed(failure) => write!(f, "FAILED: {}", failure.what),
        }
    }
}

/// Vectors on a terminal: what is very long, or there very often, is cut.
struct Readable<'a>(&'a str);

/// Characters of a line.
const LINE: usize = 2000;

/// So many times in a row a step is written out.
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

/// The lines of each step: it begins in the first column.
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
