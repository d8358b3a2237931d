//! What is wrong with a configuration, all of it.

use std::fmt;
use std::path::PathBuf;

use super::Key;

/// Everything that is wrong with a configuration; shown one a line, as `FILE:LINE:COLUMN: KEY: what is
/// wrong`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// The file; none where the configuration was set in code.
    pub file: Option<PathBuf>,
    /// What is wrong, in the order of the file. Never empty.
    pub list: Vec<Problem>,
}

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its line and column in the file, both from 1.
    pub position: Option<(usize, usize)>,
    /// The key that it concerns; empty for the file as a whole.
    pub key: Key,
    /// What is wrong, and what is allowed.
    pub what: String,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.list.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            if let Some(file) = &self.file {
                write!(f, "{}:", file.display())?;
                if let Some((line, column)) = problem.position {
                    write!(f, "{line}:{column}:")?;
                }
                write!(f, " ")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.steps().is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)
    }
}

impl std::error::Error for Problems {}
