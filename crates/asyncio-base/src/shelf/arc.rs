//! A shared pointer whose memory comes from the [shelf](super) and goes back there.
//!
//! `count` counts the pointers that keep the value, `weak` those that only keep the memory, and one for all of the former together. The value is
//! dropped by whoever takes `count` to 0, the memory given back by whoever takes `weak` to 0. Where no weak pointer was made the latter costs
//! no exchange: with `count` at 0 and `weak` at 1 there is nobody left who could make one.

use super::{class_of, free_block, take_block};
use std::alloc::Layout;
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::{self, NonNull};
// Not loom's: as with std's `Arc`, the count is no part of a model.
use std::sync::atomic::{AtomicUsize, Ordering};

/// As `std::sync::Arc`.
pub struct ShelfArc<T: ?Sized> {
    counted: NonNull<Counted<T>>,
    /// It may drop one.
    owns: PhantomData<Counted<T>>,
}

/// A value and how many pointers lead to it.
#[repr(C)]
#[derive(Debug)]
pub struct Counted<T: ?Sized> {
    count: AtomicUsize,
    weak: AtomicUsize,
    value: T,
}

/// As `std::sync::Weak`.
pub struct ShelfWeak<T> {
    counted: NonNull<Counted<T>>,
    /// Whoever upgrades it may drop one.
    owns: PhantomData<Counted<T>>,
}

/// Beyond this somebody leaks clones in a loop.
const MOST: usize = isize::MAX as usize;

// SAFETY: as for `Arc`: the value is shared among threads, and dropped by any of them.
unsafe impl<T: ?Sized + Send + Sync> Send for ShelfArc<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send + Sync> Sync for ShelfArc<T> {}

// SAFETY: as above: it may be upgraded anywhere.
unsafe impl<T: Send + Sync> Send for ShelfWeak<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for ShelfWeak<T> {}

impl<T: ?Sized + RefUnwindSafe> UnwindSafe for ShelfArc<T> {}
impl<T: ?Sized + RefUnwindSafe> RefUnwindSafe for ShelfArc<T> {}

impl<T> ShelfArc<T> {
    /// Puts a value where it can be shared.
    #[inline]
    pub fn new(value: T) -> Self {
        Self::with(|| value)
    }

    /// As [`new`](Self::new), with the value made in its place; should that panic, the memory is lost.
    #[inline]
    pub fn with(make: impl FnOnce() -> T) -> Self {
        let layout = Layout::new::<Counted<T>>();
        let memory = take_block(class_of(layout), layout).cast::<Counted<T>>();
        // SAFETY: the memory is for this, and ours.
        unsafe {
            let (count, weak) = (AtomicUsize::new(1), AtomicUsize::new(1));
            memory.write(Counted { count, weak, value: make() });
        }
        ShelfArc { counted: memory, owns: PhantomData }
    }

    /// The same pointer to a `U` that the `T` can be seen as, such as a trait object.
    ///
    /// # Safety
    ///
    /// `as_unsized` does no more than a coercion of its argument.
    #[inline]
    pub unsafe fn unsize<U: ?Sized>(
        self,
        as_unsized: fn(*mut Counted<T>) -> *mut Counted<U>,
    ) -> ShelfArc<U> {
        let pointer = as_unsized(ManuallyDrop::new(self).counted.as_ptr());
        // SAFETY: a coercion of a pointer that is not null.
        ShelfArc { counted: unsafe { NonNull::new_unchecked(pointer) }, owns: PhantomData }
    }
}

impl<T: ?Sized> ShelfArc<T> {
    #[inline]
    fn counted(&self) -> &Counted<T> {
        // SAFETY: it lives while there is a pointer to it, and this is one.
        unsafe { self.counted.as_ref() }
    }

    /// Whether both lead to one value.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        ptr::addr_eq(self.counted.as_ptr(), other.counted.as_ptr())
    }

    /// The last pointer is gone.
    #[inline(never)]
    fn free(&mut self) {
        let memory =
            Memory(&self.counted().weak, Layout::for_value(self.counted()), self.counted.cast());
        // SAFETY: nobody else has the value any more.
        unsafe { ptr::drop_in_place(&raw mut (*self.counted.as_ptr()).value) }
        // Here rather than in drop glue, which is shared with the way of a panic: the layout is known, so what is left is a few instructions.
        ManuallyDrop::new(memory).release();
    }
}

/// One count of `weak`, also after a panic of the value's destructor.
struct Memory<'a>(&'a AtomicUsize, Layout, NonNull<u8>);

