//! Says that a codec compiles, to people who would else look at nothing: an interpreter takes
//! seconds, the first time.
//!
//! On a terminal it is a line that moves and is gone when the work is done, elsewhere and among
//! JSON a line in the log. Work that is done in a moment is not reported.

use std::cell::RefCell;
use std::io::IsTerminal as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tracing::info;
use wireplug_wasm::{CompileObserver, Compiling};

/// How long people look at nothing before it is worth a line on their terminal.
const PATIENCE: Duration = Duration::from_millis(300);

/// How long it takes before it is worth a line in a log.
const WORTH_A_LINE: Duration = Duration::from_secs(1);

/// How often the line on the terminal moves.
const TICK: Duration = Duration::from_millis(100);

/// How long the work waits until the line is gone. A terminal that somebody has stopped takes
/// nothing.
const CLEARING: Duration = Duration::from_millis(100);

/// What a core compiles in a second, in bytes: some mean of what was seen with interpreters, half
/// of it to twice as much.
const BYTES_A_SECOND: f64 = 1e6;

thread_local! {
    /// What this thread compiles.
    static WATCH: RefCell<Option<Watch>> = const { RefCell::new(None) };
}

/// Shows what is compiled. With `is_text` standard error is for people.
pub(super) fn shown(is_text: bool) -> CompileObserver {
    let moves = is_text && std::io::stderr().is_terminal();
    CompileObserver::new(move |news| {
        WATCH.set(match news {
            Compiling::Begun { size, kept } => Some(Watch::begin(size, kept, moves)),
            Compiling::Ended { .. } => None,
        });
    })
}

/// A thread that tells of the work until it is done.
struct Watch {
    /// Dropped when the work is done.
    working: Option<Sender<()>>,
    /// Disconnected when the line is gone.
    shown: Receiver<()>,
}

impl Watch {
    fn begin(size: usize, kept: bool, moves: bool) -> Self {
        let (working, done) = channel();
        let (showing, shown) = channel();
        let thread = thread::Builder::new().name("wireplug-progress".into());
        // Without a thread nothing is shown, and the work goes on.
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
        // The line is gone before anything else is printed.
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
