//! Reports to whoever waits for a component that it is being compiled: an interpreter takes
//! seconds.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What is reported of compiling, on the thread that compiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compiling {
    /// A component that is not in the cache is compiled from here on.
    Begun {
        /// Its size, in bytes.
        size: usize,
        /// Whether a cache keeps what comes of it, so that it is not compiled again.
        kept: bool,
    },
    /// It is compiled, or refused.
    Ended {
        /// How long it took.
        took: Duration,
    },
}

/// The function that gets the reports. Cheap to clone.
#[derive(Clone)]
pub struct CompileObserver(Arc<dyn Fn(Compiling) + Send + Sync>);

impl CompileObserver {
    /// From a function, which holds up what compiles.
    pub fn new(tell: impl Fn(Compiling) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    pub(super) fn tell(&self, news: Compiling) {
        self.0(news);
    }
}

impl fmt::Debug for CompileObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompileObserver").finish_non_exhaustive()
    }
}
