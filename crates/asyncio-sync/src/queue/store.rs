//! What a queue keeps its items in, which decides the order they come out in.

use std::any::Any;

/// An empty store keeps its memory up to this many items.
pub(super) const KEEP: usize = 64;

/// A panic of user code that ran under the queue's lock, to be resumed after it.
pub(super) type Panic = Box<dyn Any + Send>;

/// Where items are kept. Implemented by [`Fifo`](super::Fifo), [`Lifo`](super::Lifo) and [`Smallest`](super::Smallest) only.
pub trait Store: sealed::Store {}

impl<S: sealed::Store> Store for S {}

pub(super) mod sealed {
    use super::Panic;

    /// The operations, which are nobody else's business.
    pub trait Store {
        /// What is kept.
        type Item;
        /// What such a queue is called.
        const NAME: &'static str;

        /// Nothing is kept.
        fn empty() -> Self;
        /// Puts an item in. An error is a panic of the item's own code; the item is in nevertheless.
        fn push(&mut self, item: Self::Item) -> Result<(), Panic>;
        /// Takes the next item out.
        fn pop(&mut self) -> Option<Self::Item>;
        /// How many are in.
        fn len(&self) -> usize;
        /// How many fit without asking for more memory.
        fn capacity(&self) -> usize;
    }
}
