//! What all crates of the runtime share: units of configuration values, log lines with a limit,
//! files that are trusted only as far as their owner and mode allow, and errors with their causes.
//!
//! It knows no socket, no timer and no task, so the sans-I/O core may use it.

#[cfg(not(unix))]
compile_error!("wireplug runs on Unix only: it relies on file owners and modes, and on Unix sockets");

mod error;
mod file_watch;
mod fingerprint;
mod log_limit;
pub mod ownership;
pub mod units;

pub use error::{BoxError, Chain};
pub use file_watch::{FileWatch, LOOK_EVERY};
pub use fingerprint::FileFingerprint;
pub use log_limit::LogLimit;
