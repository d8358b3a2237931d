//! Sets up logging as the configuration says. The log goes to standard error, because standard
//! output is for the results of commands.

mod format;
mod recent;

use std::env::{self, VarError};
use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use serde_json::json;
use tracing::callsite::rebuild_interest_cache;
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use wireplug::config::{LogConfig, LogFormat, LogLevel, LoggedAccess};
use wireplug::events::Events;

use self::format::LineFormat;
use self::recent::RecentLines;
use super::output::Output;

/// The environment variable that sets what is logged.
const VARIABLE: &str = "RUST_LOG";

/// The target of the access log.
const ACCESS: &str = "wireplug::access";

/// The levels that [`VARIABLE`] can name.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The most characters of a wrong value that a message repeats.
const MAX_SHOWN: usize = 200;

/// Starts logging to standard error, for a command that is not a server.
pub(super) fn start(config: &LogConfig) {
    let (_, problem) = begin(config, BoxMakeWriter::new(std::io::stderr), None);
    if let Some(problem) = problem {
        complain!("wireplug: {problem}");
    }
}

/// Starts logging for a server, which must not wait for the reader of its log. Adds warnings and
/// errors to `events`. Returns the means to change the log.
pub(super) fn start_to(output: &Output, config: &LogConfig, events: Option<Events>) -> LogControl {
    output.set_format(config.format);
    let writer = output.clone();
    let (set, problem) = begin(config, BoxMakeWriter::new(move || writer.log()), events);
    if let Some(problem) = problem {
        output.complain(Level::WARN, format_args!("wireplug: {problem}"), &problem, json!({}));
    }
    LogControl { output: output.clone(), set }
}

/// Applies a level and a format to all later lines.
type SetLog = Box<dyn Fn(&LogConfig) + Send + Sync>;

/// Changes the log of a running server.
pub(super) struct LogControl {
    output: Output,
    set: SetLog,
}

impl LogControl {
    /// Applies a level and a format to all later lines. The environment variable still overrides
    /// the level.
    pub(super) fn set(&self, config: &LogConfig) {
        (self.set)(config);
        self.output.set_format(config.format);
    }
}

/// Returns the format that a configuration file asks for. The file may contain any mistakes except
/// mistakes in its TOML syntax.
pub(super) fn format_in(file: &Path) -> Option<LogFormat> {
    let table: toml::Table = std::fs::read_to_string(file).ok()?.parse().ok()?;
    table.get("log")?.get("format")?.clone().try_into().ok()
}

/// Initializes the log. Returns a function that changes it, and a description of the problem if the
/// environment variable, which overrides the configured level, has an invalid value.
fn begin(config: &LogConfig, writer: BoxMakeWriter, events: Option<Events>) -> (SetLog, Option<String>) {
    let is_json = Arc::new(AtomicBool::new(config.format == LogFormat::Json));
    let lines = tracing_subscriber::fmt::layer()
        // Colours are only for terminals. In a file or a journal their escape sequences would be
        // noise.
        .with_ansi(are_colours_wanted())
        // Otherwise a line that cannot be written would end the task that logs it.
        .log_internal_errors(false)
        .fmt_fields(JsonFields::new())
        .event_format(LineFormat::new(Arc::clone(&is_json)))
        .with_writer(writer);
    let variable = env::var(VARIABLE);
    let is_overridden = variable.as_ref().is_ok_and(|value| directives(value).next().is_some());
    let (filter, problem) = filter(config.level, variable);
    let log = tracing_subscriber::registry().with(lines).with(events.map(RecentLines));
    let level = Arc::new(AtomicU8::new(config.level as u8));
    let access = Arc::new(AtomicBool::new(logs_all_access(config)));
    if is_overridden && problem.is_none() {
        log.with(filter).init();
    } else {
        // A filter that can be replaced would take a lock that all connections share, at each turn
        // of each. This one decides once for each line of the program, until its level changes.
        let (level, access) = (Arc::clone(&level), Arc::clone(&access));
        let is_wanted = move |metadata: &Metadata<'_>| {
            is_logged(metadata, level.load(Ordering::Relaxed), access.load(Ordering::Relaxed))
        };
        log.with(filter_fn(is_wanted)).init();
    }
    let set = move |config: &LogConfig| {
        is_json.store(config.format == LogFormat::Json, Ordering::Relaxed);
        level.store(config.level as u8, Ordering::Relaxed);
        access.store(logs_all_access(config), Ordering::Relaxed);
        rebuild_interest_cache();
    };
    (Box::new(set), problem)
}

/// Returns whether the access log is switched on for all connections. Its lines are then logged at
/// any level.
fn logs_all_access(config: &LogConfig) -> bool {
    config.access >= LoggedAccess::Connections
}

