//! The FIFO of an only worker.
//!
//! One thread pushes and pops, so there is nothing to agree on. It is asked several times in each pass and once by each wake, so it counts no
//! borrows (none of its methods calls anything that could come back to it), and the number of its slots is a power of two, so that going round
//! is a mask: `VecDeque`, which has any number of them, takes twice the instructions.
//!
//! # What holds between two calls
//!
//! `first` counts what was ever taken and `end` what was ever put in; both may wrap. What they differ by is how many entries are in, never more
//! than there are slots: entry number n is in slot n & `mask`, each number from `first` up to `end`, and the other slots hold nothing. `mask` is
//! one less than the number of slots, which is a power of two, or 0 while there is none. The slots are never fewer than they were.

#![allow(unsafe_code)]

use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::mem::MaybeUninit;

type Slots<T> = Box<[MaybeUninit<T>]>;

/// The slots of a ring that has had an entry.
const FEWEST: usize = 32;

/// A FIFO that belongs to one thread at a time.
pub struct Ring<T> {
    first: Cell<usize>,
    end: Cell<usize>,
    mask: Cell<usize>,
    slots: UnsafeCell<Slots<T>>,
}

impl<T> Ring<T> {
    /// An empty ring, without slots.
    pub fn new() -> Self {
        Ring {
            first: Cell::new(0),
            end: Cell::new(0),
            mask: Cell::new(0),
            slots: UnsafeCell::default(),
        }
    }

    /// How many entries are in.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.end.get().wrapping_sub(self.first.get())
    }

    /// Whether nothing is in.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.first.get() == self.end.get()
    }

    /// Adds at the back.
    #[inline(always)]
    pub(crate) fn push(&self, entry: T) {
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
    pub(crate) fn pop(&self) -> Option<T> {
        // SAFETY: something is in.
        (!self.is_empty()).then(|| unsafe { self.take() })
    }

    /// Takes what is in now from the front, one by one, and nothing that comes later.
    #[inline(always)]
    pub(crate) fn queued(&self) -> Queued<'_, T> {
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

    #[inline(always)]
    fn count_slots(&self) -> usize {
        // SAFETY: this thread alone has the cell, which is not `Sync`, and `grow` replaces what is in it without calling anybody.
        unsafe { &*self.slots.get() }.len()
    }

    /// Where the entry of this number is, or would be.
    ///
    /// # Safety
    ///
    /// There are slots.
    #[inline(always)]
    unsafe fn slot(&self, number: usize) -> *mut MaybeUninit<T> {
        // SAFETY: as in `count_slots`; and the mask is less than the number of slots, by the caller's promise.
        unsafe { (*self.slots.get()).as_mut_ptr().add(number & self.mask.get()) }
    }

    /// Twice the slots.
    #[cold]
    #[inline(never)]
    fn grow(&self) {
        let count = (2 * self.count_slots()).max(FEWEST);
        let mut slots: Slots<T> = Box::new_uninit_slice(count);
        for entry in 0..self.len() {
            let number = self.first.get().wrapping_add(entry);
            // SAFETY: an entry is in, so there are slots. It is moved: what it leaves behind goes as an empty slot below.
            slots[number & (count - 1)] = unsafe { self.slot(number).read() };
        }
        self.mask.set(count - 1);
        // SAFETY: this thread alone has the cell, and no reference into it is left.
        let before = unsafe { self.slots.get().replace(slots) };
        drop(before);
    }
}

/// See [`Ring::queued`].
#[derive(Debug)]
pub(crate) struct Queued<'a, T> {
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

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        while let Some(entry) = self.pop() {
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
