//! The program under test.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

/// The path of the program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_wireplug");

/// Returns the command `wireplug` with these arguments. Variables that would change its behaviour
/// are removed from its environment, and its standard input is empty.
pub fn wireplug(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).stdin(Stdio::null());
    for variable in ["OTEL_EXPORTER_OTLP_ENDPOINT", "RUST_LOG", "WIREPLUG_CONTROL", "WIREPLUG_TOKEN_FILE"] {
        command.env_remove(variable);
    }
    command
}
