//! A value that a thread is lent for the length of a closure, found again through a thread-local.
//!
//! For what a thread works with all the time, such as its wheel: to find it costs one load, where a cell that owns the value has a destructor, and
//! asks at every access whether it has run.
//!
//! The pointer is set for the length of one closure and put back when it ends, also by a panic, as that of the [`record`](crate::record).

use std::cell::Cell;
use std::ptr;

#[cfg(asyncio_loom)]
pub use loom::thread::LocalKey;
#[cfg(not(asyncio_loom))]
pub use std::thread::LocalKey;

/// What a thread-local for [`lend`] holds.
#[derive(Debug)]
pub struct Lent<T>(Cell<*const T>);

impl<T> Default for Lent<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Lent<T> {
    /// Nothing has been lent.
    pub const fn new() -> Self {
        Lent(Cell::new(ptr::null()))
    }
}

/// Puts back what was lent before, also on unwind.
struct Restore<T: 'static>(&'static LocalKey<Lent<T>>, *const T);

impl<T: 'static> Drop for Restore<T> {
    fn drop(&mut self) {
        // A thread that is being torn down has no cell left, and nobody who could read it.
        let _ = self.0.try_with(|lent| lent.0.set(self.1));
    }
}

/// Lends `value` to this thread while `f` runs.
pub fn lend<T, R>(key: &'static LocalKey<Lent<T>>, value: &T, f: impl FnOnce() -> R) -> R {
    let before = key.try_with(|lent| lent.0.replace(value));
    let _restore = Restore(key, before.unwrap_or(ptr::null()));
    f()
}

/// What this thread was lent last; `None` without.
#[inline(always)]
pub fn with<T, R>(key: &'static LocalKey<Lent<T>>, f: impl FnOnce(Option<&T>) -> R) -> R {
    let pointer = key.try_with(|lent| lent.0.get()).unwrap_or(ptr::null());
    // SAFETY: a pointer in the cell was put there by a `lend` on this thread that has not returned: `Restore` takes it out before `lend` gives its
    // borrow of the value back. The reference handed on cannot leave the closure.
    f(unsafe { pointer.as_ref() })
}

#[cfg(all(test, not(asyncio_loom)))]
mod tests {
    use super::*;

    thread_local! {
        static NAME: Lent<String> = const { Lent::new() };
    }

    fn current() -> Option<String> {
        with(&NAME, |name| name.cloned())
    }

    #[test]
    fn what_is_lent_nests_and_is_put_back_on_a_panic() {
        let (outer, inner) = (String::from("outer"), String::from("inner"));
        assert_eq!(current(), None);
        lend(&NAME, &outer, || {
            let panics = std::panic::AssertUnwindSafe(|| {
                lend(&NAME, &inner, || panic!("seen: {:?}", current()));
            });
            let panic = std::panic::catch_unwind(panics).unwrap_err();
            assert_eq!(panic.downcast_ref::<String>().unwrap(), "seen: Some(\"inner\")");
            assert_eq!(current().as_ref(), Some(&outer));
            std::thread::scope(|s| assert_eq!(s.spawn(current).join().unwrap(), None));
        });
        assert_eq!(current(), None);
    }
}
