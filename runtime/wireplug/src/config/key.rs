//! The place of a value in a configuration.

use std::fmt;

/// The place of a value in a configuration, written like `listeners[0].limits.max-in-flight`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Key(Vec<Step>);

/// A step from a table or a list to a value in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A key of a table.
    Name(String),
    /// An index of a list, from 0.
    Index(usize),
}

impl Key {
    /// Returns the key `name` of the table at this key.
    pub(crate) fn name(mut self, name: &str) -> Self {
        self.0.push(Step::Name(name.to_owned()));
        self
    }

    /// Returns the key of the element `index` of the list at this key.
    pub(crate) fn index(mut self, index: usize) -> Self {
        self.0.push(Step::Index(index));
        self
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Returns whether this key is `other`, or lies within its value.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }
}

impl FromIterator<Step> for Key {
    fn from_iter<I: IntoIterator<Item = Step>>(steps: I) -> Self {
        Self(steps.into_iter().collect())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            let dot = if at == 0 { "" } else { "." };
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Name(name) if is_bare(name) => write!(f, "{dot}{name}")?,
                Step::Name(name) => write!(f, "{dot}{name:?}")?,
            }
        }
        Ok(())
    }
}

/// Returns whether TOML accepts a key without quotes.
fn is_bare(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}
