//! What code on a thread works with, registered for the length of a closure.

use std::cell::RefCell;
use std::thread::LocalKey;

/// A place for it.
pub(crate) type Place<T> = LocalKey<RefCell<Option<T>>>;

/// Puts back what was current before, also on unwind.
struct Restore<T: 'static>(&'static Place<T>, Option<T>);

impl<T> Drop for Restore<T> {
    fn drop(&mut self) {
        let before = self.1.take();
        // A thread that is being torn down has no cell left, and nobody who could read it.
        let entered = self.0.try_with(|current| current.replace(before));
        drop(entered);
    }
}

/// Runs `f` with `value` as the current one on this thread. Calls nest.
pub(crate) fn enter<T, R>(place: &'static Place<T>, value: T, f: impl FnOnce() -> R) -> R {
    let before = place.try_with(|current| current.replace(Some(value)));
    let _restore = Restore(place, before.ok().flatten());
    f()
}

/// The current one.
pub(crate) fn get<T: Clone>(place: &'static Place<T>) -> Option<T> {
    place.try_with(|current| current.borrow().clone()).ok().flatten()
}
