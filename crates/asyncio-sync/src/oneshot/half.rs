//! The two owners of a oneshot, and who frees it.
//!
//! There are always two, so no count is kept: the word of the slot has a bit for each that has left. Who leaves second, and so finds
//! the other's bit set, frees the memory. A sender that nobody waits for leaves with the very exchange that sends; a receiver that
//! finds it gone knows that it is alone. So a value that is there before anybody waits costs one exchange altogether.
//!
//! # Orderings
//!
//! A bit is set with `Release` and found with `Acquire`: whatever the first to leave did with the memory happens before it is freed.
#![allow(unsafe_code)]

use super::Shared;
use super::slot::{RECEIVER_LEFT, SENDER_LEFT};
use asyncio_base::shelf;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;

/// One owner; `MINE` is the bit that says that it has left.
pub(super) struct Half<T, const MINE: u32> {
    shared: NonNull<Shared<T>>,
    marker: PhantomData<Box<Shared<T>>>,
}

// SAFETY: a half is a shared reference that may free what it refers to, like an `Arc`: it may go to, or be used from, another
// thread if `Shared<T>` may be used from there and dropped there, which it may if `T` is `Send` (see `Slot`).
unsafe impl<T: Send, const MINE: u32> Send for Half<T, MINE> {}
// SAFETY: as above; a shared half gives nothing but `&Shared<T>`.
unsafe impl<T: Send, const MINE: u32> Sync for Half<T, MINE> {}

/// Makes both owners.
#[inline]
pub(super) fn halves<T>(shared: Shared<T>) -> (Half<T, SENDER_LEFT>, Half<T, RECEIVER_LEFT>) {
    let memory = shelf::allocate();
    // SAFETY: the memory is for it, and ours.
    unsafe { memory.write(shared) };
    let shared = memory;
    (Half { shared, marker: PhantomData }, Half { shared, marker: PhantomData })
}

/// # Safety
///
/// `halves` made it, and both have left.
#[inline]
unsafe fn free<T>(shared: NonNull<Shared<T>>) {
    /// Given back also if a destructor panics.
    struct Memory<T>(NonNull<Shared<T>>);

    impl<T> Drop for Memory<T> {
        #[inline]
        fn drop(&mut self) {
            // SAFETY: allocated for this type, and dropped below.
            unsafe { shelf::free(self.0) };
        }
    }

    let memory = Memory(shared);
    // SAFETY: as the caller promises.
    unsafe { memory.0.drop_in_place() };
}

impl<T, const MINE: u32> Deref for Half<T, MINE> {
    type Target = Shared<T>;

    #[inline]
    fn deref(&self) -> &Shared<T> {
        // SAFETY: the memory is freed by the second half that leaves, and this one has not.
        unsafe { self.shared.as_ref() }
    }
}

impl<T, const MINE: u32> Half<T, MINE> {
    /// Leaves, given that the bit is in the word already.
    #[inline]
    pub(super) fn has_left(self) {
        std::mem::forget(self);
    }

    /// Leaves, and frees everything.
    ///
    /// # Safety
    ///
    /// The other half's bit has been seen, with `Acquire`.
    #[inline]
    pub(super) unsafe fn free(self) {
        let shared = self.shared;
        std::mem::forget(self);
        // SAFETY: the other half has left, by the caller's word, and so has this one.
        unsafe { free(shared) };
    }
}

impl<T, const MINE: u32> Drop for Half<T, MINE> {
    #[inline]
    fn drop(&mut self) {
        let others = (SENDER_LEFT | RECEIVER_LEFT) ^ MINE;
        if self.slot.mark(MINE) & others != 0 {
            // SAFETY: the other half has left, and this one is leaving.
            unsafe { free(self.shared) };
        }
    }
}
