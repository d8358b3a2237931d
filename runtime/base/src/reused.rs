//! Buffers that the sessions of a thread take turns to use.
//!
//! A session needs most of its buffers only during a call, or until the client has taken what is in
//! them. So each thread keeps one spare buffer of each kind. A session takes the spare buffer when
//! it has something to put into it, and gives it back when it is empty. So an idle session has no
//! memory in buffers, and the buffer that a session takes is still in the processor's cache.

use std::cell::Cell;
use std::sync::Arc;
use std::thread::LocalKey;

/// The capacity that the spare buffer of a thread keeps, in bytes. It is enough for most batches,
/// and there is one for each thread and kind.
const KEPT: usize = 64 << 10;

/// A kind of buffer that sessions take turns to use. [`reusable`](crate::reusable) implements it.
pub trait Reusable: Default + 'static {
    /// Returns whether the buffer holds nothing.
    fn holds_nothing(&self) -> bool;

    /// Empties the buffer, and frees capacity above this number of bytes. Returns false if another
    /// owner has the buffer too.
    fn reset(&mut self, kept: usize) -> bool;

    /// Returns the place of the thread's spare buffer.
    fn spare() -> &'static LocalKey<Cell<Option<Self>>>;

    /// Returns the place of the thread's spare buffer of those that can be shared during a call.
    fn spare_to_share() -> &'static LocalKey<Cell<Option<Arc<Self>>>>;
}

impl<T: Reusable> Reusable for Arc<T> {
    fn holds_nothing(&self) -> bool {
        T::holds_nothing(self)
    }

    fn reset(&mut self, kept: usize) -> bool {
        Arc::get_mut(self).is_some_and(|buffer| buffer.reset(kept))
    }

    fn spare() -> &'static LocalKey<Cell<Option<Self>>> {
        T::spare_to_share()
    }

    fn spare_to_share() -> &'static LocalKey<Cell<Option<Arc<Self>>>> {
        unreachable!("a buffer is shared once")
    }
}

/// Implements [`Reusable`] for a type of buffers: how one is found to be empty, and how one is
/// emptied and shrunk to a number of bytes.
#[macro_export]
macro_rules! reusable {
    ($type:ty, $holds_nothing:expr, $reset:expr) => {
        impl $crate::reused::Reusable for $type {
            fn holds_nothing(&self) -> bool {
                let holds_nothing: fn(&Self) -> bool = $holds_nothing;
                holds_nothing(self)
            }

            fn reset(&mut self, kept: usize) -> bool {
                let reset: fn(&mut Self, usize) = $reset;
                reset(self, kept);
                true
            }

            fn spare() -> &'static ::std::thread::LocalKey<::std::cell::Cell<Option<Self>>> {
                ::std::thread_local! {
                    static SPARE: ::std::cell::Cell<Option<$type>> =
                        const { ::std::cell::Cell::new(None) };
                }
                &SPARE
            }

            fn spare_to_share()
            -> &'static ::std::thread::LocalKey<::std::cell::Cell<Option<::std::sync::Arc<Self>>>> {
                ::std::thread_local! {
                    static SPARE: ::std::cell::Cell<Option<::std::sync::Arc<$type>>> =
                        const { ::std::cell::Cell::new(None) };
                }
                &SPARE
            }
        }
    };
}

reusable!(Vec<u8>, Vec::is_empty, |bytes, kept| {
    bytes.clear();
    bytes.shrink_to(kept);
});

/// A buffer that has memory only while a session uses it.
#[derive(Debug, Default)]
pub struct Reused<T: Reusable>(Option<T>);

impl<T: Reusable> Reused<T> {
    /// Creates an empty buffer without memory.
    pub fn new() -> Self {
        Self(None)
    }

    /// Returns the buffer, or `None` if it holds nothing.
    pub fn get(&self) -> Option<&T> {
        self.0.as_ref().filter(|buffer| !buffer.holds_nothing())
    }

    /// Returns the buffer to write to. Takes the spare buffer of this thread if it has none.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_or_insert_with(|| {
            // A thread that ends has no spare buffers any more.
            T::spare().try_with(Cell::take).ok().flatten().unwrap_or_default()
        })
    }

    /// Returns whether the buffer holds nothing.
    pub fn is_empty(&self) -> bool {
        self.get().is_none()
    }

    /// Empties the buffer, and makes it the spare one of this thread.
    pub fn release(&mut self) {
        if let Some(mut buffer) = self.0.take()
            && buffer.reset(KEPT)
        {
            let _ = T::spare().try_with(|spare| spare.set(Some(buffer)));
        }
    }
}

impl<T: Reusable> Drop for Reused<T> {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sessions_of_a_thread_take_turns() {
        let (mut one, mut other) = (Reused::<Vec<u8>>::new(), Reused::<Vec<u8>>::new());
        one.get_mut().extend_from_slice(&[7; 100]);
        let memory = one.get().unwrap().as_ptr();
        other.get_mut().push(8);
        assert_ne!(memory, other.get().unwrap().as_ptr(), "a buffer in use is nobody else's");
        one.release();
        assert!(one.is_empty() && one.get().is_none());
        let mut third = Reused::<Vec<u8>>::new();
        third.get_mut().push(9);
        assert_eq!((third.get().unwrap().as_ptr(), &third.get().unwrap()[..]), (memory, &[9][..]));
        drop(third);
        one.get_mut().push(1);
        assert_eq!(one.get().unwrap().as_ptr(), memory, "a session that ends gives its buffer back");
    }

    #[test]
    fn a_spare_buffer_is_of_bounded_size_and_has_one_owner() {
        let mut large = Reused::<Vec<u8>>::new();
        large.get_mut().resize(1 << 20, 0);
        large.release();
        assert!(large.get_mut().capacity() <= KEPT);

        let mut shared = Reused::<Arc<Vec<u8>>>::new();
        Arc::make_mut(shared.get_mut()).push(1);
        let other = Arc::clone(shared.get().unwrap());
        shared.release();
        assert!(!Arc::ptr_eq(shared.get_mut(), &other));
        assert_eq!(*other, [1]);
    }
}
