//! Reports that a component is being compiled, because an interpreter takes seconds.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A report about a compilation. It is made on the thread that compiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compiling {
    /// The compilation of a component that is not in the cache begins.
    Begun {
        /// The size of the component, in bytes.
        size: usize,
        /// Whether a cache keeps the result, so that the component is not compiled again.
        kept: bool,
    },
    /// The component was compiled or refused.
    Ended {
        /// How long the compilation took.
        took: Duration,
    },
}

/// The function that receives the reports. Cheap to clone.
#[derive(Clone)]
pub struct CompileObserver(Arc<dyn Fn(Compiling) + Send + Sync>);

impl CompileObserver {
    /// Creates an observer from a function. The compilation waits while the function runs.
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