/// Returns whether a line is logged at a level, which is that of a [`LogLevel`]. It is the same as
/// what the configured directives of [`filter`] say. `access` says whether the access log is
/// switched on for all connections.
fn is_logged(metadata: &Metadata<'_>, level: u8, access: bool) -> bool {
    let of_line = match *metadata.level() {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        Level::DEBUG => LogLevel::Debug,
        Level::TRACE => LogLevel::Trace,
    };
    match metadata.target() {
        target if target.starts_with("async_nats") => false,
        target if target.starts_with("wireplug::audit") => of_line as u8 <= LogLevel::Info as u8,
        target if access && target == ACCESS => of_line as u8 <= LogLevel::Info as u8,
        // The lines of the access log have the fields of their connection.
        target if access && metadata.is_span() && target.starts_with("wireplug") => true,
        _ => of_line as u8 <= level,
    }
}

/// Returns the directives in a value of [`VARIABLE`].
fn directives(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|directive| !directive.is_empty())
}

/// Returns the filter for this level and this value of [`VARIABLE`], and a description of the
/// problem if the value is invalid.
fn filter(level: LogLevel, variable: Result<String, VarError>) -> (EnvFilter, Option<String>) {
    let level = match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    // The NATS client library is silenced, because the node itself logs the state of its
    // connection. The audit log is logged at any level.
    let configured = format!("{level},async_nats=off,wireplug::audit=info");
    let value = match variable {
        Ok(value) => value,
        Err(VarError::NotPresent) => String::new(),
        Err(VarError::NotUnicode(value)) => {
            let problem = is_ignored(&value.to_string_lossy(), "it is not UTF-8", level);
            return (EnvFilter::new(configured), Some(problem));
        }
    };
    let mut directives = directives(&value).peekable();
    if directives.peek().is_none() {
        return (EnvFilter::new(configured), None);
    }
    let unknown = directives.find(|directive| is_no_level(directive));
    if let Some(word) = unknown {
        let wrong = format!("{:?} is no level", shown(word));
        return (EnvFilter::new(configured), Some(is_ignored(&value, &wrong, level)));
    }
    match EnvFilter::builder().parse(value.trim()) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(configured), Some(is_ignored(&value, &error.to_string(), level))),
    }
}

/// Returns whether a directive is a word that is most likely a misspelt level. `EnvFilter` would
/// take such a word for the name of a crate, and would silence all other crates. A user can still
/// name a crate, together with a level.
fn is_no_level(directive: &str) -> bool {
    let is_word = !directive.is_empty() && directive.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_number = directive.parse::<usize>().is_ok();
    is_word && !is_number && directive != "wireplug" && !LEVELS.contains(&&*directive.to_ascii_lowercase())
}

fn is_ignored(value: &str, wrong: &str, level: &str) -> String {
    format!(
        "the environment variable {VARIABLE}={:?} is ignored, and the level is {level}: {wrong}; write a level \
         ({}), or TARGET=LEVEL, with commas between several",
        shown(value),
        LEVELS.join(", ")
    )
}

fn shown(value: &str) -> String {
    value.chars().take(MAX_SHOWN).collect()
}

/// Returns whether standard error is a terminal and `NO_COLOR` is not set.
fn are_colours_wanted() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    /// Returns the active directives, and the problem if there is one.
    fn of(variable: Result<&str, VarError>) -> (Vec<String>, Option<String>) {
        let (filter, problem) = filter(LogLevel::Info, variable.map(str::to_owned));
        let mut directives: Vec<_> = filter.to_string().split(',').map(str::to_owned).collect();
        directives.sort();
        (directives, problem)
    }

    #[test]
    fn an_empty_value_is_none() {
        let configured = of(Err(VarError::NotPresent));
        assert_eq!(configured.0, ["async_nats=off", "info", "wireplug::audit=info"]);
        assert_eq!(configured.1, None);
        for empty in ["", "  ", ","] {
            assert_eq!(of(Ok(empty)), configured);
        }
    }

    #[test]
    fn a_value_wins_over_the_configured_level() {
        for value in ["debug", "wireplug=debug", "wireplug", "wireplug::slot=trace,warn", "DEBUG", "5", "off"]
        {
            let (directives, problem) = of(Ok(value));
            assert_eq!(problem, None, "{value}");
            assert!(!directives.contains(&"info".to_owned()), "{value}: {directives:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_reported_and_the_configured_level_holds() {
        let not_unicode = VarError::NotUnicode(OsString::from_vec(b"inf\xff".to_vec()));
        let cases = [
            (Ok("inof"), "\"inof\" is no level"),
            (Ok("warn,nonsense"), "\"nonsense\" is no level"),
            (Ok("wireplug=loud"), "error parsing level filter"),
            (Ok("a=b=c"), "error parsing level filter"),
            (Err(not_unicode), "it is not UTF-8"),
        ];
        for (variable, wrong) in cases {
            let (directives, problem) = of(variable);
            assert!(directives.contains(&"info".to_owned()), "{directives:?}");
            let problem = problem.unwrap();
            assert!(problem.starts_with("the environment variable RUST_LOG="), "{problem}");
            assert!(problem.contains("the level is info") && problem.contains(wrong), "{problem}");
        }
        assert!(of(Ok(&"x".repeat(100_000))).1.unwrap().len() < 1000);
    }
}
