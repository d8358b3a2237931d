//! The output of `wireplug serve` to standard output and standard error.
//!
//! Both streams go through queues, so no reader can delay the server. Standard error has the log.
//! Standard output has messages for the user who started the server: the addresses of its
//! listeners, and its counts. With `format = "json"`, each line on either stream is a JSON object,
//! once the configuration has been read.

mod cut;
mod panics;
mod queue;

use std::fmt::Display;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Serialize;
use serde_json::{Value, json};
use tracing::Level;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use wireplug::config::LogFormat;

use self::queue::Queue;

/// How long the process waits for its readers when it ends. A reader that reads at all takes the
/// remaining lines within this time.
const LAST_LINES: Duration = Duration::from_millis(500);

/// The standard streams of a server. Cheap to clone.
#[derive(Clone)]
pub(super) struct Output {
    stdout: Queue,
    stderr: Queue,
    /// Whether lines are JSON. They are text until the configuration has been read.
    is_json: Arc<AtomicBool>,
}

/// Flushes both streams when it is dropped, also during a panic. Waits for a bounded time.
pub(super) struct Flushed(Output);

impl Output {
    /// Starts the threads that write, and sets the hook that reports panics through them.
    ///
    /// # Errors
    /// Returns an error if a thread cannot be started, or a descriptor is refused.
    pub(super) fn start() -> anyhow::Result<(Self, Flushed)> {
        let is_json = Arc::new(AtomicBool::new(false));
        let queue = |name, stream: BorrowedFd<'_>| {
            let is_json = Arc::clone(&is_json);
            // Writes to the descriptor itself, without the locks and the buffers of the standard
            // library.
            let stream = stream.try_clone_to_owned().context("a standard stream cannot be used")?;
            Queue::start(name, File::from(stream), move |count| {
                let message = format!("{count} lines were left out: they could not be written fast enough");
                render(&is_json, Level::WARN, &message, &message, json!({ "left_out": count }))
            })
        };
        let stdout = queue("wireplug-stdout", io::stdout().as_fd())?;
        let stderr = queue("wireplug-stderr", io::stderr().as_fd())?;
        let output = Self { stdout, stderr, is_json };
        panics::report_to(output.clone());
        Ok((output.clone(), Flushed(output)))
    }

    /// Sets the format of all later lines.
    pub(super) fn set_format(&self, format: LogFormat) {
        self.is_json.store(format == LogFormat::Json, Ordering::Relaxed);
    }

    /// Returns whether lines are text for people, which they are until the configuration has been
    /// read.
    pub(super) fn is_text(&self) -> bool {
        !self.is_json.load(Ordering::Relaxed)
    }

    /// Prints to standard output: `text` for people, `message` and `fields` for machines.
    pub(super) fn say(&self, text: impl Display, message: &str, fields: Value) {
        self.stdout.push(render(&self.is_json, Level::INFO, text, message, fields));
    }

    /// Prints a message that has no fields.
    pub(super) fn say_only(&self, message: &str) {
        self.say(message, message, json!({}));
    }

    /// Writes a message to standard error that is not a log event, so the level of the log does not
    /// hide it.
    pub(super) fn complain(&self, level: Level, text: impl Display, message: &str, fields: Value) {
        self.stderr.push(render(&self.is_json, level, text, message, fields));
    }

    /// Returns the number of lines that were left out since the start, on both streams.
    pub(super) fn left_out(&self) -> u64 {
        self.stdout.left_out() + self.stderr.left_out()
    }

    /// Returns a writer of log lines. Each write is one line.
    pub(super) fn log(&self) -> LogWriter {
        LogWriter(self.clone())
    }
}

impl Drop for Flushed {
    fn drop(&mut self) {
        let end = Instant::now() + LAST_LINES;
        for stream in [&self.0.stderr, &self.0.stdout] {
            stream.flush(end.saturating_duration_since(Instant::now()));
        }
    }
}

/// A writer of log lines.
pub(super) struct LogWriter(Output);

impl io::Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        self.0.stderr.push(if self.0.is_text() { cut::cut_text(&text) } else { cut::cut_json(&text) });
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A line in JSON, with the same keys as a line of the log.
#[derive(Serialize)]
struct Record<'a> {
    timestamp: String,
    level: &'a str,
    message: &'a str,
    #[serde(flatten)]
    fields: Value,
    target: &'a str,
}

/// Formats a line as text or JSON, with its end.
fn render(is_json: &AtomicBool, level: Level, text: impl Display, message: &str, fields: Value) -> String {
    if !is_json.load(Ordering::Relaxed) {
        return format!("{text}\n");
    }
    let mut timestamp = String::new();
    // The log uses the same clock. Writing to a string cannot fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
    let record = Record { timestamp, level: level.as_str(), message, fields, target: "wireplug::serve" };
    match serde_json::to_string(&record) {
        Ok(json) => json + "\n",
        Err(error) => unreachable!("texts and numbers are JSON: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _, pipe};
    use std::{panic, thread};

    use super::*;

    /// Panics, the format of which changes, and a log line that is longer than any may be.
    #[test]
    fn panics_are_lines_like_others() {
        let (reader, writer) = pipe().unwrap();
        let notice = |count| format!("{count}\n");
        let is_json = Arc::default();
        let queue = Queue::start("test", writer, notice).unwrap();
        let output = Output { stdout: queue.clone(), stderr: queue, is_json };
        panics::report_to(output.clone());
        let fails = || {
            let thread = thread::Builder::new().name("fragile".to_owned());
            let ended = thread.spawn(|| panic!("it broke\n{}", "x".repeat(100_000))).unwrap().join();
            assert!(ended.is_err());
        };
        fails();
        output.set_format(LogFormat::Json);
        fails();
        (0..100).for_each(|_| fails());
        let _ = panic::take_hook();
        let left_out = output.stderr.left_out();
        assert!(left_out > 0 && left_out < 102, "{left_out}");

        let mut lines = BufReader::new(reader).lines().map(Result::unwrap);
        let first = lines.next().unwrap();
        assert!(first.starts_with("thread \"fragile\" panicked at "), "{first}");
        assert!(first.ends_with(": it broke"), "{first}");
        let mut object = || lines.find_map(|line| serde_json::from_str::<Value>(&line).ok()).unwrap();
        let second = object();
        assert!(second["message"].as_str().unwrap().starts_with("panicked: it broke\nxxx"), "{second}");
        assert_eq!((&second["level"], &second["thread"]), (&json!("ERROR"), &json!("fragile")));
        assert!(second.to_string().len() < 4096 || second["backtrace"].is_string(), "{second}");
    }

    #[test]
    fn log_lines_are_cut() {
        let (reader, writer) = pipe().unwrap();
        let queue = Queue::start("test", writer, |count| format!("{count}\n")).unwrap();
        let output = Output { stdout: queue.clone(), stderr: queue, is_json: Arc::default() };
        let mut lines = BufReader::new(reader).lines().map(Result::unwrap);
        let text = format!("{}\n", "x".repeat(100_000));
        output.log().write_all(text.as_bytes()).unwrap();
        assert!(lines.next().unwrap().ends_with(" bytes left out"));
        output.set_format(LogFormat::Json);
        output.log().write_all(format!("{}\n", json!({ "message": text })).as_bytes()).unwrap();
        let line = lines.next().unwrap();
        assert!(serde_json::from_str::<Value>(&line).is_ok() && line.len() < 4096, "{line}");
    }
}
