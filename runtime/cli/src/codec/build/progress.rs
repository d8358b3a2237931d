//! Shows the current step and the elapsed time in one line on the terminal. Shows nothing if
//! standard error is not a terminal.

use std::borrow::Cow;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// The line, which is removed when this is dropped.
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn start(doing: impl Into<Cow<'static, str>>) -> Self {
        let style =
            ProgressStyle::with_template("{spinner} {msg} ({elapsed})").expect("the template is sound");
        let bar = ProgressBar::new_spinner().with_style(style).with_message(doing);
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    /// Shows the next step.
    pub(super) fn step(&self, doing: impl Into<Cow<'static, str>>) {
        self.0.set_message(doing);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
