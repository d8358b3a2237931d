//! An error of any type, and the display of an error with its causes.

use std::error::Error;
use std::fmt;

/// An error of any type.
///
/// `?` converts every error type to a `BoxError`, and `.into()` also converts a text.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Displays an error and the chain of its causes in one line: `what failed: why: the cause of
/// that`.
///
/// The error types of wireplug display what failed, and leave the cause to [`Error::source`].
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a>(&'a (dyn Error + 'a));

impl<'a> Chain<'a> {
    /// Creates a display of the chain that begins with this error.
    pub fn of(error: &'a (dyn Error + 'a)) -> Self {
        Self(error)
    }
}

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug)]
    struct Outer(io::Error);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("it failed")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn each_cause_is_shown_once() {
        let error = Outer(io::Error::other("no room"));
        assert_eq!(Chain::of(&error).to_string(), "it failed: no room");
    }
}
