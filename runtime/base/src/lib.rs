//! The code that all crates of the runtime share: units of configuration values, rate-limited log
//! lines, checks of the owner and mode of files, and errors with their causes.
//!
//! This crate knows no socket, timer or task, so the sans-I/O core may use it.

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
