//! Last in, first out.

use super::store::{Panic, sealed::Store};

/// The newest item comes out first.
#[derive(Debug)]
pub struct Lifo<T>(Vec<T>);

impl<T> Lifo<T> {
    pub(super) const fn new() -> Self {
        Lifo(Vec::new())
    }
}

impl<T> Store for Lifo<T> {
    type Item = T;
    const NAME: &'static str = "LifoQueue";

    fn empty() -> Self {
        Lifo::new()
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
        self.0.capacity()
    }
}
