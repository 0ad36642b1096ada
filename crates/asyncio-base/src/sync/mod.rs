//! The one switch for atomics, locks and cells.
//!
//! | build | atomics | locks | cell |
//! |---|---|---|---|
//! | plain | std | `parking_lot` | std |
//! | `--cfg asyncio_loom` | loom | loom | loom, access tracked |
//! | `--cfg tsan` | std, a load after a fence is an RMW | `parking_lot`, whose code is instrumented with ours | std |
//! | `--cfg asyncio_count_rmw` | std, each locked read-modify-write counted | as plain, two counted per lock held | std |
//!
//! The cfg has a private name because a plain `loom` cfg would flip dependencies too.
//! No lock is poisoned, on purpose: no lock of asyncio is held while user code runs, so poison could only make one task's
//! panic hurt another.
//!
//! Every crate takes its atomics from here, never from std: a protocol that loom cannot see is not modelled.

#[cfg(all(asyncio_count_rmw, not(asyncio_loom)))]
mod counted;
#[cfg(asyncio_loom)]
#[path = "loom.rs"]
mod imp;
#[cfg(not(asyncio_loom))]
#[path = "std.rs"]
mod imp;

pub use imp::{
    Arc, AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Condvar, Mutex,
    MutexGuard, UnsafeCell, fence, spin_loop, thread,
};
pub use std::sync::atomic::Ordering;

#[cfg(all(asyncio_count_rmw, not(asyncio_loom)))]
pub use counted::rmw_count;

/// Orders a store before it against a load after it: "publish, then look".
///
/// Two threads that each store one word and then read the other's word agree that at least one of them sees the other's
/// store, if each calls this in between. It is the only such fence of the project, so that the sleeping protocols have one
/// name for it: pushing work, then looking for sleepers; publishing a deadline, then looking at the parked poller.
///
/// loom sees it as the fence it is. ThreadSanitizer does not understand fences; there the loads that follow use
/// [`load_after_fence`].
#[inline]
pub fn store_load_fence() {
    fence(Ordering::SeqCst);
}

/// The load that follows a [`store_load_fence`]: a plain `Acquire` load, except under ThreadSanitizer, where it is an RMW so
/// that the tool sees the edge that the fence makes.
#[inline]
pub fn load_after_fence(word: &AtomicU64) -> u64 {
    if cfg!(tsan) { word.fetch_add(0, Ordering::AcqRel) } else { word.load(Ordering::Acquire) }
}

/// Declares a `const fn` that is a plain `fn` under loom, whose atomics and locks cannot be made in a constant.
///
/// ```
/// use asyncio_base::{const_fn, sync::AtomicUsize};
///
/// struct Gate(AtomicUsize);
///
/// impl Gate {
///     const_fn! {
///         /// A closed gate.
///         pub const fn new() -> Self {
///             Gate(AtomicUsize::new(0))
///         }
///     }
/// }
/// static GATE: Gate = Gate::new();
/// # let _ = &GATE.0;
/// ```
#[macro_export]
macro_rules! const_fn {
    ($(#[$meta:meta])* $vis:vis const fn $name:ident($($args:tt)*) -> $ret:ty $body:block) => {
        #[cfg(not(asyncio_loom))]
        $(#[$meta])*
        $vis const fn $name($($args)*) -> $ret $body

        #[cfg(asyncio_loom)]
        $(#[$meta])*
        $vis fn $name($($args)*) -> $ret $body
    };
}

#[cfg(all(test, not(asyncio_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_panic_under_the_lock_does_not_poison_it() {
        let lock = Mutex::new(1);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _guard = lock.lock();
            panic!("under the lock");
        }));
        assert!(panicked.is_err());
        *lock.lock() += 1;
        assert_eq!(*lock.lock(), 2);
    }

    #[test]
    fn try_lock_says_whether_the_lock_was_free() {
        let lock = Mutex::new(());
        let held = lock.try_lock();
        assert!(held.is_some());
        assert!(lock.try_lock().is_none());
        drop(held);
        assert!(lock.try_lock().is_some());
    }

    #[cfg(asyncio_count_rmw)]
    #[test]
    fn locked_operations_are_counted_and_loads_are_not() {
        let word = AtomicUsize::new(0);
        let before = rmw_count();
        word.fetch_add(1, Ordering::AcqRel);
        word.load(Ordering::Acquire);
        drop(Mutex::new(()).lock());
        assert!(rmw_count() - before >= 3);
        assert!(!AtomicBool::default().load(Ordering::Relaxed));
    }
}
