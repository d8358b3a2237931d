//! Logging, as the configuration wants it. It is for standard error: what a command prints is its output.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use wireplug::config::{LogConfig, LogFormat, LogLevel};

/// Starts logging. The environment variable `RUST_LOG` wins over the configured level.
pub(super) fn start(config: &LogConfig) {
    let level = match config.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    // What the client of NATS says of its connection the node says too, and not at each try to connect. Who changed a
    // codec is logged at any level.
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(format!("{level},async_nats=off,wireplug::audit=info")));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // In a file and in a journal colours are but noise.
        .with_ansi(are_colours_wanted())
        // Else a line that cannot be written ends the task that logs it.
        .log_internal_errors(false);
    match config.format {
        LogFormat::Text => log.init(),
        // The connection's span holds all there is: no list of spans beside it.
        LogFormat::Json => log.json().flatten_event(true).with_span_list(false).init(),
    }
}

/// Whether people look on, who have not said no.
fn are_colours_wanted() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty())
}
