//! Settings that a reload replaces while connections use them.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Settings of which there is always a current version.
///
/// Those who use the settings often keep a [`Seen`], and find out by one number whether it is
/// current. So connections share no lock.
#[derive(Debug)]
pub(super) struct Live<T> {
    /// The number of the current version. Changed under the lock.
    version: AtomicU64,
    current: Mutex<Arc<T>>,
}

/// A version of settings. It dereferences to the settings.
#[derive(Debug)]
pub(super) struct Seen<T> {
    version: u64,
    settings: Arc<T>,
}

impl<T> Live<T> {
    pub(super) fn new(settings: T) -> Self {
        Self { version: AtomicU64::new(0), current: Mutex::new(Arc::new(settings)) }
    }

    /// Returns the current version.
    pub(super) fn get(&self) -> Seen<T> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        // The order is that of the lock.
        Seen { version: self.version.load(Ordering::Relaxed), settings: Arc::clone(&current) }
    }

    /// Replaces the settings. Whoever is woken afterwards sees the new ones.
    pub(super) fn set(&self, settings: T) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(settings);
        self.version.fetch_add(1, Ordering::Release);
    }
}

impl<T> Seen<T> {
    /// Takes over the current version. Returns whether it is another one.
    #[inline]
    pub(super) fn refresh(&mut self, live: &Live<T>) -> bool {
        let is_current = self.version == live.version.load(Ordering::Acquire);
        if !is_current {
            *self = live.get();
        }
        !is_current
    }
}

impl<T> Deref for Seen<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_once_by_each() {
        let live = Live::new(1);
        let (mut one, mut other) = (live.get(), live.get());
        assert!(!one.refresh(&live));
        live.set(2);
        live.set(3);
        assert_eq!(*one, 1);
        assert!(one.refresh(&live) && *one == 3);
        assert!(!one.refresh(&live));
        assert!(other.refresh(&live) && *other == 3);
        assert!(!live.get().refresh(&live));
    }
}
