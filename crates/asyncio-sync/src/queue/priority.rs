//! Smallest first.

use super::store::{Panic, sealed::Store};
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The smallest item comes out first; of equal ones, the one that went in first.
#[derive(Debug)]
pub struct Smallest<T> {
    heap: BinaryHeap<Entry<T>>,
    /// The number of the next item.
    next: u64,
}

/// An item and when it came.
#[derive(Debug)]
struct Entry<T> {
    item: T,
    number: u64,
}

impl<T: Ord> Smallest<T> {
    pub(super) const fn new() -> Self {
        Smallest { heap: BinaryHeap::new(), next: 0 }
    }
}

/// The heap gives out its greatest entry first, so the order is turned round.
impl<T: Ord> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.item.cmp(&self.item).then(other.number.cmp(&self.number))
    }
}

impl<T: Ord> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T: Ord> Eq for Entry<T> {}

impl<T: Ord> Store for Smallest<T> {
    type Item = T;
    const NAME: &'static str = "PriorityQueue";

    fn empty() -> Self {
        Smallest::new()
    }

    fn push(&mut self, item: T) -> Result<(), Panic> {
        let entry = Entry { item, number: self.next };
        self.next += 1;
        // The heap appends the entry before it compares anything, so a comparison that panics leaves it in.
        catch_unwind(AssertUnwindSafe(|| self.heap.push(entry)))
    }

    fn pop(&mut self) -> Option<T> {
        self.heap.pop().map(|entry| entry.item)
    }

    fn len(&self) -> usize {
        self.heap.len()
    }

    fn capacity(&self) -> usize {
        self.heap.capacity()
    }
}
