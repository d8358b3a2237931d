//! The primitives that the assignments are built of. Under the model checker these are the
//! checker's own.

pub(super) use std::sync::atomic::{AtomicBool, Ordering};
pub(super) use std::sync::{Arc, Mutex, MutexGuard};

use std::sync::PoisonError;

/// Locks a mutex. A poisoned lock is used as well, because no code that runs under it can leave its
/// data half changed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
