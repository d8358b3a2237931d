//! Why a component was not compiled.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;

use wireplug_base::units::{duration_text, size_text};
use wireplug_core::codec::Reason;

/// Why a component was not compiled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The component is not valid, or uses a feature that this runtime does not support.
    #[error("{0}")]
    Refused(String),
    /// The compiler ran out of memory in this process.
    #[error("it does not compile: there is not enough memory")]
    OutOfMemory,
    /// The compilation needs more memory than the limit of a worker.
    #[error(
        "it does not compile within {} of memory: `memory` under [compile] allows more",
        size_text(*.0)
    )]
    Memory(usize),
    /// The compilation needs more CPU time than the limit of a worker.
    #[error(
        "it does not compile within {} of CPU time: `cpu-time` under [compile] allows more",
        duration_text(*.0)
    )]
    CpuTime(Duration),
    /// The compilation exceeded the limit of wall time.
    #[error("it does not compile within {}: `wall-time` under [compile] allows more", duration_text(*.0))]
    WallTime(Duration),
    /// The compiled code is larger than its limit.
    #[error(
        "it compiles to more than {} of machine code: `max-artifact` under [compile] allows more",
        size_text(*.0)
    )]
    Artifact(usize),
    /// A signal has ended the worker.
    #[error("the compiler crashed on it, by signal {signal}{}{}", hint(*.signal), behind(.stderr))]
    Crashed {
        /// The signal's number.
        signal: i32,
        /// The text that the worker wrote before it ended.
        stderr: Reason,
    },
    /// The component has triggered a bug in the compiler.
    #[error("the compiler failed on it{}", behind(.0))]
    Panicked(Reason),
    /// The worker ended in a way that no compile worker of this version does.
    #[error(
        "the compile worker {} does not work: {what}; it must be the program of wireplug {}",
        .program.display(),
        env!("CARGO_PKG_VERSION")
    )]
    Worker {
        /// The program.
        program: PathBuf,
        /// What was wrong with the worker.
        what: Reason,
    },
    /// The worker cannot be started.
    #[error("the compile worker {} cannot be started: {error}", .program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// The worker cannot be waited for.
    #[error("the compile worker cannot be waited for: {0}; start this program with SIGCHLD at its default")]
    Wait(io::Error),
    /// Too many loads wait to compile.
    #[error(
        "{0} loads wait to compile already: try again later, or raise `waiting` or `jobs` under [compile]"
    )]
    QueueFull(usize),
    /// The server is stopping.
    #[error("it was not compiled: the server stops")]
    Stopped,
}

impl CompileError {
    /// Creates a refusal. The reason may contain names from the component, so it is put into one
    /// line, control characters are escaped, and it is cut at 1000 characters.
    pub(crate) fn refused(reason: &str) -> Self {
        const MAX_CHARACTERS: usize = 1000;
        let mut text = String::new();
        for c in reason.chars().take(MAX_CHARACTERS) {
            // Quotes and backslashes are safe in a line of text.
            if matches!(c, '"' | '\'' | '\\') { text.push(c) } else { text.extend(c.escape_debug()) }
        }
        Self::Refused(text)
    }
}

/// Returns the likely origin of a signal, if it is known.
fn hint(signal: i32) -> &'static str {
    if signal == Signal::KILL.as_raw() { ", as the system does when it runs out of memory" } else { "" }
}

/// Returns the text of a worker in the form in which it ends a sentence.
fn behind(stderr: &Reason) -> String {
    if stderr.as_str().is_empty() { String::new() } else { format!(": {stderr}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_component_is_called_reaches_nobodys_terminal() {
        let error = CompileError::refused(&format!("\x1b[31m\n\u{9b}{}", "x".repeat(5000))).to_string();
        assert!(error.starts_with(r"\u{1b}[31m\n\u{9b}xxx"), "{error}");
        assert!(error.len() < 1100 && !error.contains(char::is_control), "{error}");
    }

    #[test]
    fn a_kill_is_explained() {
        let error = CompileError::Crashed { signal: 9, stderr: Reason::new("") }.to_string();
        assert_eq!(
            error,
            "the compiler crashed on it, by signal 9, as the system does when it runs out of memory"
        );
    }
}
