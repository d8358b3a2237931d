//! Why a component was not compiled.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::codec::Reason;
use crate::config::{duration_text, size_text};

/// Why a component was not compiled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The component is not valid, or not one that this runtime takes.
    #[error("it does not compile: {0}")]
    Refused(String),
    /// The compiler found no memory in this process.
    #[error("it does not compile: there is not enough memory")]
    OutOfMemory,
    /// Compiling takes more memory than a worker may have.
    #[error(
        "it does not compile within {} of memory: `memory` under [compile] allows more",
        size_text(*.0)
    )]
    Memory(usize),
    /// Compiling takes more CPU time than a worker may have.
    #[error(
        "it does not compile within {} of CPU time: `cpu-time` under [compile] allows more",
        duration_text(*.0)
    )]
    CpuTime(Duration),
    /// Compiling takes longer than it may.
    #[error("it does not compile within {}: `wall-time` under [compile] allows more", duration_text(*.0))]
    WallTime(Duration),
    /// What comes of it is larger than it may be.
    #[error(
        "it compiles to more than {} of machine code: `max-artifact` under [compile] allows more",
        size_text(*.0)
    )]
    Artifact(usize),
    /// A signal has ended the worker.
    #[error("the compiler crashed on it, by signal {signal}{}", behind(.stderr))]
    Crashed {
        /// The signal's number.
        signal: i32,
        /// What the worker wrote before.
        stderr: Reason,
    },
    /// The worker ended in a way that no compile worker of this version does.
    #[error(
        "the compile worker {} does not work: {what}; it must be the program of wireplug {}",
        .program.display(),
        env!("CARGO_PKG_VERSION")
    )]
    Worker {
        /// The program.
        program: PathBuf,
        /// What was wrong.
        what: Reason,
    },
    /// The worker cannot be started.
    #[error("the compile worker {} cannot be started: {error}", .program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Too many loads wait to compile.
    #[error(
        "{0} loads wait to compile already: try again later, or raise `waiting` or `jobs` under [compile]"
    )]
    QueueFull(usize),
    /// The server stops.
    #[error("it was not compiled: the server stops")]
    Stopped,
}

/// What a worker wrote, as the end of a sentence.
fn behind(stderr: &Reason) -> String {
    if stderr.as_str().is_empty() { String::new() } else { format!(": {stderr}") }
}
