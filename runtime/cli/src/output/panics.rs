//! Panics are reported as other lines are: the standard library would write to standard error
//! itself, and wait for its reader.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::num::NonZeroU32;
use std::panic;
use std::thread;
use std::time::Duration;

use governor::{Quota, RateLimiter};
use serde_json::json;
use tracing::Level;

use super::Output;

/// Reports in a second. A client may have found a packet that panics.
const A_SECOND: NonZeroU32 = NonZeroU32::new(20).unwrap();

/// The longest message, in characters. It may repeat what a client sent.
const MAX_MESSAGE: usize = 1024;

/// How long a thread that panics waits for its report: it may be about to abort the process. It
/// waits for no reader who is behind.
const PATIENCE: Duration = Duration::from_millis(100);

/// Reports panics of any thread from now on.
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
        // Where RUST_BACKTRACE asks for it.
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
