//! A value that signal handlers may look at, and that can be taken away from them.
//!
//! A handler may not lock: it may have interrupted the very code that holds the lock. So the value is a pointer, and handlers are counted.
//!
//! | handler | whoever takes the value away |
//! |---|---|
//! | 1. `inside` += 1 | 1. pointer := null |
//! | 2. load the pointer; if not null, look at the value | 2. wait until `inside` is 0 |
//! | 3. `inside` -= 1 | 3. the value is its own again |
//!
//! # Why nobody looks at a value that is gone
//!
//! Between steps 1 and 2 each side has a fence (`store_load_fence`), and fences have one order. If the handler's comes first, the other side
//! sees it counted and waits. If it comes second, the handler sees the null.
//!
//! The wait cannot be for itself: a handler that interrupts the waiting thread runs to its end before that goes on.
//!
//! # Orderings
//!
//! The handler's load of the pointer acquires what `publish` released: the value is whole. The decrement is a `Release` that the waiter's look
//! acquires: what the handler read, it read before the value changes hands.
//!
//! Models: `loom-tests/tests/signals.rs`.

use asyncio_base::const_fn;
use asyncio_base::sync::{
    AtomicPtr, AtomicU64, Ordering, load_after_fence, store_load_fence, thread,
};
use std::fmt;
use std::ptr;
// Not loom's: the count is no part of the protocol.
use std::sync::Arc;

/// A place for one value.
pub struct Published<T> {
    /// From `Arc::into_raw`, with its count; null while there is nothing.
    pointer: AtomicPtr<T>,
    /// Handlers that may be looking.
    inside: AtomicU64,
}

impl<T: Send + Sync> Published<T> {
    const_fn! {
        /// An empty place.
        pub const fn new() -> Self {
            Published { pointer: AtomicPtr::new(ptr::null_mut()), inside: AtomicU64::new(0) }
        }
    }

    /// Puts a value here; returns the one before, once no handler looks at it any more.
    pub fn publish(&self, value: Arc<T>) -> Option<Arc<T>> {
        self.replace(Arc::into_raw(value).cast_mut())
    }

    /// Empties the place; returns the value, once no handler looks at it any more.
    pub fn retract(&self) -> Option<Arc<T>> {
        self.replace(ptr::null_mut())
    }

    fn replace(&self, pointer: *mut T) -> Option<Arc<T>> {
        let before = self.pointer.swap(pointer, Ordering::AcqRel);
        if before.is_null() {
            return None;
        }
        store_load_fence();
        while load_after_fence(&self.inside) != 0 {
            thread::yield_now();
        }
        // SAFETY: the pointer came from `Arc::into_raw` in `publish`, and the exchange gave it to this caller alone. No handler looks at it.
        Some(unsafe { Arc::from_raw(before) })
    }

    /// Lends the value to `f`, if there is one. For signal handlers: neither locks nor allocates.
    pub fn look<R>(&self, f: impl FnOnce(&T) -> R) -> Option<R> {
        self.inside.fetch_add(1, Ordering::Relaxed);
        store_load_fence();
        let pointer = self.pointer.load(Ordering::Acquire);
        // SAFETY: a pointer found here came from `Arc::into_raw`, and whoever takes it away waits for `inside`, which counts this.
        let result = unsafe { pointer.as_ref() }.map(f);
        self.inside.fetch_sub(1, Ordering::Release);
        result
    }
}

impl<T> Drop for Published<T> {
    fn drop(&mut self) {
        let left = self.pointer.load(Ordering::Acquire);
        if !left.is_null() {
            // SAFETY: as in `replace`; with the place borrowed for good nobody looks.
            drop(unsafe { Arc::from_raw(left) });
        }
    }
}

impl<T> fmt::Debug for Published<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let empty = self.pointer.load(Ordering::Relaxed).is_null();
        f.debug_struct("Published").field("empty", &empty).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(asyncio_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_seen_until_it_is_taken_back() {
        let place = Published::new();
        assert_eq!(place.look(|value: &u32| *value), None);
        let value = Arc::new(1);
        assert!(place.publish(value.clone()).is_none());
        assert_eq!(place.look(|value| *value), Some(1));
        assert_eq!(place.publish(Arc::new(2)).as_deref(), Some(&1));
        assert_eq!(place.retract().as_deref(), Some(&2));
        assert_eq!(place.look(|value| *value), None);
        place.publish(value.clone());
        drop(place);
        assert_eq!(Arc::strong_count(&value), 1);
    }
}
