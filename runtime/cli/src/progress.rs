//! Reports that a codec is being compiled. Compiling an interpreter for the first time takes
//! seconds, in which a user would otherwise see nothing.
//!
//! On a terminal, the report is an animated line that is removed when the work is done. Otherwise,
//! and if the output is JSON, it is a line in the log. Work that takes only a moment is not
//! reported.

use std::cell::RefCell;
use std::io::IsTerminal as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tracing::info;
use wireplug_wasm::{CompileObserver, Compiling};

/// The time after which the work is reported on a terminal.
const PATIENCE: Duration = Duration::from_millis(300);

/// The time after which the work is reported in a log.
const WORTH_A_LINE: Duration = Duration::from_secs(1);

/// How often the line on the terminal is redrawn.
const TICK: Duration = Duration::from_millis(100);

/// How long the work waits until the line has been removed. The wait is bounded, because a terminal
/// that is stopped accepts no output.
const CLEARING: Duration = Duration::from_millis(100);

/// The bytes that one core compiles in a second: an average over interpreters, whose rates vary
/// from half of it to twice as much.
const BYTES_A_SECOND: f64 = 1e6;

thread_local! {
    /// The watch of the component that this thread compiles.
    static WATCH: RefCell<Option<Watch>> = const { RefCell::new(None) };
}

/// Returns an observer that reports compilations. `is_text` says whether the output is for people.
pub(super) fn shown(is_text: bool) -> CompileObserver {
    let moves = is_text && std::io::stderr().is_terminal();
    CompileObserver::new(move |news| {
        WATCH.set(match news {
            Compiling::Begun { size, kept } => Some(Watch::begin(size, kept, moves)),
            Compiling::Ended { .. } => None,
        });
    })
}

/// A thread that reports the work until it is done.
struct Watch {
    /// Dropped when the work is done.
    working: Option<Sender<()>>,
    /// Disconnected when the line has been removed.
    shown: Receiver<()>,
}

impl Watch {
    fn begin(size: usize, kept: bool, moves: bool) -> Self {
        let (working, done) = channel();
        let (showing, shown) = channel();
        let thread = thread::Builder::new().name("wireplug-progress".into());
        // If no thread can be started, nothing is shown and the work continues.
        let _ = thread.spawn(move || {
            tell(size, kept, moves, &done);
            drop::<Sender<()>>(showing);
        });
        Self { working: Some(working), shown }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.working = None;
        // Waits until the line has been removed, so that later output does not follow it on the
        // same line.
        let _ = self.shown.recv_timeout(CLEARING);
    }
}

fn tell(size: usize, kept: bool, moves: bool, done: &Receiver<()>) {
    let is_over = |wait| done.recv_timeout(wait) != Err(RecvTimeoutError::Timeout);
    if is_over(if moves { PATIENCE } else { WORTH_A_LINE }) {
        return;
    }
    if !moves {
        let next = if kept { "kept in the cache for the next time" } else { "compiled anew each time" };
        info!(size, next, "a codec is still compiling: the larger it is, the longer that takes");
        return;
    }
    let line = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        line.set_style(style);
    }
    line.set_message(message(size, kept));
    while !is_over(TICK) {
        line.tick();
    }
    line.finish_and_clear();
}

fn message(size: usize, kept: bool) -> String {
    let cores = thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
    let seconds = (size as f64 / BYTES_A_SECOND / cores).ceil();
    let next = if kept { ", the next time at once" } else { "" };
    format!("compiling a codec of {:.1} MB (some {seconds} s by its size{next}):", size as f64 / 1e6)
}
