//! A FIFO for one thread at a time: an only worker's, and under its lock a queue's.
//!
//! There is nothing to agree on. It is asked several times in each pass of the worker and once by each wake, so it counts no
//! borrows (none of its methods calls anything that could come back to it), and the number of its slots is a power of two, so that going round
//! is a mask: `VecDeque`, which has any number of them, takes twice the instructions.
//!
//! # What holds between two calls
//!
//! `first` counts what was ever taken and `end` what was ever put in; both may wrap. What they differ by is how many entries are in, never more
//! than there are slots: entry number n is in slot n & `mask`, each number from `first` up to `end`, and the other slots hold nothing. `mask` is
//! one less than the number of slots, which is a power of two, or wraps to its greatest value while there is none. The slots are never fewer than
//! they were.

use std::cell::Cell;
use std::fmt;
use std::mem::MaybeUninit;
use std::ptr;

/// The slots of a ring that has had an entry.
const FEWEST: usize = 4;

/// A FIFO that belongs to one thread at a time.
pub struct Ring<T> {
    first: Cell<usize>,
    end: Cell<usize>,
    mask: Cell<usize>,
    /// A box of slots, null while there are none.
    slots: Cell<*mut MaybeUninit<T>>,
}

// SAFETY: the ring owns its slots and what is in them, and nothing else; the pointer is no other's.
unsafe impl<T: Send> Send for Ring<T> {}

impl<T> Ring<T> {
    /// An empty ring, without slots.
    pub const fn new() -> Self {
        Ring {
            first: Cell::new(0),
            end: Cell::new(0),
            mask: Cell::new(usize::MAX),
            slots: Cell::new(ptr::null_mut()),
        }
    }

    /// How many entries are in.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.end.get().wrapping_sub(self.first.get())
    }

    /// Whether nothing is in.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.first.get() == self.end.get()
    }

    /// Adds at the back.
    #[inline(always)]
    pub fn push(&self, entry: T) {
        if self.len() == self.count_slots() {
            self.grow();
        }
        let end = self.end.get();
        // SAFETY: there is a free slot, and the first of them, by number, is this one.
        unsafe { self.slot(end).write(MaybeUninit::new(entry)) };
        self.end.set(end.wrapping_add(1));
    }

    /// Takes from the front.
    #[inline(always)]
    pub fn pop(&self) -> Option<T> {
        // SAFETY: something is in.
        (!self.is_empty()).then(|| unsafe { self.take() })
    }

    /// Takes what is in now from the front, one by one, and nothing that comes later.
    #[inline(always)]
    pub fn queued(&self) -> Queued<'_, T> {
        Queued { ring: self, end: self.end.get() }
    }

    /// # Safety
    ///
    /// Something is in.
    #[inline(always)]
    unsafe fn take(&self) -> T {
        let first = self.first.get();
        self.first.set(first.wrapping_add(1));
        // SAFETY: by the caller's promise this number was in, so its slot has an entry; it is in no more, so nobody else takes that.
        unsafe { self.slot(first).read().assume_init() }
    }

    /// How many entries fit without asking for more memory.
    #[inline(always)]
    pub fn count_slots(&self) -> usize {
        self.mask.get().wrapping_add(1)
    }

    /// Where the entry of this number is, or would be.
    ///
    /// # Safety
    ///
    /// There are slots.
    #[inline(always)]
    unsafe fn slot(&self, number: usize) -> *mut MaybeUninit<T> {
        // SAFETY: the mask is less than the number of slots, by the caller's promise.
        unsafe { self.slots.get().add(number & self.mask.get()) }
    }

    /// Twice the slots.
    #[cold]
    #[inline(never)]
    fn grow(&self) {
        let count = (2 * self.count_slots()).max(FEWEST);
        let mut slots: Box<[MaybeUninit<T>]> = Box::new_uninit_slice(count);
        for entry in 0..self.len() {
            let number = self.first.get().wrapping_add(entry);
            // SAFETY: an entry is in, so there are slots. It is moved: what it leaves behind goes as an empty slot below.
            slots[number & (count - 1)] = unsafe { self.slot(number).read() };
        }
        self.free_slots();
        self.mask.set(count - 1);
        self.slots.set(Box::into_raw(slots).cast());
    }

    /// Gives the memory back, after which there are no slots. Nothing is dropped that is in them.
    fn free_slots(&self) {
        let (slots, count) = (self.slots.replace(ptr::null_mut()), self.count_slots());
        self.mask.set(usize::MAX);
        if !slots.is_null() {
            // SAFETY: they were a box of so many slots, which `grow` made and only this takes back.
            drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(slots, count)) });
        }
    }
}

/// See [`Ring::queued`].
#[derive(Debug)]
pub struct Queued<'a, T> {
    ring: &'a Ring<T>,
    /// One more than the last number.
    end: usize,
}

