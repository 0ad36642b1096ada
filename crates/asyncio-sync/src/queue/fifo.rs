//! First in, first out.

use super::store::{Panic, sealed::Store};
use asyncio_base::ring::Ring;

/// Items come out in the order in which they went in.
#[derive(Debug)]
pub struct Fifo<T>(Ring<T>);

impl<T> Fifo<T> {
    pub(super) const fn new() -> Self {
        Fifo(Ring::new())
    }
}

impl<T> Store for Fifo<T> {
    type Item = T;
    const NAME: &'static str = "Queue";

    fn empty() -> Self {
        Fifo::new()
    }

    #[inline]
    fn push(&mut self, item: T) -> Result<(), Panic> {
        self.0.push(item);
        Ok(())
    }

    #[inline]
    fn pop(&mut self) -> Option<T> {
        self.0.pop()
    }

    #[inline]
    fn len(&self) -> usize {
        self.0.len()
    }

    #[inline]
    fn capacity(&self) -> usize {
        self.0.count_slots()
    }
}
