//! All errors in a configuration.

use std::fmt;
use std::path::PathBuf;

use super::Key;

/// All errors in a configuration. Each is displayed on one line, as
/// `FILE:LINE:COLUMN: KEY: what is wrong`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// The file. None if the configuration was set in code.
    pub file: Option<PathBuf>,
    /// The errors, in the order of the file. Never empty.
    pub list: Vec<Problem>,
}

/// One error in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line and the column in the file, both from 1.
    pub position: Option<(usize, usize)>,
    /// The key that the error concerns. Empty for the file as a whole.
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
