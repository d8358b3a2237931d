//! What an application keeps beside its sessions, on its way to a new process of the server.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::App;

type Save = Box<dyn Fn() -> BoxFuture<'static, Vec<u8>> + Send + Sync>;

type Restore = Box<dyn Fn(Vec<u8>) -> BoxFuture<'static, ()> + Send + Sync>;

/// How an upgrade carries what an application keeps beside its sessions.
#[derive(Default)]
pub(crate) struct Carried {
    pub(crate) save: Option<Save>,
    pub(crate) restore: Option<Restore>,
}

impl<S> App<S> {
    /// Saves what the application keeps beside its sessions, when another process takes over in an
    /// [upgrade](crate::RunningServer::upgrade), before the first session moves. The application
    /// must have stopped its background work when the future is ready. The handlers of sessions
    /// that have not moved yet still run after that.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// use wireplug::App;
    ///
    /// let count = Arc::new(AtomicU64::new(0));
    /// let (saved, restored) = (Arc::clone(&count), Arc::clone(&count));
    /// let app = App::with_state(count)
    ///     .save(move || {
    ///         let count = saved.load(Ordering::Relaxed);
    ///         async move { count.to_le_bytes().to_vec() }
    ///     })
    ///     .restore(move |bytes| {
    ///         let count = bytes.try_into().map_or(0, u64::from_le_bytes);
    ///         restored.store(count, Ordering::Relaxed);
    ///         async {}
    ///     });
    /// ```
    pub fn save<F>(mut self, save: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Vec<u8>> + Send + 'static,
    {
        self.parts.carried.save = Some(Box::new(move || save().boxed()));
        self
    }

    /// Goes on with what [`App::save`] has saved in the old process, before the new one serves the
    /// first client. It is also called in the old process, with what that process has saved, if the
    /// upgrade breaks off and the application goes on there. It is not called at an ordinary start.
    pub fn restore<F>(mut self, restore: impl Fn(Vec<u8>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.parts.carried.restore = Some(Box::new(move |saved| restore(saved).boxed()));
        self
    }
}
