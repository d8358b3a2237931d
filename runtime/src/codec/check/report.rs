//! What a check has come to.

use std::fmt;

use serde::Serialize;

use super::Property;

/// What a check has come to: each property with its outcome.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// What the walks were made from: the same seed gives the same ones.
    pub seed: u64,
    /// How many walks were played.
    pub cases: u64,
    /// The properties, in the order in which they are checked.
    pub findings: Vec<Finding>,
    /// Walks of which nothing can be said, since the machine was at its limits: it was too slow, or had no room.
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
pub enum Outcome {
    /// It held, so many times.
    Held {
        /// Walks, or steps of vectors.
        times: u64,
        /// What else there is to know.
        remark: Option<String>,
    },
    /// There was nothing to check, for this reason.
    NotAsked(String),
    /// It is broken.
    Failed(Failure),
}

/// How a property is broken.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Failure {
    /// What went wrong, in one line.
    pub what: String,
    /// The smallest session that shows it, as vectors; or what else there is to read.
    pub script: String,
    /// The number of the walk in which it was found, if it was one.
    pub case: Option<u64>,
}

impl Report {
    /// Whether nothing failed.
    pub fn holds(&self) -> bool {
        self.failures().next().is_none()
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
        let walks = if self.cases == 1 { "walk" } else { "walks" };
        write!(f, "{} {walks}, seed {}", self.cases, self.seed)?;
        if self.unknown > 0 {
            let unknown = self.unknown;
            write!(f, "; of {unknown} nothing can be said: the machine was too slow, or had no room")?;
        }
        for (property, failure) in self.failures() {
            write!(f, "\n\n{} FAILED", property.name())?;
            if let Some(case) = failure.case {
                write!(f, " in case {case}")?;
            }
            write!(f, ": {}\n\n{}", failure.what, failure.script.trim_end())?;
        }
        Ok(())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Held { times, remark } => {
                f.write_str("held")?;
                if *times != 1 {
                    write!(f, " {times} times")?;
                }
                remark.iter().try_for_each(|remark| write!(f, "; {remark}"))
            }
            Outcome::NotAsked(reason) => write!(f, "not checked: {reason}"),
            Outcome::Failed(failure) => write!(f, "FAILED: {}", failure.what),
        }
    }
}
