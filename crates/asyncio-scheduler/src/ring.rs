//! The FIFO of an only worker.
//!
//! One thread pushes and pops, so there is nothing to agree on. It is asked several times in each pass and once by each wake, so it counts no
//! borrows: none of its methods calls anything that could come back to it.

#![allow(unsafe_code)]

use crate::run_queue::Entry;
use std::cell::UnsafeCell;
use std::collections::VecDeque;
use std::fmt;

/// A FIFO that belongs to one thread at a time.
#[derive(Default)]
pub struct Ring(UnsafeCell<VecDeque<Entry>>);

impl Ring {
    /// Lends the entries.
    ///
    /// # Safety
    ///
    /// `f` does not come back to the ring.
    #[inline(always)]
    unsafe fn with<R>(&self, f: impl FnOnce(&mut VecDeque<Entry>) -> R) -> R {
        // SAFETY: the cell is not `Sync`, so this thread alone has it, and by the caller's promise no other call is in it.
        f(unsafe { &mut *self.0.get() })
    }

    /// Adds at the back.
    #[inline]
    pub(crate) fn push(&self, entry: Entry) {
        // SAFETY: nobody is called but the allocator.
        unsafe { self.with(|entries| entries.push_back(entry)) }
    }

    /// Takes from the front.
    #[inline]
    pub(crate) fn pop(&self) -> Option<Entry> {
        // SAFETY: nobody is called.
        unsafe { self.with(VecDeque::pop_front) }
    }

    /// How many entries are in.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        // SAFETY: nobody is called.
        unsafe { self.with(|entries| entries.len()) }
    }

    /// Whether nothing is in.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("len", &self.len()).finish()
    }
}
