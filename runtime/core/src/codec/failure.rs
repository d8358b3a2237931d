//! What is known about a call that ended inside the guest.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use super::Reason;
use super::error::escaped;

/// The largest number of functions in a backtrace.
const FUNCTIONS: usize = 10;

/// The largest length of the name of a function, in bytes.
const FUNCTION: usize = 100;

/// The largest number of bytes of the input that are shown.
const INPUT: usize = 256;

/// Why a call ended inside the guest's code, and what helps to find the cause: the functions that
/// were running, and the input of the call.
///
/// It is displayed in one line of less than 2,500 bytes, with control characters escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(Box<Parts>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    reason: Reason,
    /// The names of the functions, the innermost first.
    backtrace: Vec<String>,
    /// The position in the input at which the guest says it was.
    position: Option<u32>,
    /// The input of the call, or an empty text.
    input: String,
}

impl Failure {
    /// Sets the functions that were running, the innermost first.
    pub fn set_backtrace<S: AsRef<str>>(&mut self, functions: impl IntoIterator<Item = S>) {
        let names = functions.into_iter().take(FUNCTIONS).map(|name| escaped(name.as_ref(), FUNCTION));
        self.0.backtrace = names.collect();
    }

    /// Returns the names of the functions that were running, the innermost first.
    pub fn backtrace(&self) -> &[String] {
        &self.0.backtrace
    }

    /// Returns the failure without the input and the backtrace.
    pub(super) fn without_input(&self) -> Self {
        Self::from(self.0.reason.clone())
    }

    /// Sets the position in the input at which the guest says it was.
    pub fn set_position(&mut self, position: u32) {
        self.0.position = Some(position);
    }

    /// Sets the input of the call. `describe` gets the position in the input, if the guest gave
    /// one, and returns what the input is, and its bytes.
    pub(super) fn set_input<'a>(&mut self, describe: impl FnOnce(Option<usize>) -> (String, Cow<'a, [u8]>)) {
        let (what, bytes) = describe(self.0.position.map(|position| position as usize));
        let shown = &bytes[..bytes.len().min(INPUT)];
        let input = &mut self.0.input;
        *input = escaped(what, Reason::MAX);
        if !shown.is_empty() {
            input.push_str(": ");
        }
        for byte in shown {
            write!(input, "{byte:02x}").expect("a string takes any text");
        }
        if bytes.len() > shown.len() {
            write!(input, " and {} bytes more", bytes.len() - shown.len()).expect("a string takes any text");
        }
    }
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        Self(Box::new(Parts { reason, backtrace: Vec::new(), position: None, input: String::new() }))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { reason, backtrace, input, .. } = &*self.0;
        write!(f, "{reason}")?;
        for (name, value) in [("backtrace", &backtrace.join(" < ")), ("input", input)] {
            if !value.is_empty() {
                write!(f, "; {name}: {value}")?;
            }
        }
        Ok(())
    }
}