impl<T> Iterator for Queued<'_, T> {
    type Item = T;

    #[inline(always)]
    fn next(&mut self) -> Option<T> {
        // Somebody else may have taken more than those: then it is less than 0.
        let left = self.end.wrapping_sub(self.ring.first.get()) as isize;
        // SAFETY: `end` was the ring's, which only grows, so what lies before it and is not taken is in.
        (left > 0).then(|| unsafe { self.ring.take() })
    }
}

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Ring::new()
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        /// Also those after one whose destructor panics, and the memory.
        struct Rest<'a, T>(&'a Ring<T>);

        impl<T> Drop for Rest<'_, T> {
            fn drop(&mut self) {
                while let Some(entry) = self.0.pop() {
                    drop(entry);
                }
                self.0.free_slots();
            }
        }

        let rest = Rest(self);
        while let Some(entry) = rest.0.pop() {
            drop(entry);
        }
    }
}

impl<T> fmt::Debug for Ring<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("len", &self.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::rc::Rc;

    /// An empty ring that has had so many entries.
    fn used(before: usize) -> Ring<Rc<usize>> {
        let ring = Ring::new();
        ring.first.set(before);
        ring.end.set(before);
        ring
    }

    #[test]
    fn entries_come_out_in_their_order_also_where_the_counts_wrap_and_the_slots_grow() {
        for before in [0, 7, usize::MAX - 100] {
            let (ring, mut known, mut next) = (used(before), VecDeque::new(), 0);
            for round in 0..200_usize {
                for _ in 0..round % 7 * (round % 5) {
                    ring.push(Rc::new(next));
                    known.push_back(next);
                    next += 1;
                }
                for _ in 0..round % 9 {
                    assert_eq!(ring.pop().as_deref(), known.pop_front().as_ref());
                }
                assert_eq!((ring.len(), ring.is_empty()), (known.len(), known.is_empty()));
            }
            assert!(
                ring.count_slots() > FEWEST && ring.count_slots() <= 2 * known.len().max(FEWEST)
            );
            assert!(std::iter::from_fn(|| ring.pop()).map(|entry| *entry).eq(known));
        }
    }

    #[test]
    fn what_comes_after_the_beginning_is_not_queued_and_what_others_took_neither() {
        let ring = used(usize::MAX - 1);
        (0..3).for_each(|number| ring.push(Rc::new(number)));
        let again = ring.queued().inspect(|entry| ring.push(entry.clone()));
        assert!(again.map(|entry| *entry).eq(0..3));
        let mut queued = ring.queued();
        assert_eq!(queued.next().as_deref(), Some(&0));
        assert_eq!([ring.pop().as_deref(), ring.pop().as_deref()], [Some(&1), Some(&2)]);
        (3..5).for_each(|number| ring.push(Rc::new(number)));
        assert!(queued.next().is_none());
        assert_eq!(ring.pop().as_deref(), Some(&3));
        assert!(queued.next().is_none());
        assert_eq!(ring.len(), 1);
    }

    #[test]
    fn the_slots_are_as_many_as_have_been_used_and_are_kept() {
        let ring = used(5);
        assert_eq!(ring.count_slots(), 0);
        (0..64).for_each(|number| ring.push(Rc::new(number)));
        assert_eq!(ring.count_slots(), 64);
        ring.push(Rc::new(64));
        assert_eq!(ring.count_slots(), 128);
        assert_eq!(ring.queued().count(), 65);
        assert_eq!(ring.count_slots(), 128);
    }

    #[test]
    fn a_destructor_that_panics_keeps_no_other_from_running() {
        struct Panics(Rc<Cell<usize>>);

        impl Drop for Panics {
            fn drop(&mut self) {
                self.0.set(self.0.get() + 1);
                assert_ne!(self.0.get(), 2, "the second");
            }
        }

        let (dropped, ring) = (Rc::new(Cell::new(0)), Ring::new());
        (0..5).for_each(|_| ring.push(Panics(dropped.clone())));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(ring)));
        assert!(panicked.is_err());
        assert_eq!(dropped.get(), 5);
    }

    #[test]
    fn entries_without_a_size_are_counted() {
        let ring = Ring::new();
        (0..9).for_each(|_| ring.push(()));
        assert_eq!((ring.len(), std::iter::from_fn(|| ring.pop()).count()), (9, 9));
    }

    #[test]
    fn a_ring_drops_what_is_in_and_nothing_else() {
        let entry = Rc::new(0);
        let ring = Ring::new();
        (0..40).for_each(|_| ring.push(entry.clone()));
        assert_eq!(ring.queued().take(30).count(), 30);
        assert_eq!(Rc::strong_count(&entry), 11);
        drop(ring);
        assert_eq!(Rc::strong_count(&entry), 1);
    }
}