impl Memory<'_> {
    #[inline(always)]
    fn release(&mut self) {
        let &mut Memory(weak, layout, memory) = self;
        if weak.load(Ordering::Acquire) == 1 || weak.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: `new` got the block for this layout; the value is dropped, and nobody else has the memory.
            unsafe { free_block(class_of(layout), layout, memory) }
        }
    }
}

impl Drop for Memory<'_> {
    fn drop(&mut self) {
        self.release();
    }
}

impl<T> ShelfArc<T> {
    /// A pointer that does not keep the value.
    pub fn downgrade(&self) -> ShelfWeak<T> {
        if self.counted().weak.fetch_add(1, Ordering::Relaxed) > MOST {
            std::process::abort();
        }
        ShelfWeak { counted: self.counted, owns: PhantomData }
    }
}

impl<T> ShelfWeak<T> {
    /// The value, if somebody keeps it.
    pub fn upgrade(&self) -> Option<ShelfArc<T>> {
        // SAFETY: the memory stays while there is a weak pointer. The value is looked at only by way of the outcome, which keeps it.
        let count = unsafe { &(*self.counted.as_ptr()).count };
        let one_more = |count| (count > 0).then_some(count + 1);
        // Acquire: what others did with the value before the last one counted down is seen by whoever counts up.
        count.fetch_update(Ordering::Acquire, Ordering::Relaxed, one_more).ok()?;
        Some(ShelfArc { counted: self.counted, owns: PhantomData })
    }
}

impl<T> Drop for ShelfWeak<T> {
    fn drop(&mut self) {
        // SAFETY: as in `upgrade`.
        let weak = unsafe { &(*self.counted.as_ptr()).weak };
        drop(Memory(weak, Layout::new::<Counted<T>>(), self.counted.cast()));
    }
}

impl<T> fmt::Debug for ShelfWeak<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(Weak)")
    }
}

impl<T: ?Sized> Clone for ShelfArc<T> {
    #[inline]
    fn clone(&self) -> Self {
        // Relaxed: whoever clones has a pointer, so the value stays.
        if self.counted().count.fetch_add(1, Ordering::Relaxed) > MOST {
            std::process::abort();
        }
        ShelfArc { counted: self.counted, owns: PhantomData }
    }
}

impl<T: ?Sized> Drop for ShelfArc<T> {
    #[inline]
    fn drop(&mut self) {
        // Release: what was done with the value comes before its end; the load acquires that of all others.
        if self.counted().count.fetch_sub(1, Ordering::Release) == 1 {
            self.counted().count.load(Ordering::Acquire);
            self.free();
        }
    }
}

impl<T: ?Sized> Deref for ShelfArc<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.counted().value
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for ShelfArc<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn the_last_pointer_drops_the_value_once() {
        let witness = Arc::new(());
        let one = ShelfArc::new((witness.clone(), [7_u64; 3]));
        let other = one.clone();
        assert!(one.ptr_eq(&other) && !one.ptr_eq(&ShelfArc::new((witness.clone(), [7; 3]))));
        let there = std::thread::spawn(move || other.deref().1[2]);
        assert_eq!(there.join().unwrap(), 7);
        assert_eq!(Arc::strong_count(&witness), 2);
        drop(one);
        assert_eq!(Arc::strong_count(&witness), 1);
    }

    #[test]
    fn a_trait_object_is_freed_as_what_it_is() {
        let witness = Arc::new(());
        let kept = witness.clone();
        let closure = ShelfArc::new(move |add: usize| Arc::strong_count(&kept) + add);
        // SAFETY: a coercion.
        let erased: ShelfArc<dyn Fn(usize) -> usize> = unsafe { closure.unsize(|p| p as *mut _) };
        assert_eq!(erased(10), 12);
        drop(erased);
        assert_eq!(Arc::strong_count(&witness), 1);
    }

    #[test]
    fn a_weak_pointer_keeps_the_memory_alone() {
        let witness = Arc::new(());
        let strong = ShelfArc::new(witness.clone());
        let (one, other) = (strong.downgrade(), strong.downgrade());
        drop(strong.clone());
        assert!(one.upgrade().is_some_and(|again| again.ptr_eq(&strong)));
        drop(other);
        drop(strong);
        assert_eq!(Arc::strong_count(&witness), 1);
        assert!(one.upgrade().is_none());
    }

    #[test]
    fn a_destructor_may_panic() {
        struct Panics(#[expect(dead_code, reason = "dropped after the panic")] Arc<()>);
        impl Drop for Panics {
            fn drop(&mut self) {
                panic!("a destructor");
            }
        }
        let witness = Arc::new(());
        let panics = ShelfArc::new(Panics(witness.clone()));
        let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(panics)));
        assert!(dropped.is_err());
        assert_eq!(Arc::strong_count(&witness), 1);
    }
}
