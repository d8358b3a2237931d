//! The code that all crates of the runtime share: units of configuration values, rate-limited log
//! lines, checks of the owner and mode of files, errors with their causes, and buffers that
//! sessions take turns to use.
//!
//! This crate knows no socket, timer or task, so the sans-I/O core may use it.

#[cfg(not(target_os = "linux"))]
compile_error!(
    "wireplug runs on Linux only so far: it opens folders with O_PATH, and gives compile workers files in memory"
);

mod error;
mod file_watch;
mod fingerprint;
mod log_limit;
mod lost_lines;
pub mod ownership;
pub mod reused;
pub mod units;

pub use error::{BoxError, Chain};
pub use file_watch::{FileWatch, LOOK_EVERY};
pub use fingerprint::FileFingerprint;
pub use log_limit::LogLimit;
pub use lost_lines::{LostLines, count_unwritten_line};
