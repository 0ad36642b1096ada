//! The FIFO of an only worker.
//!
//! One thread pushes and pops, so there is nothing to agree on. It is asked several times in each pass and once by each wake, so it counts no
//! borrows: none of its methods calls anything that could come back to it.

#![allow(unsafe_code)]

use crate::run_queue::Entry;
use std::cell::UnsafeCell;
use std::fmt;

/// A FIFO that belongs to one thread at a time.
#[derive(Default)]
pub struct Ring(UnsafeCell<Inner>);

/// Places are numbered for ever, and taken round and round: place `n` is slot `n` modulo the number of slots, which is a power of two.
#[derive(Default)]
struct Inner {
    slots: Box<[Entry]>,
    /// The place of the first entry.
    first: usize,
    /// The place of the next one to come.
    next: usize,
}

/// What lies in a slot that nothing is in. An entry has no destructor, so it does not matter what is left there.
const NOTHING: Entry = Entry::Ticket;

const _: () = assert!(!std::mem::needs_drop::<Entry>());

impl Inner {
    /// The slot of a place; there are slots.
    #[inline(always)]
    fn slot(&mut self, place: usize) -> &mut Entry {
        let last = self.slots.len().wrapping_sub(1);
        &mut self.slots[place & last]
    }

    #[inline(always)]
    fn len(&self) -> usize {
        self.next.wrapping_sub(self.first)
    }

    #[inline(always)]
    fn push(&mut self, entry: Entry) {
        if self.len() == self.slots.len() {
            self.grow();
        }
        *self.slot(self.next) = entry;
        self.next = self.next.wrapping_add(1);
    }

    #[inline(always)]
    fn pop(&mut self) -> Option<Entry> {
        if self.len() == 0 {
            return None;
        }
        let entry = std::mem::replace(self.slot(self.first), NOTHING);
        self.first = self.first.wrapping_add(1);
        Some(entry)
    }

    /// Twice as many slots, with the entries in the first of them.
    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        let len = self.len();
        let mut slots = Vec::with_capacity((2 * len).max(64));
        slots.extend(std::iter::from_fn(|| self.pop()));
        slots.resize_with(slots.capacity().next_power_of_two(), || NOTHING);
        *self = Inner { slots: slots.into_boxed_slice(), first: 0, next: len };
    }
}

impl Ring {
    /// Lends the inside.
    ///
    /// # Safety
    ///
    /// `f` does not come back to the ring.
    #[inline(always)]
    unsafe fn with<R>(&self, f: impl FnOnce(&mut Inner) -> R) -> R {
        // SAFETY: the cell is not `Sync`, so this thread alone has it, and by the caller's promise no other call is in it.
        f(unsafe { &mut *self.0.get() })
    }

    /// Adds at the back.
    #[inline]
    pub(crate) fn push(&self, entry: Entry) {
        // SAFETY: nobody is called but the allocator.
        unsafe { self.with(|inner| inner.push(entry)) }
    }

    /// Takes from the front.
    #[inline]
    pub(crate) fn pop(&self) -> Option<Entry> {
        // SAFETY: nobody is called.
        unsafe { self.with(Inner::pop) }
    }

    /// How many entries are in.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        // SAFETY: nobody is called.
        unsafe { self.with(|inner| inner.len()) }
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("len", &self.len()).finish()
    }
}
