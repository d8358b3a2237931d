//! The primitives that the assignments are built of. Under the model checker these are the
//! checker's own.

pub(super) use std::sync::atomic::{AtomicBool, Ordering};
pub(super) use std::sync::{Arc, Mutex, MutexGuard};

use std::sync::PoisonError;

/// Nothing that runs under this lock can leave what it guards half done.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
