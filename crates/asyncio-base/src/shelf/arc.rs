//! A shared pointer whose memory comes from the [shelf](super) and goes back there.

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

/// As `std::sync::Arc`, without weak pointers.
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
    value: T,
}

/// Beyond this somebody leaks clones in a loop.
const MOST: usize = isize::MAX as usize;

// SAFETY: as for `Arc`: the value is shared among threads, and dropped by any of them.
unsafe impl<T: ?Sized + Send + Sync> Send for ShelfArc<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send + Sync> Sync for ShelfArc<T> {}

impl<T: ?Sized + RefUnwindSafe> UnwindSafe for ShelfArc<T> {}
impl<T: ?Sized + RefUnwindSafe> RefUnwindSafe for ShelfArc<T> {}

impl<T> ShelfArc<T> {
    /// Puts a value where it can be shared.
    #[inline]
    pub fn new(value: T) -> Self {
        let layout = Layout::new::<Counted<T>>();
        let memory = take_block(class_of(layout), layout).cast::<Counted<T>>();
        // SAFETY: the memory is for this, and ours.
        unsafe { memory.write(Counted { count: AtomicUsize::new(1), value }) };
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
        /// Also after a panic of the value's destructor.
        struct GiveBack(NonNull<u8>, Layout);

        impl Drop for GiveBack {
            fn drop(&mut self) {
                // SAFETY: `new` got the block for this layout, and the value is dropped.
                unsafe { free_block(class_of(self.1), self.1, self.0) }
            }
        }

        let layout = Layout::for_value(self.counted());
        let _give_back = GiveBack(self.counted.cast(), layout);
        // SAFETY: nobody else has the value any more.
        unsafe { ptr::drop_in_place(&raw mut (*self.counted.as_ptr()).value) }
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
