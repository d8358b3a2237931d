//! Reports panics through the queues, because the standard library would write to standard error
//! itself and wait for its reader.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::num::NonZeroU32;
use std::panic;
use std::thread;
use std::time::Duration;

use governor::{Quota, RateLimiter};
use serde_json::json;
use tracing::Level;

use super::Output;

/// The most panics that are reported in a second. The number is limited, because a client may have
/// found a packet that causes a panic.
const A_SECOND: NonZeroU32 = NonZeroU32::new(20).unwrap();

/// The most characters of a panic message, which may repeat text that a client sent.
const MAX_MESSAGE: usize = 1024;

/// How long a thread that panics waits until its report is written, because the process may be
/// about to abort. The thread does not wait if the reader is behind.
const PATIENCE: Duration = Duration::from_millis(100);

/// Reports the panics of all threads from now on.
pub(super) fn report_to(output: Output) {
    let limit = RateLimiter::direct(Quota::per_second(A_SECOND));
    panic::set_hook(Box::new(move |info| {
        if limit.check().is_err() {
            return output.stderr.leave_out();
        }
        let current = thread::current();
        let thread = current.name().unwrap_or("without a name");
        let location = info.location().map_or_else(String::new, ToString::to_string);
        let message = info.payload_as_str().unwrap_or("no message");
        let message: String = message.chars().take(MAX_MESSAGE).collect();
        // Captured only if RUST_BACKTRACE is set.
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
        let rest =
            backtrace.as_ref().map_or_else(String::new, |backtrace| format!("\n{}", backtrace.trim_end()));
        let text = format!("thread {thread:?} panicked at {location}: {message}{rest}");
        let fields = json!({ "thread": thread, "location": location, "backtrace": backtrace });
        let keeps_up = output.stderr.flush(Duration::ZERO);
        output.complain(Level::ERROR, text, &format!("panicked: {message}"), fields);
        if keeps_up {
            output.stderr.flush(PATIENCE);
        }
    }));
}
